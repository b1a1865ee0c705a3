"""References for paper 12: merged weights, and attention one query at a time."""

import numpy as np

from common import Paper, gelu_tanh, softmax

paper = Paper("12-lord")


def mlp_lowrank(X, A1, B1, b1, A2, B2, b2):
    return {"Y": gelu_tanh(X @ (B1 @ A1).T + b1) @ (B2 @ A2).T + b2}


def mqa_lowrank(X, Aq, Bq, bq, Wk, bk, Wv, bv, Ao, Bo, bo):
    heads, width = bq.shape
    Y = np.zeros_like(X)
    for b, x in enumerate(X):
        k, v = x @ Wk.T + bk, x @ Wv.T + bv
        for t in range(len(x)):
            mixed = np.zeros((heads, width))
            for h in range(heads):
                q = Bq[h] @ Aq @ x[t] + bq[h]
                mixed[h] = softmax(k[: t + 1] @ q / np.sqrt(width)) @ v[: t + 1]
            Y[b, t] = Bo @ np.tensordot(Ao, mixed, axes=2) + bo
    return {"Y": Y}


def dequantised(codes, scales):
    return (codes.astype(float) - 8) * np.repeat(scales, codes.shape[1] // scales.shape[1], axis=1)


def linear_q4(X, qA, sA, qB, sB, bias):
    return {"Y": X @ dequantised(qA, sA).T @ dequantised(qB, sB).T + bias}


def mlp_inputs(g, t, d, r, f, s):
    return {"X": g.real(t, d), "A1": g.real(r, d, scale=0.5), "B1": g.real(f, r, scale=0.5), "b1": g.real(f),
            "A2": g.real(s, f, scale=0.5), "B2": g.real(d, s, scale=0.5), "b2": g.real(d)}


def mqa_inputs(g, b, t, d, r, h, e, s):
    return {"X": g.real(b, t, d), "Aq": g.real(r, d, scale=0.5), "Bq": g.real(h, e, r, scale=0.5), "bq": g.real(h, e),
            "Wk": g.real(e, d, scale=0.5), "bk": g.real(e), "Wv": g.real(e, d, scale=0.5), "bv": g.real(e),
            "Ao": g.real(s, h, e, scale=0.5), "Bo": g.real(d, s, scale=0.5), "bo": g.real(d)}


def q4_inputs(g, t, i, gi, r, gr, o):
    return {"X": g.real(t, i), "qA": g.ints(0, 16, r, i, dtype=np.int8), "sA": g.uniform(0.05, 0.2, r, gi),
            "qB": g.ints(0, 16, o, r, dtype=np.int8), "sB": g.uniform(0.05, 0.2, o, gr), "bias": g.real(o)}


paper.add("mlp_lowrank", [dict(t=5, d=12, r=5, f=24, s=4), dict(t=1, d=1, r=1, f=1, s=1), dict(t=17, d=3, r=2, f=7, s=9)],
          mlp_inputs, mlp_lowrank)
paper.add("mqa_lowrank", [dict(b=2, t=6, d=12, r=5, h=2, e=4, s=3), dict(b=1, t=1, d=1, r=1, h=1, e=1, s=1),
                          dict(b=1, t=9, d=5, r=2, h=3, e=2, s=7), dict(b=3, t=2, d=4, r=6, h=1, e=5, s=1)], mqa_inputs, mqa_lowrank)
paper.add("linear_q4", [dict(t=4, i=20, gi=5, r=6, gr=2, o=7), dict(t=1, i=1, gi=1, r=1, gr=1, o=1), dict(t=9, i=6, gi=1, r=4, gr=4, o=3),
                        dict(t=2, i=32, gi=2, r=16, gr=1, o=1)], q4_inputs, linear_q4)


@paper.property("mqa_lowrank")
def attention_is_causal(call, g):
    inputs = mqa_inputs(g, 1, 6, 5, 2, 2, 3, 3)
    before = call("mqa_lowrank", **inputs)["Y"]
    inputs["X"] = inputs["X"].copy()
    inputs["X"][0, 4:] += 1
    call.near("Y before 4", call("mqa_lowrank", **inputs)["Y"][0, :4], before[0, :4])


@paper.property()
def parameters_of_starcoder(call, g):
    full = 15.51e9
    dense = 40 * 2 * 6144 * 24576
    for rank, billions in ((3968, 13.19), (3584, 12.24)):
        left = full - dense + 40 * 2 * rank * (6144 + 24576)
        call.holds(f"{billions} B at rank {rank}", abs(left / 1e9 - billions) < 0.02)
    call.holds("break-even 4915", int(6144 * 24576 / (6144 + 24576)) == 4915)

"""References for paper 11: sliced factors, one prefix at a time."""

import numpy as np

from common import Paper, convolve

paper = Paper("11-maestro")


def forward_prefix(X, V, U, bias, keep):
    return {"Y": X @ (U[:, :keep] @ V[:, :keep].T).T + bias}


def forward_all(X, V, U):
    return {"Y": np.stack([X @ V[:, : b + 1] @ U[:, : b + 1].T for b in range(U.shape[1])])}


def conv_prefix(X, Ku, Kv, keep):
    return {"Y": convolve(X, np.tensordot(Kv[:, :keep], Ku[:keep], axes=1))}


def factors(g, n, i, o, r):
    return {"X": g.real(n, i), "V": g.real(i, r), "U": g.real(o, r)}


def prefix_inputs(g, n, i, o, r, keep):
    return {**factors(g, n, i, o, r), "bias": g.real(o), "keep": np.int64(keep)}


def conv_inputs(g, n, i, o, r, h, w, k, keep):
    return {"X": g.real(n, i, h, w), "Ku": g.real(r, i, *k), "Kv": g.real(o, r), "keep": np.int64(keep)}


paper.add("forward_prefix", [dict(n=7, i=12, o=9, r=5, keep=3), dict(n=1, i=1, o=1, r=1, keep=1), dict(n=17, i=4, o=6, r=6, keep=6),
                             dict(n=3, i=5, o=2, r=4, keep=1)], prefix_inputs, forward_prefix)
paper.add("forward_all", [dict(n=7, i=12, o=9, r=5), dict(n=1, i=3, o=1, r=1), dict(n=2, i=1, o=4, r=9)], factors, forward_all)
paper.add("conv_prefix", [dict(n=2, i=3, o=4, r=5, h=6, w=7, k=(3, 3), keep=2), dict(n=1, i=1, o=2, r=1, h=1, w=4, k=(1, 3), keep=1),
                          dict(n=1, i=2, o=1, r=3, h=5, w=1, k=(5, 1), keep=3)], conv_inputs, conv_prefix)


@paper.property("forward_prefix", "forward_all")
def all_prefixes_are_the_single_ones(call, g):
    inputs = factors(g, 4, 6, 5, 4)
    Y = call("forward_all", **inputs)["Y"]
    for b in range(4):
        one = call("forward_prefix", **inputs, bias=np.zeros(5), keep=np.int64(b + 1))["Y"]
        call.near(f"prefix {b}", Y[b], one, slack=4)
    call.near("full", Y[3], inputs["X"] @ (inputs["U"] @ inputs["V"].T).T, slack=4)

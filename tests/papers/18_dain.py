"""References for paper 18: one cell at a time."""

import numpy as np

from common import Paper

paper = Paper("18-dain")


def forward(E0, E1, E2, idx0, idx1, idx2, V0, V1, V2, b1, W2, b2, W3, b3, wo, bo):
    stacked = np.concatenate([V0, V1, V2])
    pred, z = [], []
    for i, j, k in zip(idx0, idx1, idx2):
        x = np.concatenate([E0[i], E1[j], E2[k]])
        for W, b in ((stacked, b1), (W2, b2), (W3, b3)):
            x = np.maximum(x @ W + b, 0)
        z.append(x)
        pred.append(x @ wo + bo)
    return {"pred": np.array(pred), "z": np.array(z)}


def influence(z_tr, e_tr, z_va, e_va):
    G = np.stack([e @ z for e, z in zip(e_va, z_va)])
    imp = sum(e_tr[t] * (z_tr[t] @ G[t]) for t in range(len(G)))
    return {"G": G, "imp": imp}


def entity(imp, idx0, idx1, idx2, I0, I1, I2):
    total = np.abs(imp).sum()
    return {f"p{m}": np.bincount(idx, np.abs(imp), size) / total
            for m, (idx, size) in enumerate(((idx0, I0), (idx1, I1), (idx2, I2)))}


def forward_inputs(g, n, d, p, q, s, b):
    inputs = {}
    for m in range(3):
        inputs[f"E{m}"] = g.real(n[m], d)
        inputs[f"idx{m}"] = g.ints(0, n[m], b)
        inputs[f"V{m}"] = g.real(d, p, scale=0.5)
    return {**inputs, "b1": g.real(p), "W2": g.real(p, q, scale=0.4), "b2": g.real(q), "W3": g.real(q, s, scale=0.4),
            "b3": g.real(s), "wo": g.real(s), "bo": g.real()}


def influence_inputs(g, t, i, v, s):
    return {"z_tr": g.real(t, i, s), "e_tr": g.real(t, i), "z_va": g.real(t, v, s), "e_va": g.real(t, v)}


def entity_inputs(g, i, n):
    return {"imp": g.real(i), **{f"idx{m}": g.ints(0, n[m], i) for m in range(3)}, **{f"I{m}": np.int64(n[m]) for m in range(3)}}


CELLS = [dict(t=3, i=12, v=9, s=5), dict(t=1, i=1, v=1, s=1), dict(t=2, i=17, v=1, s=3), dict(t=5, i=2, v=8, s=4)]
paper.add("forward", [dict(n=(7, 6, 5), d=4, p=8, q=6, s=5, b=10), dict(n=(1, 1, 1), d=1, p=1, q=1, s=1, b=1),
                      dict(n=(2, 9, 1), d=3, p=5, q=7, s=2, b=19)], forward_inputs, forward)
paper.add("influence", CELLS, influence_inputs, influence)
paper.add("entity", [dict(i=12, n=(7, 6, 5)), dict(i=1, n=(1, 1, 1)), dict(i=30, n=(3, 40, 1))], entity_inputs, entity)


@paper.property("entity")
def shares_sum_to_one_and_forget_scale_and_order(call, g):
    inputs = entity_inputs(g, 20, (7, 6, 5))
    shares = call("entity", **inputs)
    order = g.permutation(20)
    moved = {name: value[order] if value.ndim else value for name, value in inputs.items()}
    scaled = call("entity", **{**moved, "imp": -3 * moved["imp"]})
    for name in ("p0", "p1", "p2"):
        call.near(f"sum of {name}", shares[name].sum(), 1.0)
        call.near(name, scaled[name], shares[name])


@paper.property("influence")
def influence_is_linear_in_the_validation_error(call, g):
    inputs = influence_inputs(g, **CELLS[0])
    imp = call("influence", **inputs)["imp"]
    call.near("3 e_va", call("influence", **{**inputs, "e_va": 3 * inputs["e_va"]})["imp"], 3 * imp)
    longer = {**inputs, "z_va": np.concatenate([inputs["z_va"], g.real(3, 2, 5)], axis=1),
              "e_va": np.concatenate([inputs["e_va"], np.zeros((3, 2))], axis=1)}
    call.near("cells without error", call("influence", **longer)["imp"], imp)


@paper.property()
def factored_order(call, g):
    call.holds("1440x", 7200 * 1800 / (7200 + 1800) == 1440)

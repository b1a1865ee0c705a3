"""References for paper 29: pairs of features one by one."""

from itertools import combinations

import numpy as np

from common import Paper, sigmoid

paper = Paper("29-optfs")
START = 0.6224593312018546


def pair_sum(e):
    return np.array([sum(one[f] @ one[k] for f, k in combinations(range(len(one)), 2)) for one in e], dtype=float)


def fm_soft(idx, E, w, tau):
    e = (E * (sigmoid(tau * w) / START)[:, None])[idx]
    return {"e": e, "y": pair_sum(e), "reg": sigmoid(tau * w).sum()}


def fm_hard(idx, E, w):
    e = (E * ((w > 0) / START)[:, None])[idx]
    return {"e": e, "y": pair_sum(e), "rate": np.mean(w > 0)}


def ipnn(e):
    return {"p": np.array([[one[f] @ one[k] for f, k in combinations(range(len(one)), 2)] for one in e])}


def cross(x0, W, B):
    x = x0
    for w, b in zip(W, B):
        x = x0 * (x @ w)[:, None] + b + x
    return {"x": x}


def hard_inputs(g, v, d, b, f):
    return {"idx": g.ints(0, v, b, f), "E": g.real(v, d), "w": g.real(v)}


def soft_inputs(g, **size):
    return {**hard_inputs(g, **size), "tau": np.asarray(2.5)}


def ipnn_inputs(g, b, f, d):
    return {"e": g.real(b, f, d)}


def cross_inputs(g, b, m, l):
    return {"x0": g.real(b, m), "W": g.real(l, m, scale=0.4), "B": g.real(l, m)}


TABLES = [dict(v=12, d=3, b=5, f=4), dict(v=1, d=1, b=1, f=2), dict(v=7, d=5, b=3, f=9), dict(v=30, d=2, b=1, f=1)]
paper.add("fm_soft", TABLES, soft_inputs, fm_soft)
paper.add("fm_hard", TABLES, hard_inputs, fm_hard)
paper.add("ipnn", [dict(b=5, f=4, d=3), dict(b=1, f=2, d=1), dict(b=2, f=9, d=2), dict(b=7, f=3, d=17), dict(b=3, f=1, d=2), dict(b=2, f=0, d=3)], ipnn_inputs, ipnn)
paper.add("cross", [dict(b=5, m=6, l=2), dict(b=1, m=1, l=1), dict(b=3, m=9, l=4), dict(b=2, m=3, l=0)], cross_inputs, cross)


@paper.property("fm_soft")
def the_pair_sum_is_half_the_square_less_the_squares(call, g):
    got = call("fm_soft", **soft_inputs(g, v=10, d=4, b=6, f=5))
    e = got["e"]
    call.near("y", got["y"], 0.5 * (e.sum(axis=1) ** 2 - (e**2).sum(axis=1)).sum(axis=1))


@paper.property("fm_soft", "fm_hard")
def hot_gates_are_hard(call, g):
    inputs = hard_inputs(g, v=8, d=3, b=4, f=3)
    inputs["w"] = np.where(inputs["w"] > 0, inputs["w"] + 0.5, inputs["w"] - 0.5)
    hard = call("fm_hard", **inputs)
    soft = call("fm_soft", **inputs, tau=np.asarray(200.0))
    call.near("y", soft["y"] * START**2, hard["y"] * START**2)


@paper.property("fm_hard")
def dropped_rows_do_not_count(call, g):
    inputs = hard_inputs(g, v=9, d=3, b=5, f=4)
    kept = np.flatnonzero(inputs["w"] > 0)
    place = np.full(9, len(kept))
    place[kept] = np.arange(len(kept))
    small = {"idx": place[inputs["idx"]], "E": np.concatenate([inputs["E"][kept], np.zeros((1, 3))]),
             "w": np.concatenate([inputs["w"][kept], [-1.0]])}
    call.near("y", call("fm_hard", **small)["y"], call("fm_hard", **inputs)["y"])


@paper.property()
def multiply_adds(call, g):
    call.holds("9.5x", round((39 * 38 / 2 * 16) / (2 * 39 * 16), 1) == 9.5)

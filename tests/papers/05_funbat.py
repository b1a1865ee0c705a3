"""References for paper 05: the whole grid, looked up."""

import numpy as np

from common import Paper

paper = Paper("05-funbat")


def predict(W, M1, M2, M3, idx):
    grid = np.tensordot(M1, np.tensordot(M2, np.tensordot(M3, W, axes=(1, 2)), axes=(1, 2)), axes=(1, 2))
    return {"yhat": grid[idx[:, 0], idx[:, 1], idx[:, 2]]}


def inputs(g, ranks, sizes, n):
    idx = np.stack([g.ints(0, size, n) for size in sizes], axis=1)
    return {"W": g.real(*ranks), **{f"M{m + 1}": g.real(sizes[m], ranks[m]) for m in range(3)}, "idx": idx}


paper.add("predict", [dict(ranks=(2, 3, 2), sizes=(5, 4, 6), n=12), dict(ranks=(1, 1, 1), sizes=(1, 1, 1), n=1),
                      dict(ranks=(4, 1, 3), sizes=(7, 1, 2), n=29), dict(ranks=(2, 5, 2), sizes=(3, 9, 4), n=1)], inputs, predict)


@paper.property("predict")
def prediction_is_linear_in_the_core(call, g):
    first = inputs(g, (2, 3, 2), (5, 4, 6), 8)
    second = {**first, "W": g.real(2, 3, 2)}
    both = {**first, "W": first["W"] + second["W"]}
    total = call("predict", **first)["yhat"] + call("predict", **second)["yhat"]
    call.near("yhat", call("predict", **both)["yhat"], total, slack=4)


@paper.property("predict")
def repeated_positions_agree(call, g):
    one = inputs(g, (2, 2, 2), (3, 4, 5), 1)
    many = {**one, "idx": np.repeat(one["idx"], 6, axis=0)}
    call.near("yhat", call("predict", **many)["yhat"], np.full(6, call("predict", **one)["yhat"][0]))


@paper.property()
def stored_means(call, g):
    call.holds("7,197 + core", 3 * (428 + 501 + 1461) + 27 == 7197)
    call.holds("3.1e8", round(428 * 501 * 1461 / 1e8, 1) == 3.1)

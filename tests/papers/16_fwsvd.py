"""References for paper 16: one sample's gradient at a time."""

import numpy as np

from common import Paper

paper = Paper("16-fwsvd")


def fisher_linear(X, GY):
    F = sum((x.T @ gy) ** 2 for x, gy in zip(X, GY)) / len(X)
    return {"F": F, "frow": F.sum(axis=1)}


def forward(X, A, B, bias):
    return {"Y": X @ (A @ B) + bias}


def fisher_inputs(g, n, t, i, j):
    return {"X": g.real(n, t, i), "GY": g.real(n, t, j)}


def forward_inputs(g, n, i, r, j):
    return {"X": g.real(n, i), "A": g.real(i, r), "B": g.real(r, j), "bias": g.real(j)}


paper.add("fisher_linear", [dict(n=5, t=4, i=12, j=8), dict(n=1, t=1, i=1, j=1), dict(n=9, t=1, i=3, j=7), dict(n=1, t=17, i=5, j=1)],
          fisher_inputs, fisher_linear)
paper.add("forward", [dict(n=6, i=12, r=3, j=8), dict(n=1, i=1, r=1, j=1), dict(n=19, i=5, r=7, j=2)], forward_inputs, forward)


@paper.property("fisher_linear")
def square_stands_between_the_sums(call, g):
    inputs = fisher_inputs(g, 3, 4, 2, 2)
    order = np.argsort(g.real(4))
    shuffled = {name: value[:, order] for name, value in inputs.items()}
    F = call("fisher_linear", **inputs)["F"]
    call.near("positions in any order", call("fisher_linear", **shuffled)["F"], F, slack=4)
    apart = {name: value.reshape(12, 1, 2) for name, value in inputs.items()}
    call.holds("not the sum of squares", np.abs(4 * call("fisher_linear", **apart)["F"] - F).max() > 1e-3)


@paper.property()
def break_even(call, g):
    call.holds("384", 768 * 768 / (768 + 768) == 384)
    call.holds("614", int(768 * 3072 / (768 + 3072)) == 614)

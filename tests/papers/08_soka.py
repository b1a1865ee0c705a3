"""References for paper 08: explicit Kronecker products."""

import numpy as np

from common import Paper

paper = Paper("08-soka")


def merge(W0, s, A, B):
    return {"W": W0 + sum(s[r] * np.kron(A[r], B[r]) for r in range(len(s)))}


def forward(X, **rest):
    return {"Y": X @ merge(**rest)["W"].T}


def rank_energy(sv, eta):
    total = np.sum(sv**2)
    rank = 1
    while np.sum(sv[:rank] ** 2) < eta * total and rank < len(sv):
        rank += 1
    return {"rank": np.int64(rank)}


def merge_inputs(g, m, n, p, q, r):
    return {"W0": g.real(m * p, n * q), "s": g.real(r), "A": g.real(r, m, n), "B": g.real(r, p, q)}


def forward_inputs(g, t, **size):
    return {"X": g.real(t, size["n"] * size["q"]), **merge_inputs(g, **size)}


def energy_inputs(g, k, eta):
    return {"sv": np.sort(g.uniform(0.1, 3, k))[::-1].copy(), "eta": np.asarray(eta)}


SIZES = [dict(m=3, n=4, p=2, q=5, r=2), dict(m=1, n=3, p=4, q=1, r=1), dict(m=5, n=1, p=1, q=7, r=3), dict(m=1, n=1, p=1, q=1, r=1)]
paper.add("merge", SIZES, merge_inputs, merge)
paper.add("forward", [dict(t=t, **s) for t, s in zip((4, 1, 17, 3), SIZES)], forward_inputs, forward)
paper.add("rank_energy", [dict(k=12, eta=0.9), dict(k=1, eta=0.5), dict(k=7, eta=0.01), dict(k=9, eta=0.995), dict(k=5, eta=1e-9)],
          energy_inputs, rank_energy)


@paper.property("merge", "forward")
def factored_equals_merged(call, g):
    inputs = forward_inputs(g, 6, m=3, n=2, p=4, q=3, r=2)
    X = inputs.pop("X")
    W = call("merge", **inputs)["W"]
    call.near("Y", call("forward", X=X, **inputs)["Y"], X @ W.T, slack=4)


@paper.property("rank_energy")
def whole_energy_needs_every_value(call, g):
    call.holds("rank 4", call("rank_energy", sv=np.array([4.0, 2.0, 1.0, 1.0]), eta=np.asarray(1.0))["rank"] == 4)
    call.holds("rank 1", call("rank_energy", sv=np.array([4.0, 2.0, 1.0, 1.0]), eta=np.asarray(0.0))["rank"] == 1)
    call.holds("equality is enough", call("rank_energy", sv=np.array([2.0, 2.0]), eta=np.asarray(0.5))["rank"] == 1)


@paper.property()
def parameters(call, g):
    inputs = merge_inputs(g, 64, 64, 64, 64, 1)
    call.holds("8,193", sum(inputs[name].size for name in ("s", "A", "B")) == 8193)
    call.holds("32x", 4096 * 4096 == 32 * 2 * 64 * 64 * 64)

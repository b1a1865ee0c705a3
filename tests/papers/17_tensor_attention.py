"""References for paper 17: the whole block of scores, and Taylor polynomials by monomials."""

from itertools import combinations_with_replacement
from math import comb, factorial

import numpy as np

from common import Paper

paper = Paper("17-tensor-attention")


def khatri_rao(K1, K2):
    return {"K": np.stack([np.kron(K1[:, d], K2[:, d]) for d in range(K1.shape[1])], axis=1)}


def weighted(S, values):
    """Values under the softmax of scores over all axes but the first."""
    P = np.exp(S - S.reshape(len(S), -1).max(axis=1).reshape((-1,) + (1,) * (S.ndim - 1)))
    P /= P.reshape(len(S), -1).sum(axis=1).reshape((-1,) + (1,) * (S.ndim - 1))
    return np.tensordot(P, values, axes=S.ndim - 1)


def scores(Q, K1, K2):
    pairs = K1[:, None, :] * K2[None, :, :]
    return np.tensordot(Q, pairs, axes=(1, 2)) / Q.shape[1]


def attention(Q, K1, K2, V1, V2, causal):
    Y = []
    for h in range(len(Q)):
        S = scores(Q[h], K1[h], K2[h])
        if causal:
            i, j, k = np.ogrid[: S.shape[0], : S.shape[1], : S.shape[2]]
            S = np.where((j <= i) & (k <= i), S, -np.inf)
        Y.append(weighted(S, V1[h][:, None] * V2[h][None, :]))
    return {"Y": np.stack(Y)}


def attn3(**tensors):
    return attention(causal=False, **tensors)


def attn3_causal(**tensors):
    return attention(causal=True, **tensors)


def monomials(X, degree):
    """The values and the exponents of all monomials up to a degree."""
    columns, exponents = [], []
    for total in range(degree + 1):
        for chosen in combinations_with_replacement(range(X.shape[1]), total):
            columns.append(np.prod(X[:, list(chosen)], axis=1) if chosen else np.ones(len(X)))
            exponents.append(np.bincount(np.array(chosen, dtype=int), minlength=X.shape[1]))
    return np.stack(columns, axis=1), exponents


def taylor(Q, K1, K2, V1, V2, degree):
    Y = []
    for h in range(len(Q)):
        D = Q.shape[2]
        (q, exponents), (k1, _), (k2, _) = (monomials(x[h], degree) for x in (Q, K1, K2))
        assert len(exponents) == comb(D + degree, degree)
        coef = np.array([1 / (np.prod([factorial(n) for n in e]) * float(D) ** e.sum()) for e in exponents])
        num = (q * coef) @ ((k1.T @ V1[h]) * (k2.T @ V2[h]))
        den = (q * coef) @ (k1.sum(axis=0) * k2.sum(axis=0))
        Y.append(num / den[:, None])
    return {"Y": np.stack(Y)}


def attn3_taylor2(**tensors):
    return taylor(degree=2, **tensors)


def attn3_taylor3(**tensors):
    return taylor(degree=3, **tensors)


def attn4(Q, K1, K2, K3, V1, V2, V3):
    triples = K1[:, None, None] * K2[None, :, None] * K3[None, None, :]
    S = np.tensordot(Q, triples, axes=(1, 3)) / Q.shape[1]
    return {"Y": weighted(S, V1[:, None, None] * V2[None, :, None] * V3[None, None, :])}


def pairs_inputs(g, j, k, d):
    return {"K1": g.real(j, d), "K2": g.real(k, d)}


def attn_inputs(g, h, i, j, k, d, e, scale=1.0):
    return {"Q": g.real(h, i, d, scale=scale), "K1": g.real(h, j, d, scale=scale), "K2": g.real(h, k, d, scale=scale),
            "V1": g.real(h, j, e), "V2": g.real(h, k, e)}


def attn4_inputs(g, i, j, k, l, d, e):
    return {"Q": g.real(i, d), "K1": g.real(j, d), "K2": g.real(k, d), "K3": g.real(l, d),
            "V1": g.real(j, e), "V2": g.real(k, e), "V3": g.real(l, e)}


SIZES = [dict(h=2, i=8, j=6, k=7, d=4, e=5), dict(h=1, i=1, j=1, k=1, d=1, e=1), dict(h=1, i=3, j=9, k=2, d=5, e=1),
         dict(h=3, i=5, j=1, k=4, d=1, e=2)]
# So large that the scores are made in slices.
SLICED = [dict(h=2, i=60, j=50, k=70, d=8, e=9)]
# Without features the scores are empty sums, and every pair weighs the same.
EMPTY = [dict(h=1, i=3, j=4, k=5, d=0, e=2)]
paper.add("khatri_rao", [dict(j=3, k=4, d=5), dict(j=1, k=1, d=1), dict(j=7, k=1, d=2)], pairs_inputs, khatri_rao)
paper.add("attn3", SIZES + SLICED, attn_inputs, attn3)
paper.add("attn3_causal", SIZES + SLICED, attn_inputs, attn3_causal)
paper.add("attn3_taylor2", [dict(**s, scale=0.5) for s in SIZES + EMPTY], attn_inputs, attn3_taylor2)
paper.add("attn3_taylor3", [dict(**s, scale=0.3) for s in SIZES + EMPTY], attn_inputs, attn3_taylor3)
paper.add("attn4", [dict(i=4, j=3, k=5, l=2, d=4, e=3), dict(i=1, j=1, k=1, l=1, d=1, e=1), dict(i=7, j=2, k=1, l=3, d=2, e=5)],
          attn4_inputs, attn4)


@paper.property("attn3")
def one_second_key_is_ordinary_attention(call, g):
    inputs = attn_inputs(g, 2, 5, 6, 1, 4, 3)
    inputs["K2"], inputs["V2"] = np.ones((2, 1, 4)), np.ones((2, 1, 3))
    logits = np.einsum("hid,hjd->hij", inputs["Q"], inputs["K1"]) / 4
    P = np.exp(logits - logits.max(axis=2, keepdims=True))
    P /= P.sum(axis=2, keepdims=True)
    call.near("Y", call("attn3", **inputs)["Y"], P @ inputs["V1"], slack=4)


@paper.property("attn3", "attn3_causal")
def large_logits_do_not_overflow(call, g):
    inputs = attn_inputs(g, 1, 4, 5, 5, 3, 2, scale=20.0)
    for program in ("attn3", "attn3_causal"):
        call.holds(f"finite {program}", np.all(np.isfinite(call(program, **inputs)["Y"])))


@paper.property("attn3", "attn3_causal")
def rows_of_weights_sum_to_one(call, g):
    inputs = attn_inputs(g, 2, 4, 5, 3, 3, 2)
    inputs["V1"], inputs["V2"] = np.ones((2, 5, 2)), np.ones((2, 3, 2))
    for program in ("attn3", "attn3_causal"):
        call.near(program, call(program, **inputs)["Y"], np.ones((2, 4, 2)))


@paper.property("attn3", "attn3_taylor2", "attn3_taylor3")
def the_polynomial_comes_close(call, g):
    inputs = attn_inputs(g, 1, 6, 6, 6, 4, 3, scale=0.5)
    exact = call("attn3", **inputs)["Y"]
    second, third = (np.abs(call(f"attn3_taylor{n}", **inputs)["Y"] - exact).max() for n in (2, 3))
    call.holds("closer by degree", third < second < 0.05)

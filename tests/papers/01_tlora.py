"""References for paper 01: dense T and Delta by explicit digits, then ordinary products."""

from itertools import product

import numpy as np

from common import Paper

paper = Paper("01-tlora")


def little(digits, bases):
    """The number whose first digit is the lowest."""
    value, place = 0, 1
    for digit, base in zip(digits, bases):
        value += place * digit
        place *= base
    return value


def ring(cores):
    """The trace of a chain of matrices."""
    chain = cores[0]
    for core in cores[1:]:
        chain = chain @ core
    return np.trace(chain)


def transform(cores):
    bases = [core.shape[0] for core in cores]
    size = int(np.prod(bases))
    T = np.zeros((size, size))
    for rows in product(*map(range, bases)):
        for columns in product(*map(range, bases)):
            parts = [core[r, c] for core, r, c in zip(cores, rows, columns)]
            T[little(rows, bases), little(columns, bases)] = ring(parts)
    return T


def residual(B, C):
    outs, ins = [b.shape[0] for b in B], [c.shape[0] for c in C]
    Delta = np.zeros((int(np.prod(outs)), int(np.prod(ins))))
    for rows in product(*map(range, outs)):
        for columns in product(*map(range, ins)):
            parts = [b[r] for b, r in zip(B, rows)] + [c[j] for c, j in zip(C, columns)]
            Delta[little(rows, outs), little(columns, ins)] = ring(parts)
    return Delta


def merged(W0, A, B, C):
    T, Delta = transform(A), residual(B, C)
    return T, Delta, W0 @ T + Delta


def merge3(W0, A1, A2, A3, B1, B2, B3, C1, C2, C3):
    T, Delta, W = merged(W0, [A1, A2, A3], [B1, B2, B3], [C1, C2, C3])
    return {"T": T, "Delta": Delta, "W": W}


def forward3(X, **rest):
    return {"Y": X @ merge3(**rest)["W"].T}


def forward2(X, W0, A1, A2, B1, B2, C1, C2):
    return {"Y": X @ merged(W0, [A1, A2], [B1, B2], [C1, C2])[2].T}


def reg_identity3(A1, A2, A3):
    reg = 0.0
    for A in (A1, A2, A3):
        target = np.eye(A.shape[0])[:, :, None, None] / A.shape[2]
        reg += np.sqrt(((A - target) ** 2).sum(axis=(0, 1))).sum()
    return {"reg": reg}


def trm_product2(A1, A2, B1, B2):
    def pair(A, B):
        i, k, a, b = A.shape
        j, _, c, d = B.shape
        C = np.zeros((i, j, a * c, b * d))
        for row in range(i):
            for column in range(j):
                for step in range(k):
                    C[row, column] += np.kron(A[row, step], B[column, step])
        return C

    return {"C1": pair(A1, B1), "C2": pair(A2, B2)}


def cores3(g, I, O, ranks, S, square=False):
    a, b, c = ranks
    A = {"A1": g.real(I[0], I[0], a, b), "A2": g.real(I[1], I[1], b, c), "A3": g.real(I[2], I[2], c, a)}
    dims = list(O) + list(I)
    names = ["B1", "B2", "B3", "C1", "C2", "C3"]
    BC = {name: g.real(dims[k], S[k], S[(k + 1) % 6]) for k, name in enumerate(names)}
    return {**A, **BC}


def merge3_inputs(g, I, O, ranks, S):
    return {"W0": g.real(int(np.prod(O)), int(np.prod(I))), **cores3(g, I, O, ranks, S)}


def forward3_inputs(g, n, **size):
    inputs = merge3_inputs(g, **size)
    return {"X": g.real(n, inputs["W0"].shape[1]), **inputs}


def forward2_inputs(g, n, I, O, ranks, S):
    (a, b), dims = ranks, list(O) + list(I)
    BC = {name: g.real(dims[k], S[k], S[(k + 1) % 4]) for k, name in enumerate(["B1", "B2", "C1", "C2"])}
    return {"X": g.real(n, I[0] * I[1]), "W0": g.real(O[0] * O[1], I[0] * I[1]),
            "A1": g.real(I[0], I[0], a, b), "A2": g.real(I[1], I[1], b, a), **BC}


def reg_inputs(g, I, ranks):
    a, b, c = ranks
    return {"A1": g.real(I[0], I[0], a, b), "A2": g.real(I[1], I[1], b, c), "A3": g.real(I[2], I[2], c, a)}


def product_inputs(g, I, J, K, ranks):
    a, b, c, d = ranks
    return {"A1": g.real(I[0], K[0], a, b), "A2": g.real(I[1], K[1], b, a),
            "B1": g.real(J[0], K[0], c, d), "B2": g.real(J[1], K[1], d, c)}


SHAPES = [
    dict(I=(3, 2, 5), O=(2, 4, 3), ranks=(2, 3, 2), S=(2, 3, 1, 2, 3, 2)),
    dict(I=(1, 4, 2), O=(3, 1, 1), ranks=(1, 2, 3), S=(1, 2, 2, 1, 3, 1)),
    dict(I=(1, 1, 1), O=(1, 1, 1), ranks=(1, 1, 1), S=(1, 1, 1, 1, 1, 1)),
    dict(I=(2, 3, 2), O=(4, 2, 3), ranks=(3, 3, 3), S=(2, 2, 2, 2, 2, 2)),
]
paper.add("merge3", SHAPES, merge3_inputs, merge3)
paper.add("forward3", [dict(n=n, **s) for n, s in zip((5, 1, 1, 17), SHAPES)], forward3_inputs, forward3)
paper.add("forward2", [
    dict(n=7, I=(3, 5), O=(4, 2), ranks=(2, 3), S=(2, 3, 1, 2)),
    dict(n=1, I=(1, 6), O=(5, 1), ranks=(1, 2), S=(1, 2, 2, 1)),
    dict(n=33, I=(4, 3), O=(3, 3), ranks=(2, 2), S=(2, 2, 2, 2)),
    dict(n=2, I=(1, 1), O=(1, 1), ranks=(1, 1), S=(1, 1, 1, 1)),
], forward2_inputs, forward2)
paper.add("reg_identity3", [dict(I=(3, 2, 5), ranks=(2, 3, 4)), dict(I=(1, 4, 1), ranks=(2, 2, 2)),
                            dict(I=(1, 1, 1), ranks=(1, 1, 1))], reg_inputs, reg_identity3)
paper.add("trm_product2", [dict(I=(2, 3), J=(4, 2), K=(3, 5), ranks=(2, 3, 2, 1)),
                           dict(I=(1, 1), J=(3, 1), K=(1, 2), ranks=(1, 2, 3, 2)),
                           dict(I=(3, 2), J=(1, 2), K=(4, 1), ranks=(2, 2, 2, 2))], product_inputs, trm_product2)


@paper.property("merge3", "forward3")
def forward_is_merged_product(call, g):
    inputs = forward3_inputs(g, 6, I=(2, 3, 4), O=(3, 2, 2), ranks=(2, 2, 3), S=(2, 2, 3, 2, 2, 2))
    W = call("merge3", **{k: v for k, v in inputs.items() if k != "X"})["W"]
    call.near("Y", call("forward3", **inputs)["Y"], inputs["X"] @ W.T, slack=4)


@paper.property("forward3", "reg_identity3")
def identity_start_is_the_frozen_layer(call, g):
    I, O, R = (2, 3, 2), (2, 1, 3), 2
    inputs = forward3_inputs(g, 5, I=I, O=O, ranks=(R, R, R), S=(2, 2, 2, 2, 2, 2))
    for k, name in enumerate(["A1", "A2", "A3"]):
        inputs[name] = np.broadcast_to(np.eye(I[k])[:, :, None, None] / R, (I[k], I[k], R, R)).copy()
    inputs["B1"] = np.zeros_like(inputs["B1"])
    call.near("Y", call("forward3", **inputs)["Y"], inputs["X"] @ inputs["W0"].T)
    reg = call("reg_identity3", **{k: inputs[k] for k in ("A1", "A2", "A3")})["reg"]
    call.holds("the identity start has no regulariser", abs(reg) < 1e-6)


@paper.property("trm_product2")
def product_of_rings_is_a_ring(call, g):
    inputs = product_inputs(g, I=(2, 3), J=(3, 2), K=(2, 4), ranks=(2, 1, 2, 3))
    C = call("trm_product2", **inputs)

    def dense(first, second):
        (i1, j1), (i2, j2) = first.shape[:2], second.shape[:2]
        T = np.zeros((i1 * i2, j1 * j2))
        for r1, c1, r2, c2 in product(range(i1), range(j1), range(i2), range(j2)):
            T[r1 + i1 * r2, c1 + j1 * c2] = np.trace(first[r1, c1] @ second[r2, c2])
        return T

    left = dense(inputs["A1"], inputs["A2"]) @ dense(inputs["B1"], inputs["B2"]).T
    call.near("product", dense(C["C1"], C["C2"]), left, slack=4)


@paper.property()
def parameters_of_stable_diffusion(call, g):
    """The counts of the paper: 16 blocks, each with a self-attention and a cross-attention of four projections."""
    factors = {320: (5, 8, 8), 640: (8, 8, 10), 1280: (8, 10, 16), 768: (8, 8, 12)}
    layers = []
    for width, blocks in ((320, 5), (640, 5), (1280, 6)):
        layers += [(width, width)] * (6 * blocks) + [(width, 768)] * (2 * blocks)
    trm = sum(sum(i * i for i in factors[i_]) * 4 for _, i_ in layers)
    ring = sum((sum(factors[o]) + sum(factors[i])) * 36 for o, i in layers)
    lora = sum(4 * (o + i) for o, i in layers)
    call.holds("LoRA rank 4 has 797,184 parameters", lora == 797_184)
    call.holds("TRM rank 2 with TR rank 6 has 394,528 parameters", trm + ring == 394_528)
    call.holds("TRM rank 2 with LoRA rank 4 has 938,200 parameters", trm + lora == 938_200)

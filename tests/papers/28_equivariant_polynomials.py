"""References for paper 28: every polynomial by one unordered einsum over all index values."""

import numpy as np

from common import Paper

paper = Paper("28-equivariant-polynomials")


def einsum(spec, *operands):
    return np.einsum(spec, *operands, optimize=False)


def diamond_edge(A):
    return {"Q": einsum("bij,bik,bil,bjk,bjl->bkl", A, A, A, A, A)}


def k4_edge(A):
    return {"Q": A * diamond_edge(A)["Q"]}


def k4_node(A):
    return {"q": k4_edge(A)["Q"].sum(axis=2)}


def k4_scalar(A):
    return {"q": k4_edge(A)["Q"].sum(axis=(1, 2))}


def deg6_mix(A):
    Q0 = einsum("bim,bjm,bik,bil,bjk,bjl->bkl", A, A, A, A, A, A)
    Q1 = einsum("bkm,bmi,bmj,bij,bil,bjl->bkl", A, A, A, A, A, A)
    Q2 = einsum("bim,bmk,bij,bil,bjk,bjl->bkl", A, A, A, A, A, A)
    return {"Q": np.stack([Q0, Q1, Q2], axis=1)}


def cycle6(A):
    return {"q": np.array([np.trace(np.linalg.matrix_power(a, 6)) for a in A])}


def ppgn_layer(X, W1, c1, W2, c2, Ws, cs):
    Y0 = np.concatenate([X, np.swapaxes(X, 2, 3)], axis=1)
    M1 = np.maximum(np.einsum("bdij,do->boij", Y0, W1) + c1[:, None, None], 0)
    M2 = np.maximum(np.einsum("bdij,do->boij", X, W2) + c2[:, None, None], 0)
    Z = np.concatenate([X, M1 @ M2], axis=1)
    return {"Y": np.einsum("bgij,gp->bpij", Z, Ws) + cs[:, None, None]}


def graphs(g, b, n, weighted=True):
    A = g.real(b, n, n, scale=0.7) if weighted else g.flags(b, n, n)
    A = np.triu(A, 1)
    return {"A": A + np.swapaxes(A, 1, 2)}


def layer_inputs(g, b, c, n, o, p):
    return {"X": g.real(b, c, n, n), "W1": g.real(2 * c, o), "c1": g.real(o), "W2": g.real(c, o), "c2": g.real(o),
            "Ws": g.real(c + o, p), "cs": g.real(p)}


SIZES = [dict(b=3, n=4), dict(b=1, n=6), dict(b=2, n=7, weighted=False), dict(b=1, n=1), dict(b=2, n=2)]
for reference in (diamond_edge, k4_scalar, k4_node, k4_edge, deg6_mix, cycle6):
    paper.add(reference.__name__, SIZES, graphs, reference)
paper.add("ppgn_layer", [dict(b=2, c=3, n=4, o=5, p=2), dict(b=1, c=1, n=1, o=1, p=1), dict(b=1, c=2, n=9, o=3, p=4)],
          layer_inputs, ppgn_layer)


def cycle(n):
    A = np.zeros((1, n, n))
    for i in range(n):
        A[0, i, (i + 1) % n] = A[0, (i + 1) % n, i] = 1
    return A


def rook():
    A = np.zeros((1, 16, 16))
    for i in range(16):
        for j in range(16):
            A[0, i, j] = i != j and (i // 4 == j // 4 or i % 4 == j % 4)
    return A


def shrikhande():
    A = np.zeros((1, 16, 16))
    for r in range(4):
        for c in range(4):
            for dr, dc in ((0, 1), (1, 0), (1, 1)):
                for sign in (1, -1):
                    A[0, 4 * r + c, 4 * ((r + sign * dr) % 4) + (c + sign * dc) % 4] = 1
    return A


@paper.property("diamond_edge", "k4_scalar", "k4_node", "k4_edge", "deg6_mix", "cycle6")
def relabelling_nodes_relabels_results(call, g):
    A = graphs(g, 2, 6)["A"]
    order = g.permutation(6)
    B = A[:, order][:, :, order]
    for name, result in (("diamond_edge", "Q"), ("k4_edge", "Q"), ("deg6_mix", "Q")):
        call.near(name, call(name, A=B)[result], call(name, A=A)[result][..., order, :][..., order], slack=4)
    call.near("k4_node", call("k4_node", A=B)["q"], call("k4_node", A=A)["q"][:, order], slack=4)
    for name in ("k4_scalar", "cycle6"):
        call.near(name, call(name, A=B)["q"], call(name, A=A)["q"], slack=4)


@paper.property("diamond_edge", "k4_scalar", "cycle6")
def small_graphs(call, g):
    K4 = np.ones((1, 4, 4)) - np.eye(4)
    call.near("diamond_edge of K4", call("diamond_edge", A=K4)["Q"][0], 2 + 4 * np.eye(4))
    call.near("k4_scalar of K4", call("k4_scalar", A=K4)["q"], np.array([24.0]))
    call.near("cycle6 of K4", call("cycle6", A=K4)["q"], np.array([732.0]))
    call.near("diamond_edge of a 5-cycle", call("diamond_edge", A=cycle(5))["Q"], np.zeros((1, 5, 5)))
    call.near("cycle6 of a 5-cycle", call("cycle6", A=cycle(5))["q"], np.array([100.0]))


@paper.property("k4_scalar")
def counts_four_cliques(call, g):
    A = graphs(g, 1, 7, weighted=False)["A"]
    from itertools import combinations
    cliques = sum(all(A[0, i, j] for i, j in combinations(c, 2)) for c in combinations(range(7), 4))
    call.near("24 per clique", call("k4_scalar", A=A)["q"], np.array([24.0 * cliques]))


@paper.property("cycle6", "diamond_edge", "k4_scalar")
def rook_and_shrikhande(call, g):
    both = np.concatenate([rook(), shrikhande()])
    closed = call("cycle6", A=both)["q"]
    call.holds("equal cycle6", closed[0] == closed[1])
    total = call("diamond_edge", A=both)["Q"].sum(axis=(1, 2))
    call.holds("equal sum of diamond_edge", total[0] == total[1])
    call.near("k4_scalar", call("k4_scalar", A=both)["q"], np.array([192.0, 0.0]))

"""References for paper 07: interpolation by solving with the Chebyshev matrix, recurrences, and sums over particles."""

import numpy as np

from common import Paper

paper = Paper("07-chebtuck")


def nodes(m):
    return np.cos(np.pi * np.arange(m) / (m - 1))


def vals2coeffs(F):
    C = F
    for axis, m in enumerate(F.shape):
        T = np.polynomial.chebyshev.chebvander(nodes(m), m - 1)
        C = np.moveaxis(np.linalg.solve(T, np.moveaxis(C, axis, 0).reshape(m, -1)).reshape(
            (m,) + tuple(np.delete(C.shape, axis))), 0, axis)
    return {"C": C}


def potential(x1, x2, x3, pos, z, w, t):
    x, y, v = np.meshgrid(x1, x2, x3, indexing="ij")
    F = np.zeros(x.shape)
    for charge, (a, b, c) in zip(z, pos):
        distance2 = (x - a) ** 2 + (y - b) ** 2 + (v - c) ** 2
        for weight, exponent in zip(w, t):
            F += charge * weight * np.exp(-(exponent**2) * distance2)
    return {"F": F}


def coefficients(G, V1, V2, V3):
    C = np.tensordot(G, V3, axes=(2, 1))
    C = np.moveaxis(np.tensordot(C, V2, axes=(1, 1)), 2, 1)
    return np.moveaxis(np.tensordot(C, V1, axes=(0, 1)), 2, 0)


def eval_points(G, V1, V2, V3, X):
    C = coefficients(G, V1, V2, V3)
    return {"f": np.polynomial.chebyshev.chebval3d(X[:, 0], X[:, 1], X[:, 2], C)}


def eval_grid(G, V1, V2, V3, x1, x2, x3):
    return {"F": np.polynomial.chebyshev.chebgrid3d(x1, x2, x3, coefficients(G, V1, V2, V3))}


def values(g, m):
    return {"F": g.real(*m)}


def potential_inputs(g, n, s, q):
    return {**{f"x{d + 1}": g.uniform(-1, 1, n[d]) for d in range(3)}, "pos": g.uniform(-1, 1, s, 3), "z": g.real(s),
            "w": g.uniform(0.2, 1, q), "t": g.uniform(0.3, 2, q)}


def tucker(g, m, r):
    return {"G": g.real(*r), **{f"V{d + 1}": g.real(m[d], r[d]) for d in range(3)}}


def points_inputs(g, m, r, n):
    return {**tucker(g, m, r), "X": g.uniform(-1, 1, n, 3)}


def grid_inputs(g, m, r, n):
    return {**tucker(g, m, r), **{f"x{d + 1}": g.uniform(-1, 1, n[d]) for d in range(3)}}


paper.add("vals2coeffs", [dict(m=(8, 9, 10)), dict(m=(2, 3, 2)), dict(m=(5, 2, 17))], values, vals2coeffs)
paper.add("potential", [dict(n=(5, 6, 4), s=4, q=2), dict(n=(1, 1, 1), s=1, q=1), dict(n=(7, 1, 3), s=9, q=3),
                        dict(n=(40, 41, 43), s=50, q=4)],
          potential_inputs, potential)
paper.add("eval_points", [dict(m=(8, 9, 10), r=(3, 3, 3), n=7), dict(m=(1, 1, 1), r=(1, 1, 1), n=1),
                          dict(m=(4, 12, 1), r=(2, 5, 1), n=19)], points_inputs, eval_points)
paper.add("eval_grid", [dict(m=(8, 9, 10), r=(3, 3, 3), n=(4, 5, 6)), dict(m=(1, 2, 3), r=(1, 1, 2), n=(1, 1, 1)),
                        dict(m=(6, 4, 1), r=(2, 4, 1), n=(9, 1, 3))], grid_inputs, eval_grid)


@paper.property("vals2coeffs", "eval_grid")
def the_series_interpolates(call, g):
    F = g.real(5, 4, 6)
    C = call("vals2coeffs", F=F)["C"]
    eye = {f"V{d + 1}": np.eye(m) for d, m in enumerate(F.shape)}
    grid = {f"x{d + 1}": np.clip(nodes(m), -1, 1) for d, m in enumerate(F.shape)}
    call.near("F", call("eval_grid", G=C, **eye, **grid)["F"], F, slack=10)


@paper.property("eval_points", "eval_grid")
def points_and_grid_agree(call, g):
    inputs = grid_inputs(g, (5, 6, 4), (2, 3, 2), (3, 3, 3))
    F = call("eval_grid", **inputs)["F"]
    X = np.stack([inputs["x1"], inputs["x2"], inputs["x3"]], axis=1)
    core = {name: inputs[name] for name in ("G", "V1", "V2", "V3")}
    call.near("f", call("eval_points", **core, X=X)["f"], F[range(3), range(3), range(3)], slack=4)


@paper.property()
def storage(call, g):
    call.holds("15,740", sum(v.size for v in tucker(g, (129,) * 3, (20,) * 3).values()) == 15740)

"""References for paper 14: tables entry by entry, functions on the sphere point by point."""

import numpy as np

import sphere
from common import Paper

paper = Paper("14-price-of-freedom")


def coupled(x, y, C):
    """The table, one entry at a time."""
    out = np.zeros(x.shape[:-1] + (C.shape[2],))
    for a, b, c in np.argwhere(C != 0):
        out[..., c] += C[a, b, c] * x[..., a] * y[..., b]
    return out


def cgtp_dense(x, y, C):
    return {"out": coupled(x, y, C)}


def gtp_table(x, y, G):
    return {"out": coupled(x, y, G)}


def cgtp_sparse(x, y, ia, ib, ic, val, nc):
    out = np.zeros((len(x), nc))
    for a, b, c, v in zip(ia, ib, ic, val):
        out[:, c] += v * x[:, a] * y[:, b]
    return {"out": out}


def cgtp_weighted(x, y, C, path, w):
    out = np.stack([coupled(x[:, u], y, C) for u in range(x.shape[1])], axis=1)
    for c, p in enumerate(path):
        out[:, :, c] *= w[:, p]
    return {"out": out}


def gtp_grid(x, y, Yx, Yy, Yo, wq):
    points = (Yx @ x.T) * (Yy @ y.T)
    return {"out": np.tensordot(points, Yo * wq[..., None], axes=((0, 1), (0, 1)))}


def gtp_grid_sep(x, y, Px, Py, Po, Ex, Ey, Eo, wt, wf):
    def values(E, P, v):
        return np.stack([E @ np.sum(P * one, axis=1).T for one in v])  # n, f, t

    points = values(Ex, Px, x) * values(Ey, Py, y)
    out = np.zeros((len(x),) + Po.shape[1:])
    for t in range(len(wt)):
        for f in range(len(wf)):
            out += wt[t] * wf[f] * points[:, f, t, None, None] * (Po[t] * Eo[f])
    return {"out": out}


def mtp(x, y, B1, B2, B3):
    products = [(B1 @ x[n]) @ (B2 @ y[n]) for n in range(len(x))]
    return {"out": np.stack([np.tensordot(product, B3, axes=2) for product in products])}


def vstp(x, y, Yx, Yy, Yo, wq):
    out = np.zeros((len(x), 3, Yo.shape[2]))
    for t, f in np.ndindex(wq.shape):
        out += wq[t, f] * np.multiply.outer(np.cross(x @ Yx[t, f], y @ Yy[t, f]), Yo[t, f])
    return {"out": out}


def pair(g, n, a, b):
    return {"x": g.real(n, a), "y": g.real(n, b)}


def sparse_table(g, a, b, c):
    return g.real(a, b, c) * g.flags(a, b, c, share=0.3)


def dense_inputs(g, n, a, b, c):
    return {**pair(g, n, a, b), "C": sparse_table(g, a, b, c)}


def table_inputs(g, n, a, b, c):
    return {**pair(g, n, a, b), "G": sparse_table(g, a, b, c)}


def sparse_inputs(g, n, a, b, c, z):
    return {**pair(g, n, a, b), "ia": g.ints(0, a, z), "ib": g.ints(0, b, z), "ic": g.ints(0, c, z), "val": g.real(z),
            "nc": np.int64(c)}


def weighted_inputs(g, n, u, a, b, c, p):
    return {"x": g.real(n, u, a), "y": g.real(n, b), "C": sparse_table(g, a, b, c), "path": g.ints(0, p, c), "w": g.real(n, p, u)}


def grid_inputs(g, n, a, b, c, t, f):
    return {**pair(g, n, a, b), "Yx": g.real(t, f, a), "Yy": g.real(t, f, b), "Yo": g.real(t, f, c), "wq": g.real(t, f)}


def separable_inputs(g, n, l, m, t, f):
    x, y, o = zip(l, m)
    return {"x": g.real(n, *x), "y": g.real(n, *y), "Px": g.real(t, *x), "Py": g.real(t, *y), "Po": g.real(t, *o),
            "Ex": g.real(f, x[1]), "Ey": g.real(f, y[1]), "Eo": g.real(f, o[1]), "wt": g.real(t), "wf": g.real(f)}


def matrix_inputs(g, n, a, b, c, i, j, k):
    return {**pair(g, n, a, b), "B1": g.real(i, j, a), "B2": g.real(j, k, b), "B3": g.real(i, k, c)}


def vector_inputs(g, n, a, b, c, t, f):
    return {**grid_inputs(g, n, a, b, c, t, f), "x": g.real(n, 3, a), "y": g.real(n, 3, b)}


TABLES = [dict(n=4, a=4, b=4, c=9), dict(n=1, a=1, b=1, c=1), dict(n=17, a=9, b=4, c=5), dict(n=2, a=1, b=3, c=7)]
GRIDS = [dict(**TABLES[0], t=3, f=5), dict(**TABLES[1], t=1, f=1), dict(**TABLES[2], t=4, f=7)]
paper.add("cgtp_dense", TABLES, dense_inputs, cgtp_dense)
paper.add("gtp_table", TABLES, table_inputs, gtp_table)
paper.add("cgtp_sparse", [dict(**s, z=z) for s, z in zip(TABLES, (20, 1, 61, 5))], sparse_inputs, cgtp_sparse)
paper.add("cgtp_weighted", [dict(**s, u=u, p=p) for s, u, p in zip(TABLES, (3, 1, 2, 5), (4, 1, 2, 3))], weighted_inputs, cgtp_weighted)
paper.add("gtp_grid", GRIDS, grid_inputs, gtp_grid)
paper.add("gtp_grid_sep", [dict(n=4, l=(2, 2, 3), m=(3, 3, 5), t=3, f=5), dict(n=1, l=(1, 1, 1), m=(1, 1, 1), t=1, f=1),
                           dict(n=7, l=(3, 2, 4), m=(5, 3, 7), t=5, f=8)], separable_inputs, gtp_grid_sep)
paper.add("mtp", [dict(**s, i=i, j=j, k=k) for s, i, j, k in zip(TABLES, (3, 1, 2, 4), (2, 1, 5, 1), (4, 1, 3, 2))], matrix_inputs, mtp)
paper.add("vstp", GRIDS, vector_inputs, vstp)


def degree_one_table():
    """All couplings of degrees 0 and 1: columns (0,0)->0, (0,1)->1, (1,0)->1, (1,1)->0, (1,1)->1."""
    C = np.zeros((4, 4, 11))
    C[0, 0, 0] = 1
    for m in range(3):
        C[0, 1 + m, 1 + m] = C[1 + m, 0, 4 + m] = 1
        C[1 + m, 1 + m, 7] = 1 / np.sqrt(3)
        C[1 + m, 1 + (m + 1) % 3, 8 + (m + 2) % 3] = 1 / np.sqrt(2)
        C[1 + (m + 1) % 3, 1 + m, 8 + (m + 2) % 3] = -1 / np.sqrt(2)
    return C


@paper.property("cgtp_dense")
def clebsch_gordan_is_equivariant(call, g):
    D = sphere.wigner(1, sphere.proper(g.rotation(3)))
    out = np.zeros((11, 11))
    for start, size in ((0, 1), (1, 3), (4, 3), (7, 1), (8, 3)):
        block = D[1:, 1:] if size == 3 else D[:1, :1]
        out[start : start + size, start : start + size] = block
    x, y, C = g.real(5, 4), g.real(5, 4), degree_one_table()
    turned = call("cgtp_dense", x=x @ D.T, y=y @ D.T, C=C)["out"]
    call.near("out", turned, call("cgtp_dense", x=x, y=y, C=C)["out"] @ out.T, slack=10)


@paper.property("cgtp_dense", "gtp_table")
def only_clebsch_gordan_has_a_cross_product(call, g):
    x, y = np.zeros((3, 4)), np.zeros((3, 4))
    x[:, 1:], y[:, 1:] = g.real(3, 3), g.real(3, 3)
    length = np.linalg.norm(call("cgtp_dense", x=x, y=y, C=degree_one_table())["out"][:, 8:], axis=1)
    call.near("length", length, np.linalg.norm(np.cross(x[:, 1:], y[:, 1:]), axis=1) / np.sqrt(2), slack=4)
    call.holds("no l = 1 part", np.abs(call("gtp_table", x=x, y=y, G=sphere.gaunt(1, 1, 2))["out"][:, 1:4]).max() < 1e-6)


@paper.property("gtp_table", "gtp_grid", "gtp_grid_sep")
def the_routes_of_the_gaunt_product_agree(call, g):
    L1, L2, L3 = 2, 1, 3
    theta, phi, wq = sphere.grid(L1 + L2 + L3)
    x, y = g.real(6, (L1 + 1) ** 2), g.real(6, (L2 + 1) ** 2)
    Yx, Yy, Yo = (sphere.table(L, theta, phi) for L in (L1, L2, L3))
    out = call("gtp_table", x=x, y=y, G=sphere.gaunt(L1, L2, L3))["out"]
    call.near("grid", call("gtp_grid", x=x, y=y, Yx=Yx, Yy=Yy, Yo=Yo, wq=wq)["out"], out, slack=10)

    def padded(L, v):
        table = np.zeros(v.shape[:-1] + (L + 1, 2 * L + 1))
        for l in range(L + 1):
            table[..., l, L - l : L + l + 1] = v[..., l * l : (l + 1) ** 2]
        return table

    def split(L):
        """P[t,l,m] E[f,m] = Y[t,f,a]: the values at phi = 0 (cosines) or at the crest of a sine."""
        m = np.arange(-L, L + 1)
        crest = np.where(m < 0, np.pi / (2 * np.maximum(np.abs(m), 1)), 0.0)
        crests = [padded(L, sphere.harmonics(L, theta, np.full_like(theta, c)))[:, :, k] for k, c in enumerate(crest)]
        E = np.where(m < 0, np.sin(-m * phi[:, None]), np.cos(m * phi[:, None]))
        return np.stack(crests, axis=2), E

    (Px, Ex), (Py, Ey), (Po, Eo) = split(L1), split(L2), split(L3)
    step = 2 * np.pi / len(phi)
    separate = call("gtp_grid_sep", x=padded(L1, x), y=padded(L2, y), Px=Px, Py=Py, Po=Po, Ex=Ex, Ey=Ey, Eo=Eo,
                    wt=wq[:, 0] / step, wf=np.full(len(phi), step))["out"]
    call.near("separable grid", separate, padded(L3, out), slack=10)


@paper.property("gtp_grid")
def the_gaunt_product_is_equivariant(call, g):
    theta, phi, wq = sphere.grid(6)
    Y = sphere.table(2, theta, phi)
    D = sphere.wigner(2, sphere.proper(g.rotation(3)))
    x, y = g.real(4, 9), g.real(4, 9)
    product = lambda a, b: call("gtp_grid", x=a, y=b, Yx=Y, Yy=Y, Yo=Y, wq=wq)["out"]
    call.near("out", product(x @ D.T, y @ D.T), product(x, y) @ D.T, slack=20)


@paper.property("vstp")
def vector_signals_are_antisymmetric_and_equivariant(call, g):
    theta, phi, wq = sphere.grid(3)
    Y = sphere.table(1, theta, phi)
    rotation = sphere.proper(g.rotation(3))
    D = sphere.wigner(1, rotation)
    x, y = g.real(3, 3, 4), g.real(3, 3, 4)
    product = lambda a, b: call("vstp", x=a, y=b, Yx=Y, Yy=Y, Yo=Y, wq=wq)["out"]
    out = product(x, y)
    call.near("swapped", product(y, x), -out, slack=4)
    turn = lambda v: np.einsum("uv,nvb,ab->nua", rotation, v, D)
    call.near("turned", product(turn(x), turn(y)), turn(out), slack=20)


@paper.property("cgtp_sparse", "cgtp_dense")
def sparse_equals_dense(call, g):
    C = degree_one_table()
    ia, ib, ic = np.nonzero(C)
    x, y = g.real(5, 4), g.real(5, 4)
    sparse = call("cgtp_sparse", x=x, y=y, ia=ia, ib=ib, ic=ic, val=C[ia, ib, ic], nc=np.int64(11))["out"]
    call.near("out", sparse, call("cgtp_dense", x=x, y=y, C=C)["out"], slack=4)

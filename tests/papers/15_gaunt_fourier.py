"""References for paper 15: products of Fourier sums as convolutions of coefficients, by loops and by scipy."""

import numpy as np
from scipy.signal import convolve2d

import sphere
from common import Paper

paper = Paper("15-gaunt-fourier")


def sh2f(x, S):
    return {"F": np.tensordot(x, S, axes=1).astype(complex)}


def sh2f_sparse(x, S0, S1):
    F = np.zeros((len(x), S0.shape[2], S0.shape[1]), dtype=complex)
    for v in range(S0.shape[1]):
        F[:, :, v] = x[:, :, v] @ S0[:, v] + x[:, :, x.shape[2] - 1 - v] @ S1[:, v]
    return {"F": F}


def full(A, B):
    """The full convolution of the last two axes."""
    shape = A.shape[:-2]
    pairs = zip(A.reshape(-1, *A.shape[-2:]), B.reshape(-1, *B.shape[-2:]))
    parts = [convolve2d(a, b) for a, b in pairs]
    return np.stack(parts).reshape(*shape, *parts[0].shape)


def conv2d_full(A, B):
    return {"P": full(A, B)}


def f2sh(P, Z):
    return {"out": np.tensordot(P, Z, axes=((2, 3), (1, 2))).real}


def gtp_fourier(x, y, Sx, Sy, Z):
    return f2sh(full(sh2f(x, Sx)["F"], sh2f(y, Sy)["F"]), Z)


def gtp_direct(x, y, G):
    out = np.zeros(x.shape[:2] + (G.shape[2],))
    for a, b in np.ndindex(G.shape[:2]):
        out += (x[..., a] * y[..., b])[..., None] * G[a, b]
    return {"out": out}


def manybody3(x, S, Z):
    F = sh2f(x, S)["F"]
    return f2sh(full(full(F, F), F), Z)


def gtp_weighted(x, y, la, lb, lc, w1, w2, w3, Sx, Sy, Z):
    out = gtp_fourier(x * w1[:, la], y * w2[:, lb], Sx, Sy, Z)["out"]
    return {"out": out * w3[:, lc]}


def sh2f_inputs(g, n, h, a, u, v):
    return {"x": g.real(n, h, a), "S": g.complex(a, u, v)}


def sparse_inputs(g, n, l, v, u):
    return {"x": g.real(n, l, v), "S0": g.complex(l, v, u), "S1": g.complex(l, v, u)}


def conv_inputs(g, n, u, v, s, t):
    return {"A": g.complex(n, u, v), "B": g.complex(n, s, t)}


def f2sh_inputs(g, n, h, u, v, c):
    return {"P": g.complex(n, h, u, v), "Z": g.complex(c, u, v)}


def fourier_inputs(g, n, h, a, b, c, u, v, s, t):
    return {"x": g.real(n, h, a), "y": g.real(n, h, b), "Sx": g.complex(a, u, v), "Sy": g.complex(b, s, t),
            "Z": g.complex(c, u + s - 1, v + t - 1)}


def direct_inputs(g, n, h, a, b, c):
    return {"x": g.real(n, h, a), "y": g.real(n, h, b), "G": g.real(a, b, c)}


def manybody_inputs(g, n, h, a, u, v, c):
    return {"x": g.real(n, h, a), "S": g.complex(a, u, v), "Z": g.complex(c, 3 * u - 2, 3 * v - 2)}


def weighted_inputs(g, l, **size):
    h = size["h"]
    return {**fourier_inputs(g, **size), "la": g.ints(0, l[0], size["a"]), "lb": g.ints(0, l[1], size["b"]),
            "lc": g.ints(0, l[2], size["c"]), "w1": g.real(h, l[0]), "w2": g.real(h, l[1]), "w3": g.real(h, l[2])}


FOURIER = [dict(n=3, h=2, a=4, b=4, c=9, u=3, v=3, s=3, t=3), dict(n=1, h=1, a=1, b=1, c=1, u=1, v=1, s=1, t=1),
           dict(n=2, h=3, a=9, b=4, c=5, u=5, v=4, s=2, t=3)]
paper.add("sh2f", [dict(n=3, h=2, a=9, u=5, v=5), dict(n=1, h=1, a=1, u=1, v=1), dict(n=2, h=1, a=4, u=3, v=7)], sh2f_inputs, sh2f)
paper.add("sh2f_sparse", [dict(n=3, l=3, v=5, u=5), dict(n=1, l=1, v=1, u=1), dict(n=7, l=4, v=7, u=6)], sparse_inputs, sh2f_sparse)
paper.add("conv2d_full", [dict(n=3, u=3, v=3, s=3, t=3), dict(n=1, u=1, v=1, s=4, t=2), dict(n=2, u=5, v=2, s=1, t=6)],
          conv_inputs, conv2d_full)
paper.add("f2sh", [dict(n=3, h=2, u=5, v=5, c=9), dict(n=1, h=1, u=1, v=1, c=1), dict(n=4, h=1, u=2, v=7, c=3)], f2sh_inputs, f2sh)
paper.add("gtp_fourier", FOURIER, fourier_inputs, gtp_fourier)
paper.add("gtp_direct", [dict(n=3, h=2, a=4, b=4, c=9), dict(n=1, h=1, a=1, b=1, c=1), dict(n=5, h=3, a=9, b=1, c=4)],
          direct_inputs, gtp_direct)
paper.add("manybody3", [dict(n=3, h=2, a=4, u=3, v=3, c=16), dict(n=1, h=1, a=1, u=1, v=1, c=1), dict(n=2, h=1, a=5, u=2, v=4, c=3)],
          manybody_inputs, manybody3)
paper.add("gtp_weighted", [dict(**s, l=l) for s, l in zip(FOURIER, ((2, 2, 3), (1, 1, 1), (3, 2, 4)))], weighted_inputs, gtp_weighted)


@paper.property("gtp_fourier", "gtp_direct")
def fourier_equals_direct(call, g):
    L1, L2, L3 = 2, 1, 3
    x, y = g.real(3, 2, (L1 + 1) ** 2), g.real(3, 2, (L2 + 1) ** 2)
    direct = call("gtp_direct", x=x, y=y, G=sphere.gaunt(L1, L2, L3))["out"]
    fourier = call("gtp_fourier", x=x, y=y, Sx=sphere.torus(L1), Sy=sphere.torus(L2), Z=sphere.projection(L3, L1 + L2))["out"]
    call.near("out", fourier, direct, slack=20)


@paper.property("gtp_fourier")
def the_product_is_equivariant_and_symmetric(call, g):
    S, Z = sphere.torus(2), sphere.projection(2, 4)
    D = sphere.wigner(2, sphere.proper(g.rotation(3)))
    x, y = g.real(2, 2, 9), g.real(2, 2, 9)
    product = lambda a, b: call("gtp_fourier", x=a, y=b, Sx=S, Sy=S, Z=Z)["out"]
    out = product(x, y)
    call.near("turned", product(x @ D.T, y @ D.T), out @ D.T, slack=20)
    call.near("swapped", product(y, x), out, slack=4)


@paper.property("manybody3")
def three_copies_are_the_cube_on_the_sphere(call, g):
    x = g.real(2, 2, 4)
    theta, phi, wq = sphere.grid(6)
    points = np.einsum("tfa,nha->nhtf", sphere.table(1, theta, phi), x) ** 3
    want = np.einsum("tf,tfc,nhtf->nhc", wq, sphere.table(3, theta, phi), points)
    call.near("out", call("manybody3", x=x, S=sphere.torus(1), Z=sphere.projection(3, 3))["out"], want, slack=20)


@paper.property("sh2f", "sh2f_sparse")
def the_table_has_two_orders_a_frequency(call, g):
    L = 2
    S = sphere.torus(L)
    S0, S1 = np.zeros((2, L + 1, 2 * L + 1, 2 * L + 1), dtype=complex)
    padded, x = np.zeros((3, L + 1, 2 * L + 1)), g.real(3, 1, 9)
    for l in range(L + 1):
        for m in range(-l, l + 1):
            padded[:, l, m + L] = x[:, 0, l * l + l + m]
            S0[l, m + L] = S[l * l + l + m, :, m + L]
            if m:
                S1[l, m + L] = S[l * l + l - m, :, m + L]
    dense = call("sh2f", x=x, S=S)["F"][:, 0]
    call.near("F", call("sh2f_sparse", x=padded, S0=S0, S1=S1)["F"], dense, slack=4)

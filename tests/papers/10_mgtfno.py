"""References for paper 10: dense complex weights, NumPy's real transforms, and rolled copies of the field."""

import numpy as np

from common import Paper, gelu

paper = Paper("10-mgtfno")


def spectral(X, W, bias):
    """Real transform, selection of the kept bins, product, real inverse transform."""
    b, _, H, width = X.shape
    _, o, P, Q = W.shape
    spectrum = np.fft.rfft2(X, norm="forward")
    rows = (np.arange(P) - P // 2) % H
    kept = spectrum[:, :, rows, :Q]
    full = np.zeros((b, o, H, width // 2 + 1), dtype=complex)
    full[:, :, rows, :Q] = np.einsum("iopq,bipq->bopq", W, kept)
    # irfft drops the imaginary part of column 0 only after the transform along y, as the real part in the formula does
    return np.fft.irfft(np.fft.ifft(full, axis=2, norm="forward"), width, axis=3, norm="forward") + bias[:, None, None]


def tucker(G, Ui, Uo, Up, Uq):
    return np.einsum("aceg,ia,oc,pe,qg->iopq", G, Ui, Uo, Up, Uq, optimize=True)


def spectral_tucker(X, G, Ui, Uo, Up, Uq, bias):
    return {"Z": spectral(X, tucker(G, Ui, Uo, Up, Uq), bias)}


def spectral_cp(X, lam, Ui, Uo, Up, Uq, bias):
    return {"Z": spectral(X, np.einsum("r,ir,or,pr,qr->iopq", lam, Ui, Uo, Up, Uq), bias)}


def spectral_tt(X, T1, T2, T3, T4, bias):
    W = np.tensordot(np.tensordot(np.tensordot(T1[0], T2, axes=1), T3, axes=1), T4[:, :, 0], axes=1)
    return {"Z": spectral(X, W, bias)}


def fno_block(S, sb, **rest):
    Z = spectral_tucker(**rest)["Z"]
    return {"Y": gelu(Z + np.einsum("oi,biyx->boyx", S, rest["X"]) + sb[:, None, None])}


def merge_joint(G, Ul, Ui, Uo, Up, Uq):
    return {"W": np.stack([tucker(np.tensordot(row, G, axes=1), Ui, Uo, Up, Uq) for row in Ul])}


def mg_patch(X, levels, pad):
    b, c, H, W = X.shape
    N = 2**levels
    h, w = H // N, W // N
    Q = np.zeros((b, N, N, levels + 1, c, h + 2 * pad, w + 2 * pad))
    for l in range(levels + 1):
        coarse = X[:, :, :: 2**l, :: 2**l]
        sh, sw = h // 2**l, w // 2**l
        for py in range(N):
            for px in range(N):
                top, left = py * sh - (h - sh) // 2 - pad, px * sw - (w - sw) // 2 - pad
                view = np.roll(coarse, (-top, -left), axis=(2, 3))
                rows = np.arange(h + 2 * pad) % view.shape[2]
                columns = np.arange(w + 2 * pad) % view.shape[3]
                Q[:, py, px, l] = view[:, :, rows][:, :, :, columns]
    return {"Q": Q}


def tucker_inputs(g, b, i, o, H, W, P, Q, core):
    return {"X": g.real(b, i, H, W), "G": g.complex(*core), "Ui": g.complex(i, core[0]), "Uo": g.complex(o, core[1]),
            "Up": g.complex(P, core[2]), "Uq": g.complex(Q, core[3]), "bias": g.real(o)}


def cp_inputs(g, b, i, o, H, W, P, Q, r):
    return {"X": g.real(b, i, H, W), "lam": g.complex(r), "Ui": g.complex(i, r), "Uo": g.complex(o, r),
            "Up": g.complex(P, r), "Uq": g.complex(Q, r), "bias": g.real(o)}


def tt_inputs(g, b, i, o, H, W, P, Q, r):
    return {"X": g.real(b, i, H, W), "T1": g.complex(1, i, r[0]), "T2": g.complex(r[0], o, r[1]),
            "T3": g.complex(r[1], P, r[2]), "T4": g.complex(r[2], Q, 1), "bias": g.real(o)}


def block_inputs(g, **size):
    return {**tucker_inputs(g, **size), "S": g.real(size["o"], size["i"]), "sb": g.real(size["o"])}


def joint_inputs(g, l, i, o, P, Q, core):
    return {"G": g.complex(*core), "Ul": g.complex(l, core[0]), "Ui": g.complex(i, core[1]), "Uo": g.complex(o, core[2]),
            "Up": g.complex(P, core[3]), "Uq": g.complex(Q, core[4])}


def patch_inputs(g, b, c, H, W, levels, pad):
    return {"X": g.real(b, c, H, W), "levels": np.int64(levels), "pad": np.int64(pad)}


GRIDS = [dict(b=2, i=4, o=5, H=16, W=16, P=8, Q=5), dict(b=1, i=1, o=2, H=9, W=7, P=4, Q=3), dict(b=3, i=2, o=1, H=2, W=5, P=2, Q=1)]
CORES = [(2, 3, 2, 2), (1, 2, 3, 1), (2, 1, 1, 1)]
SPECTRAL = [dict(**grid, core=core) for grid, core in zip(GRIDS, CORES)]
paper.add("spectral_tucker", SPECTRAL, tucker_inputs, spectral_tucker)
paper.add("spectral_cp", [dict(**grid, r=r) for grid, r in zip(GRIDS, (3, 1, 4))], cp_inputs, spectral_cp)
paper.add("spectral_tt", [dict(**grid, r=r) for grid, r in zip(GRIDS, ((2, 3, 2), (1, 1, 1), (3, 1, 2)))], tt_inputs, spectral_tt)
paper.add("fno_block", SPECTRAL, block_inputs, fno_block)
paper.add("merge_joint", [dict(l=4, i=3, o=2, P=4, Q=3, core=(2, 3, 2, 2, 1)), dict(l=1, i=1, o=1, P=2, Q=1, core=(1, 1, 1, 1, 1)),
                          dict(l=2, i=5, o=1, P=6, Q=2, core=(3, 2, 1, 4, 2))], joint_inputs, merge_joint)
paper.add("mg_patch", [dict(b=2, c=3, H=16, W=16, levels=1, pad=1), dict(b=1, c=1, H=4, W=8, levels=0, pad=2),
                       dict(b=1, c=2, H=32, W=16, levels=1, pad=0), dict(b=1, c=1, H=32, W=32, levels=2, pad=3)],
          patch_inputs, mg_patch)


@paper.property("spectral_tucker")
def the_operator_does_not_know_the_grid(call, g):
    inputs = tucker_inputs(g, **SPECTRAL[0])
    modes = g.complex(4, 5, 3, scale=0.2)

    def sample(n):
        y = np.arange(n) / n
        field = np.zeros((1, 4, n, n))
        for p in range(5):
            for q in range(3):
                wave = np.exp(2j * np.pi * ((p - 2) * y[:, None] + q * y[None, :]))
                field[0] += np.real(modes[:, p, q, None, None] * wave)
        return field

    coarse = call("spectral_tucker", **{**inputs, "X": sample(16)})["Z"]
    fine = call("spectral_tucker", **{**inputs, "X": sample(32)})["Z"]
    call.near("Z", fine[:, :, ::2, ::2], coarse, slack=10)


@paper.property("mg_patch")
def patches_without_border_tile(call, g):
    inputs = patch_inputs(g, 1, 2, 16, 8, 1, 0)
    Q = call("mg_patch", **inputs)["Q"]
    tiles = Q[:, :, :, 0].transpose(0, 3, 1, 4, 2, 5).reshape(1, 2, 16, 8)
    call.near("X", tiles, inputs["X"])


@paper.property("mg_patch")
def patches_that_no_level_divides_are_refused(call, g):
    call.refuses("mg_patch", "EIN0309", **patch_inputs(g, 1, 1, 4, 4, 1, 0))
    call.refuses("mg_patch", "EIN0309", **patch_inputs(g, 1, 2, 32, 8, 2, 1))


@paper.property()
def compression(call, g):
    def ratio(core):
        dense = 4 * 64 * 64 * 64 * 33
        return dense / (np.prod(core) + 4 * core[0] + 64 * (core[1] + core[2] + core[3]) + 33 * core[4])

    call.holds("124x", round(ratio((4, 19, 19, 19, 10))) == 124)
    call.holds("257x", round(ratio((4, 16, 16, 16, 8))) == 257)

"""References for paper 24: the joint Kronecker matrix, and covariances window by window."""

import numpy as np

from common import Paper

paper = Paper("24-plain")


def compress(X, Q1, Q2, Q3):
    joint = np.kron(Q1, np.kron(Q2, Q3))
    Y = joint.conj().T @ X.reshape(-1)
    return {"Y": Y.reshape(Q1.shape[1], Q2.shape[1], Q3.shape[1])}


def mode_cov(Y, L):
    flat = Y.reshape(len(Y), -1)
    windows = len(Y) - L + 1
    F = sum(flat[s : s + L] @ flat[s : s + L].conj().T for s in range(windows)) / (windows * flat.shape[1])
    return {"R": (F + F[::-1, ::-1].conj()) / 2}


def compress_inputs(g, a, p):
    return {"X": g.complex(*a), **{f"Q{d + 1}": g.complex(a[d], p[d], scale=0.5) for d in range(3)}}


def cov_inputs(g, p, q, r, L):
    return {"Y": g.complex(p, q, r), "L": np.int64(L)}


paper.add("compress", [dict(a=(6, 5, 4), p=(3, 3, 2)), dict(a=(1, 1, 1), p=(1, 1, 1)), dict(a=(9, 1, 7), p=(2, 1, 7))],
          compress_inputs, compress)
paper.add("mode_cov", [dict(p=8, q=3, r=2, L=5), dict(p=1, q=1, r=1, L=1), dict(p=7, q=1, r=5, L=7), dict(p=9, q=2, r=1, L=1)],
          cov_inputs, mode_cov)


@paper.property("mode_cov")
def covariance_is_hermitian_positive_and_its_own_flip(call, g):
    inputs = cov_inputs(g, 8, 3, 4, 5)
    R = call("mode_cov", **inputs)["R"]
    call.near("hermitian", R, R.conj().T)
    call.near("flip", R, R[::-1, ::-1].conj())
    call.holds("positive", np.linalg.eigvalsh(R).min() > -1e-4)
    turned = call("mode_cov", Y=inputs["Y"] * np.exp(0.7j), L=inputs["L"])["R"]
    call.near("phase", turned, R)


@paper.property("mode_cov")
def a_window_longer_than_the_mode_is_refused(call, g):
    for length in (5, 9, 0):
        call.refuses("mode_cov", "EIN0309", Y=g.complex(4, 3, 2), L=np.int64(length))


@paper.property()
def mode_by_mode(call, g):
    modes = 12 * 64**3 + 12**2 * 64**2 + 12**3 * 64
    call.holds("118x", round(12**3 * 64**3 / modes) == 118)

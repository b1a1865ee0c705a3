"""References for paper 13: dense kernels and direct convolution."""

import numpy as np

from common import Paper, convolve

paper = Paper("13-apriori-cnn")


def kernel3(A, B, C):
    o, i, q = A.shape
    K = np.zeros((o, i, B.shape[1], C.shape[1]))
    for k in range(q):
        for c in range(o):
            K[c] += np.multiply.outer(A[c, :, k], np.multiply.outer(B[c, :, k], C[c, :, k]))
    return K


def kernel2(B, C):
    K = np.zeros(B.shape[:3] + (C.shape[2],))
    for k in range(B.shape[3]):
        K += B[:, :, :, None, k] * C[:, :, None, :, k]
    return K


def merge3(A, B, C):
    return {"K": kernel3(A, B, C)}


def merge2(B, C):
    return {"K": kernel2(B, C)}


def forward3(X, A, B, C, bias):
    return {"Y": convolve(X, kernel3(A, B, C)) + bias[:, None, None]}


def forward2(X, B, C, bias):
    return {"Y": convolve(X, kernel2(B, C)) + bias[:, None, None]}


def net3(X, A1, B1, C1, b1, A2, B2, C2, b2):
    hidden = np.maximum(forward3(X, A1, B1, C1, b1)["Y"], 0)
    return {"Y": forward3(hidden, A2, B2, C2, b2)["Y"]}


def filters3(g, o, i, kh, kw, q):
    return {"A": g.real(o, i, q), "B": g.real(o, kh, q), "C": g.real(o, kw, q)}


def filters2(g, o, i, kh, kw, q):
    return {"B": g.real(o, i, kh, q), "C": g.real(o, i, kw, q)}


def forward_inputs(filters):
    def inputs(g, n, h, w, o, i, **size):
        return {"X": g.real(n, i, h, w), **filters(g, o, i, **size), "bias": g.real(o)}

    return inputs


def net_inputs(g, n, h, w, i, m, o, q, p, k1, k2):
    return {"X": g.real(n, i, h, w),
            "A1": g.real(m, i, q), "B1": g.real(m, k1[0], q), "C1": g.real(m, k1[1], q), "b1": g.real(m),
            "A2": g.real(o, m, p), "B2": g.real(o, k2[0], p), "C2": g.real(o, k2[1], p), "b2": g.real(o)}


KERNELS = [dict(o=4, i=3, kh=3, kw=5, q=2), dict(o=1, i=6, kh=1, kw=3, q=1), dict(o=5, i=1, kh=5, kw=1, q=3)]
IMAGES = [dict(n=2, h=7, w=6), dict(n=1, h=1, w=9), dict(n=3, h=2, w=1)]
FORWARD = [dict(**a, **b) for a, b in zip(IMAGES, KERNELS)] + [dict(n=1, h=17, w=13, o=8, i=8, kh=3, kw=3, q=1)]
paper.add("merge3", KERNELS, filters3, merge3)
paper.add("merge2", KERNELS, filters2, merge2)
paper.add("forward3", FORWARD, forward_inputs(filters3), forward3)
paper.add("forward2", FORWARD, forward_inputs(filters2), forward2)
paper.add("net3", [dict(n=2, h=6, w=7, i=3, m=4, o=2, q=2, p=1, k1=(3, 3), k2=(3, 5)),
                   dict(n=1, h=1, w=3, i=1, m=1, o=1, q=1, p=2, k1=(1, 3), k2=(5, 1)),
                   dict(n=1, h=9, w=8, i=2, m=5, o=3, q=1, p=3, k1=(5, 3), k2=(1, 1))], net_inputs, net3)


@paper.property("forward3", "merge3")
def chain_is_the_merged_convolution(call, g):
    inputs = forward_inputs(filters3)(g, n=2, h=8, w=5, o=3, i=4, kh=3, kw=3, q=2)
    K = call("merge3", A=inputs["A"], B=inputs["B"], C=inputs["C"])["K"]
    call.near("Y", call("forward3", **inputs)["Y"], convolve(inputs["X"], K) + inputs["bias"][:, None, None], slack=4)


@paper.property("forward2", "merge2")
def two_way_chain_is_the_merged_convolution(call, g):
    inputs = forward_inputs(filters2)(g, n=1, h=5, w=6, o=3, i=2, kh=3, kw=3, q=2)
    K = call("merge2", B=inputs["B"], C=inputs["C"])["K"]
    call.near("Y", call("forward2", **inputs)["Y"], convolve(inputs["X"], K) + inputs["bias"][:, None, None], slack=4)


@paper.property()
def parameter_ratios(call, g):
    ratio = lambda i, k, q: i * k * k / (q * (i + 2 * k))
    call.holds("8.2x at I = 64, 3x3", round(ratio(64, 3, 1), 1) == 8.2)
    call.holds("19x at I = 32, 5x5", round(ratio(32, 5, 1)) == 19)
    inputs = filters3(g, 5, 4, 3, 7, 2)
    call.holds("O q (I + kh + kw)", sum(v.size for v in inputs.values()) == 5 * 2 * (4 + 3 + 7))
    inputs = filters2(g, 5, 4, 3, 7, 2)
    call.holds("O I q (kh + kw)", sum(v.size for v in inputs.values()) == 5 * 4 * 2 * (3 + 7))

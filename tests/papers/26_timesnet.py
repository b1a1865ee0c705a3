"""References for paper 26: NumPy's transform, reshaped series and direct convolutions."""

import numpy as np

from common import Paper, convolve, gelu, largest, softmax

paper = Paper("26-timesnet")


def period(x, K):
    a = np.abs(np.fft.rfft(x, axis=1))
    amp = a.mean(axis=(0, 2))
    amp[0] = 0
    freq = largest(amp, K)
    return {"amp": amp, "freq": freq, "per": x.shape[1] // freq, "wt": a[:, freq].mean(axis=2)}


def fold(x, P):
    b, length, c = x.shape
    rows = -(-length // P)
    padded = np.zeros((b, rows * P, c))
    padded[:, :length] = x
    return padded.reshape(b, rows, P, c).transpose(0, 3, 1, 2)


def unfold(z, length):
    b, c = z.shape[:2]
    return z.reshape(b, c, -1)[:, :, :length].transpose(0, 2, 1)


def inception(z, kernels):
    return sum(convolve(z, w) + b[:, None, None] for w, b in kernels) / 3


def pairs(tensors, letter):
    return [(tensors[f"{letter}w{m}"], tensors[f"{letter}b{m}"]) for m in range(3)]


def fold_conv(x, P, **kernels):
    return {"y": unfold(inception(fold(x, P), pairs(kernels, "A")), x.shape[1])}


def times_block(x, wt, P0, P1, **kernels):
    share = softmax(wt)
    y = x.copy()
    for k, P in enumerate((P0, P1)):
        hidden = gelu(inception(fold(x, P), pairs(kernels, "A")))
        y += share[:, k, None, None] * unfold(inception(hidden, pairs(kernels, "B")), x.shape[1])
    return {"y": y}


def kernels(g, letter, o, c):
    values = {}
    for m in range(3):
        values[f"{letter}w{m}"] = g.real(o, c, 2 * m + 1, 2 * m + 1, scale=0.4)
        values[f"{letter}b{m}"] = g.real(o)
    return values


def period_inputs(g, b, t, c, K):
    return {"x": g.real(b, t, c), "K": np.int64(K)}


def fold_inputs(g, b, t, c, o, P):
    return {"x": g.real(b, t, c), **kernels(g, "A", o, c), "P": np.int64(P)}


def block_inputs(g, b, t, c, o, P0, P1):
    return {"x": g.real(b, t, c), "wt": g.real(b, 2), **kernels(g, "A", o, c), **kernels(g, "B", c, o),
            "P0": np.int64(P0), "P1": np.int64(P1)}


paper.add("period", [dict(b=2, t=10, c=3, K=2), dict(b=1, t=2, c=1, K=1), dict(b=3, t=15, c=2, K=5), dict(b=1, t=33, c=1, K=16)],
          period_inputs, period)
paper.add("fold_conv", [dict(b=2, t=10, c=3, o=4, P=4), dict(b=1, t=1, c=1, o=1, P=1), dict(b=1, t=7, c=2, o=1, P=3),
                        dict(b=1, t=9, c=1, o=2, P=9), dict(b=2, t=5, c=1, o=3, P=8)], fold_inputs, fold_conv)
paper.add("times_block", [dict(b=2, t=10, c=3, o=4, P0=4, P1=3), dict(b=1, t=1, c=1, o=1, P0=1, P1=1),
                          dict(b=1, t=9, c=2, o=3, P0=2, P1=9)], block_inputs, times_block)


@paper.property("period")
def a_cosine_has_its_frequency(call, g):
    t = np.arange(24)
    x = np.cos(2 * np.pi * 3 * t / 24)[None, :, None] + 5.0
    got = call("period", x=x, K=np.int64(1))
    call.holds("frequency 3", got["freq"][0] == 3)
    call.holds("period 8", got["per"][0] == 8)
    call.near("constant part", got["amp"][0], 0.0)


@paper.property("fold_conv")
def one_merged_kernel_is_the_same_map(call, g):
    inputs = fold_inputs(g, 2, 10, 3, 4, 4)
    merged = np.zeros((4, 3, 5, 5))
    for m in range(3):
        merged[:, :, 2 - m : 3 + m, 2 - m : 3 + m] += inputs[f"Aw{m}"] / 3
    bias = sum(inputs[f"Ab{m}"] for m in range(3)) / 3
    want = unfold(convolve(fold(inputs["x"], 4), merged) + bias[:, None, None], 10)
    call.near("y", call("fold_conv", **inputs)["y"], want)


@paper.property()
def taps(call, g):
    sizes = [2 * m + 1 for m in range(6)]
    call.holds("2.36x", round(sum(s * s for s in sizes) / 121, 2) == 2.36)
    call.holds("1.40x", (1 + 9 + 25) / 25 == 1.4)

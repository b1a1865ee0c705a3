"""References for paper 06: NumPy transforms for the Monarch forms, sums over lags for the convolutions."""

import numpy as np

from common import Paper

paper = Paper("06-flashfftconv")


def dft_monarch2(x):
    b, h, n1, n2 = x.shape
    spectrum = np.fft.fft(x.reshape(b, h, n1 * n2))
    return {"X": np.swapaxes(spectrum.reshape(b, h, n2, n1), 2, 3)}


def dft_monarch3(x):
    b, n1, n2, n3 = x.shape
    spectrum = np.fft.fft(x.reshape(b, n1 * n2 * n3))
    return {"X": spectrum.reshape(b, n3, n2, n1).transpose(0, 3, 2, 1)}


def lagged(u, s):
    """The sequence delayed by s steps, zeros first."""
    out = np.zeros_like(u)
    out[..., s:] = u[..., : u.shape[-1] - s]
    return out


def conv_partial(u, k):
    return {"y": sum(k[:, s, None] * lagged(u, s) for s in range(k.shape[1]))}


def conv_causal(u, k):
    return conv_partial(u, k)


def conv_circular(u, k):
    return {"y": sum(k[:, s, None] * np.roll(u, s, axis=-1) for s in range(k.shape[1]))}


def conv_gated(u, k, gin, gout):
    return {"y": gout * conv_causal(gin * u, k)["y"]}


def conv_freq_sparse(u, k, keep):
    L = u.shape[-1]
    filter = np.fft.rfft(k, 2 * L)
    filter[:, keep:] = 0
    return {"y": np.fft.irfft(np.fft.rfft(u, 2 * L) * filter, 2 * L)[..., :L]}


def monarch2_inputs(g, b, h, n):
    return {"x": g.complex(b, h, *n)}


def monarch3_inputs(g, b, n):
    return {"x": g.complex(b, *n)}


def conv_inputs(g, b, h, L, P=None, keep=None):
    inputs = {"u": g.real(b, h, L), "k": g.real(h, P or L)}
    return inputs if keep is None else {**inputs, "keep": np.int64(keep)}


def gated_inputs(g, b, h, L):
    return {**conv_inputs(g, b, h, L), "gin": g.real(b, h, L), "gout": g.real(b, h, L)}


LENGTHS = [dict(b=2, h=3, L=32), dict(b=2, h=5, L=257), dict(b=1, h=1, L=1), dict(b=3, h=2, L=45), dict(b=1, h=4, L=7), dict(b=1, h=1, L=40)]
paper.add("dft_monarch2", [dict(b=2, h=3, n=(8, 8)), dict(b=1, h=1, n=(1, 5)), dict(b=2, h=2, n=(5, 9)), dict(b=1, h=2, n=(7, 1))],
          monarch2_inputs, dft_monarch2)
paper.add("dft_monarch3", [dict(b=2, n=(4, 4, 4)), dict(b=1, n=(1, 1, 1)), dict(b=3, n=(3, 5, 2)), dict(b=1, n=(2, 1, 7))],
          monarch3_inputs, dft_monarch3)
paper.add("conv_circular", LENGTHS, conv_inputs, conv_circular)
paper.add("conv_causal", LENGTHS, conv_inputs, conv_causal)
paper.add("conv_gated", LENGTHS, gated_inputs, conv_gated)
paper.add("conv_partial", [dict(b=2, h=3, L=32, P=5), dict(b=1, h=2, L=9, P=1), dict(b=2, h=1, L=13, P=13)], conv_inputs, conv_partial)
paper.add("conv_freq_sparse", [dict(b=2, h=3, L=32, keep=9), dict(b=1, h=1, L=1, keep=1), dict(b=2, h=2, L=45, keep=46),
                               dict(b=1, h=2, L=10, keep=3), dict(b=1, h=1, L=6, keep=6)], conv_inputs, conv_freq_sparse)


@paper.property("conv_partial", "conv_causal", "conv_freq_sparse")
def full_filters_are_causal(call, g):
    inputs = conv_inputs(g, 2, 3, 21)
    y = call("conv_causal", **inputs)["y"]
    call.near("conv_partial", call("conv_partial", **inputs)["y"], y, slack=4)
    call.near("conv_freq_sparse", call("conv_freq_sparse", **inputs, keep=np.int64(22))["y"], y, slack=4)


@paper.property("conv_circular")
def shifting_the_input_shifts_the_output(call, g):
    inputs = conv_inputs(g, 1, 2, 15)
    y = call("conv_circular", **inputs)["y"]
    moved = call("conv_circular", u=np.roll(inputs["u"], 4, axis=-1), k=inputs["k"])["y"]
    call.near("y", moved, np.roll(y, 4, axis=-1), slack=4)


@paper.property("dft_monarch2", "dft_monarch3")
def every_factorisation_is_the_dft(call, g):
    x = g.complex(1, 1, 24)
    for n1 in (1, 2, 3, 4, 6, 8, 12, 24):
        X = call("dft_monarch2", x=x.reshape(1, 1, n1, 24 // n1))["X"]
        call.near(f"N1 = {n1}", np.swapaxes(X, 2, 3).reshape(-1), np.fft.fft(x[0, 0]), slack=4)
    X = call("dft_monarch3", x=x.reshape(1, 2, 3, 4))["X"]
    call.near("2 x 3 x 4", X.transpose(0, 3, 2, 1).reshape(-1), np.fft.fft(x[0, 0]), slack=4)


@paper.property("conv_causal", "conv_gated")
def convolution_is_linear_and_gates_are_factors(call, g):
    inputs = gated_inputs(g, 2, 2, 11)
    ones = {**inputs, "gin": np.ones((2, 2, 11)), "gout": np.ones((2, 2, 11))}
    causal = call("conv_causal", u=inputs["u"], k=inputs["k"])["y"]
    call.near("open gates", call("conv_gated", **ones)["y"], causal, slack=4)
    double = call("conv_causal", u=2 * inputs["u"], k=inputs["k"])["y"]
    call.near("2 u", double, 2 * causal, slack=4)

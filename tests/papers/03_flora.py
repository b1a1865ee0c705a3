"""References for paper 03: the update as a chain of mode products, then a direct convolution."""

import numpy as np

from common import Paper, convolve

paper = Paper("03-flora")


def mode(T, U, axis):
    """The product of a factor with one axis of a tensor."""
    return np.moveaxis(np.tensordot(U, T, axes=(1, axis)), 0, axis)


def update(G, s, *factors):
    """The core times a factor for each mode, with the first two modes exchanged."""
    for axis, U in enumerate(factors):
        G = mode(G, U, axis)
    return s * np.swapaxes(G, 0, 1)


def merge_conv(K0, G, U_in, U_out, U_h, U_w, s):
    dK = update(G, s, U_in, U_out, U_h, U_w)
    return {"dK": dK, "K": K0 + dK}


def forward_conv(X, **rest):
    return {"Y": convolve(X, merge_conv(**rest)["K"])}


def forward_conv_s2(X, **rest):
    return {"Y": convolve(X, merge_conv(**rest)["K"], stride=2)}


def forward_linear(X, W0, G, U_in, U_out, s):
    return {"Y": X @ (W0 + s * U_out @ G.T @ U_in.T).T}


def merge_conv3d(G, U_in, U_out, U_t, U_h, U_w, s):
    return {"dK": update(G, s, U_in, U_out, U_t, U_h, U_w)}


def merge_inputs(g, i, o, k, core):
    return {"K0": g.real(o, i, *k), "G": g.real(*core), "U_in": g.real(i, core[0]), "U_out": g.real(o, core[1]),
            "U_h": g.real(k[0], core[2]), "U_w": g.real(k[1], core[3]), "s": np.asarray(0.7)}


def forward_inputs(g, n, h, w, **size):
    inputs = merge_inputs(g, **size)
    return {"X": g.real(n, size["i"], h, w), **inputs}


def linear_inputs(g, n, i, o, core):
    return {"X": g.real(n, i), "W0": g.real(o, i), "G": g.real(*core), "U_in": g.real(i, core[0]),
            "U_out": g.real(o, core[1]), "s": np.asarray(-1.3)}


def merge3d_inputs(g, i, o, k, core):
    return {"G": g.real(*core), "U_in": g.real(i, core[0]), "U_out": g.real(o, core[1]), "U_t": g.real(k[0], core[2]),
            "U_h": g.real(k[1], core[3]), "U_w": g.real(k[2], core[4]), "s": np.asarray(2.0)}


KERNELS = [dict(i=4, o=6, k=(3, 3), core=(3, 3, 2, 2)), dict(i=1, o=5, k=(1, 5), core=(1, 2, 1, 3)),
           dict(i=3, o=1, k=(5, 3), core=(4, 1, 2, 1))]
FORWARD = [dict(n=2, h=8, w=7, **KERNELS[0]), dict(n=1, h=1, w=5, **KERNELS[1]), dict(n=3, h=9, w=1, **KERNELS[2])]
paper.add("merge_conv", KERNELS, merge_inputs, merge_conv)
paper.add("forward_conv", FORWARD, forward_inputs, forward_conv)
paper.add("forward_conv_s2", FORWARD + [dict(n=1, h=6, w=6, **KERNELS[0])], forward_inputs, forward_conv_s2)
paper.add("forward_linear", [dict(n=5, i=6, o=7, core=(3, 2)), dict(n=1, i=1, o=4, core=(1, 1)), dict(n=17, i=9, o=1, core=(2, 5))],
          linear_inputs, forward_linear)
paper.add("merge_conv3d", [dict(i=3, o=4, k=(3, 1, 2), core=(2, 3, 2, 1, 2)), dict(i=1, o=1, k=(1, 1, 1), core=(1, 1, 1, 1, 1)),
                           dict(i=5, o=2, k=(2, 3, 5), core=(1, 2, 3, 2, 1))], merge3d_inputs, merge_conv3d)


@paper.property("forward_conv", "merge_conv")
def merged_equals_factored(call, g):
    inputs = forward_inputs(g, **FORWARD[0])
    X = inputs.pop("X")
    K = call("merge_conv", **inputs)["K"]
    call.near("Y", call("forward_conv", X=X, **inputs)["Y"], convolve(X, K), slack=4)


@paper.property("forward_conv")
def zero_core_is_the_frozen_layer(call, g):
    inputs = forward_inputs(g, **FORWARD[0])
    inputs["G"] = np.zeros_like(inputs["G"])
    call.near("Y", call("forward_conv", **inputs)["Y"], convolve(inputs["X"], inputs["K0"]), slack=2)


@paper.property("forward_conv", "forward_conv_s2")
def stride_two_takes_every_other_pixel(call, g):
    inputs = forward_inputs(g, n=1, h=7, w=6, **KERNELS[0])
    whole = call("forward_conv", **inputs)["Y"]
    call.near("Y", call("forward_conv_s2", **inputs)["Y"], whole[:, :, ::2, ::2], slack=4)


@paper.property()
def parameters(call, g):
    def count(i, o, k, core):
        inputs = merge_inputs(g, i, o, k, core)
        return sum(inputs[name].size for name in ("G", "U_in", "U_out", "U_h", "U_w"))

    call.holds("9,228", count(256, 256, (3, 3), (16, 16, 2, 2)) == 9228)
    call.holds("17,420", count(512, 512, (3, 3), (16, 16, 2, 2)) == 17420)

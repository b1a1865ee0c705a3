"""References for paper 04: updates as sums of outer products, then a direct convolution."""

from functools import reduce

import numpy as np

from common import Paper, convolve

paper = Paper("04-cplora-unet")


def merge_cp(K0, A, B, C, D, s):
    K = K0.copy()
    for r in range(A.shape[1]):
        K += s * reduce(np.multiply.outer, (A[:, r], B[:, r], C[:, r], D[:, r]))
    return {"K": K}


def forward_cp(X, **rest):
    return {"Y": convolve(X, merge_cp(**rest)["K"])}


def merge_dora_cp(m, **rest):
    K = merge_cp(**rest)["K"]
    return {"K": np.stack([m[o] * K[o] / np.linalg.norm(K[o].reshape(-1)) for o in range(len(m))])}


def forward_dora_cp(X, bias, **rest):
    return {"Y": convolve(X, merge_dora_cp(**rest)["K"]) + bias[:, None, None]}


def merge_convlora(K0, Bu, Ad, s):
    return {"K": K0 + s * np.tensordot(Bu, Ad, axes=1)}


def merge_lorac(K0, Bu, Ad, s):
    K = K0.copy()
    for h in range(K0.shape[2]):
        K[:, :, h] += s * np.tensordot(Bu[:, h], Ad, axes=1)
    return {"K": K}


def cp_inputs(g, o, i, kh, kw, r):
    return {"K0": g.real(o, i, kh, kw), "A": g.real(o, r), "B": g.real(i, r), "C": g.real(kh, r), "D": g.real(kw, r),
            "s": np.asarray(0.4)}


def forward_inputs(g, n, h, w, **size):
    return {"X": g.real(n, size["i"], h, w), **cp_inputs(g, **size)}


def dora_inputs(g, **size):
    return {**cp_inputs(g, **size), "m": g.uniform(0.5, 2, size["o"])}


def forward_dora_inputs(g, **size):
    return {**forward_inputs(g, **size), "m": g.uniform(0.5, 2, size["o"]), "bias": g.real(size["o"])}


def convlora_inputs(g, o, i, kh, kw, r):
    return {"K0": g.real(o, i, kh, kw), "Bu": g.real(o, r), "Ad": g.real(r, i, kh, kw), "s": np.asarray(1.5)}


def lorac_inputs(g, o, i, kh, kw, r):
    return {"K0": g.real(o, i, kh, kw), "Bu": g.real(o, kh, r), "Ad": g.real(r, i, kw), "s": np.asarray(-0.6)}


KERNELS = [dict(o=6, i=4, kh=3, kw=3, r=3), dict(o=1, i=5, kh=1, kw=3, r=1), dict(o=4, i=1, kh=5, kw=1, r=7)]
FORWARD = [dict(n=2, h=8, w=7, **KERNELS[0]), dict(n=1, h=1, w=9, **KERNELS[1]), dict(n=3, h=4, w=1, **KERNELS[2])]
paper.add("merge_cp", KERNELS, cp_inputs, merge_cp)
paper.add("forward_cp", FORWARD, forward_inputs, forward_cp)
paper.add("merge_dora_cp", KERNELS, dora_inputs, merge_dora_cp)
paper.add("forward_dora_cp", FORWARD, forward_dora_inputs, forward_dora_cp)
paper.add("merge_convlora", KERNELS, convlora_inputs, merge_convlora)
paper.add("merge_lorac", KERNELS, lorac_inputs, merge_lorac)


@paper.property("forward_cp", "merge_cp")
def factored_path_is_the_merged_convolution(call, g):
    inputs = forward_inputs(g, **FORWARD[0])
    X = inputs.pop("X")
    call.near("Y", call("forward_cp", X=X, **inputs)["Y"], convolve(X, call("merge_cp", **inputs)["K"]), slack=4)


@paper.property("merge_dora_cp")
def dora_has_the_trained_length(call, g):
    inputs = dora_inputs(g, **KERNELS[0])
    K = call("merge_dora_cp", **inputs)["K"]
    call.near("norm", np.sqrt((K**2).sum(axis=(1, 2, 3))), np.abs(inputs["m"]), slack=4)
    scaled = {**inputs, "K0": 3 * inputs["K0"], "s": 3 * inputs["s"]}
    call.near("K", call("merge_dora_cp", **scaled)["K"], K, slack=4)


@paper.property("forward_dora_cp")
def dora_starts_unchanged(call, g):
    inputs = forward_dora_inputs(g, **FORWARD[0])
    inputs["A"] = np.zeros_like(inputs["A"])
    inputs["m"] = np.sqrt((inputs["K0"] ** 2).sum(axis=(1, 2, 3)))
    want = convolve(inputs["X"], inputs["K0"]) + inputs["bias"][:, None, None]
    call.near("Y", call("forward_dora_cp", **inputs)["Y"], want, slack=4)


@paper.property()
def parameters(call, g):
    size = dict(o=512, i=512, kh=3, kw=3, r=8)
    count = lambda inputs, *names: sum(inputs[name].size for name in names)
    call.holds("CP 8,240", count(cp_inputs(g, **size), *"ABCD") == 8240)
    call.holds("LoRA-C 24,576", count(lorac_inputs(g, **size), "Bu", "Ad") == 24576)
    call.holds("convLoRA 40,960", count(convlora_inputs(g, **size), "Bu", "Ad") == 40960)

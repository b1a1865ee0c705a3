"""References for paper 21: pixels and neighbours by slices."""

import numpy as np

from common import Paper, convolve

paper = Paper("21-ordinal-shading")
E = 1e-5


def recompose(img, inv):
    lin = img**2.2
    shd = 1 / np.clip(inv, 0.001, 1) - 1
    return {"lin": lin, "shd": shd, "alb": lin / shd[..., None]}


def equalize(lin, base, full, m):
    Y = lin @ np.array([0.3, 0.59, 0.11])
    shading = lambda v: np.maximum(1 / np.maximum(v, E) - 1, E)
    af, ab = Y / shading(full), Y / shading(base)
    scale = np.vdot(m, af * ab) / np.vdot(m, af * af)
    return {"scale": scale, "new_full": 1 / (1 + Y / np.maximum(scale * af, E))}


def msgrad(p, g, m, L):
    loss = 0.0
    for l in range(L):
        r, w = (p - g)[:: 2**l, :: 2**l], m[:: 2**l, :: 2**l]
        across = np.abs(np.diff(r, axis=1)) * w[:, 1:] * w[:, :-1]
        down = np.abs(np.diff(r, axis=0)) * w[1:] * w[:-1]
        loss += (across.sum() + down.sum()) / w.sum()
    return {"loss": loss}


def rcu(x, w1, b1, w2, b2):
    z = convolve(np.maximum(x, 0), w1) + b1[:, None, None]
    return {"y": x + convolve(np.maximum(z, 0), w2) + b2[:, None, None]}


def resize(p, A, B):
    return {"up": A @ p @ B.T}


def recompose_inputs(g, h, w, c):
    inv = g.uniform(0.05, 0.9, h, w)
    inv.flat[0] = 0.0001
    return {"img": g.uniform(0, 1, h, w, c), "inv": inv}


def equalize_inputs(g, h, w):
    return {"lin": g.uniform(0.05, 1, h, w, 3), "base": g.uniform(0.1, 0.9, h, w), "full": g.uniform(0.1, 0.9, h, w),
            "m": np.maximum(g.flags(h, w, share=0.7), np.eye(h, w))}


def msgrad_inputs(g, h, w, L):
    m = g.flags(h, w, share=0.8)
    m[0, 0] = 1
    return {"p": g.real(h, w), "g": g.real(h, w), "m": m, "L": np.int64(L)}


def rcu_inputs(g, n, c, h, w):
    return {"x": g.real(n, c, h, w), "w1": g.real(c, c, 3, 3, scale=0.4), "b1": g.real(c), "w2": g.real(c, c, 3, 3, scale=0.4),
            "b2": g.real(c)}


def interpolation(size, target):
    """Linear interpolation of `size` points at `target` places."""
    A = np.zeros((target, size))
    for row, place in enumerate(np.linspace(0, size - 1, target)):
        low = min(int(place), max(size - 2, 0))
        A[row, low] += 1 - (place - low)
        if size > 1:
            A[row, low + 1] += place - low
    return A


def resize_inputs(g, h, w, H, W):
    return {"p": g.real(h, w), "A": interpolation(h, H), "B": interpolation(w, W)}


paper.add("recompose", [dict(h=6, w=5, c=3), dict(h=1, w=1, c=1), dict(h=9, w=2, c=4)], recompose_inputs, recompose)
paper.add("equalize", [dict(h=6, w=5), dict(h=1, w=1), dict(h=1, w=17), dict(h=11, w=3)], equalize_inputs, equalize)
paper.add("msgrad", [dict(h=6, w=5, L=2), dict(h=1, w=1, L=1), dict(h=9, w=4, L=4), dict(h=16, w=13, L=3), dict(h=4, w=3, L=0)], msgrad_inputs, msgrad)
paper.add("rcu", [dict(n=2, c=4, h=6, w=5), dict(n=1, c=1, h=1, w=1), dict(n=1, c=3, h=1, w=7), dict(n=1, c=24, h=11, w=41)], rcu_inputs, rcu)
paper.add("resize", [dict(h=6, w=5, H=9, W=11), dict(h=1, w=1, H=1, W=1), dict(h=3, w=7, H=17, W=2)], resize_inputs, resize)


@paper.property("recompose")
def albedo_times_shading_is_the_image(call, g):
    got = call("recompose", **recompose_inputs(g, 5, 4, 3))
    call.near("lin", got["alb"] * got["shd"][..., None], got["lin"])


@paper.property("equalize")
def equal_estimates_have_scale_one(call, g):
    inputs = equalize_inputs(g, 6, 5)
    inputs["base"] = inputs["full"]
    got = call("equalize", **inputs)
    call.near("scale", got["scale"], 1.0)
    call.holds("new_full in (0,1)", np.all((got["new_full"] > 0) & (got["new_full"] < 1)))


@paper.property("rcu")
def zero_second_layer_is_the_identity(call, g):
    inputs = rcu_inputs(g, 1, 3, 5, 4)
    inputs["w2"], inputs["b2"] = np.zeros((3, 3, 3, 3)), np.zeros(3)
    call.near("y", call("rcu", **inputs)["y"], inputs["x"])


@paper.property("msgrad")
def constant_errors_have_no_gradient(call, g):
    inputs = msgrad_inputs(g, 8, 7, 3)
    inputs["g"] = inputs["p"] - 0.5
    call.near("loss", call("msgrad", **inputs)["loss"], 0.0)


@paper.property()
def two_stages(call, g):
    two = 1536 * 384 * 384 + 1536 * 1536 * 384
    call.holds("307x", round(1536**2 * 384**2 / two) == 307)

"""References for paper 34: kernels as functions of the distance, second derivatives by the product rule."""

import numpy as np

from common import Paper

paper = Paper("34-gp-hm")


def kernel(x, xp, lw, lr, mu, envelope):
    K, Kdd = np.zeros((2, len(x), len(xp)))
    D = np.abs(np.subtract.outer(x, xp))
    for weight, r, w in zip(np.exp(lw), np.exp(lr), 2 * np.pi * mu):
        g, g1, g2 = envelope(r, D)
        c, c1, c2 = np.cos(w * D), -w * np.sin(w * D), -(w**2) * np.cos(w * D)
        K += weight * g * c
        Kdd += weight * (g2 * c + 2 * g1 * c1 + g * c2)
    return {"K": K, "Kdd": Kdd}


def gaussian(r, D):
    g = np.exp(-r * D**2)
    return g, -2 * r * D * g, (4 * r**2 * D**2 - 2 * r) * g


def student(r, D):
    a = np.sqrt(5) * r * D
    decay = np.exp(-a)
    return ((1 + a + 5 / 3 * r**2 * D**2) * decay, -5 / 3 * r**2 * D * (1 + a) * decay,
            -5 / 3 * r**2 * (1 + a - 5 * r**2 * D**2) * decay)


def kernel_gm(**inputs):
    return kernel(envelope=gaussian, **inputs)


def kernel_stm(**inputs):
    return kernel(envelope=student, **inputs)


def inputs(g, i, j, q, same=False):
    x = g.uniform(0, 1, i)
    return {"x": x, "xp": x.copy() if same else g.uniform(0, 1, j), "lw": g.real(q, scale=0.5), "lr": g.real(q, scale=0.5),
            "mu": g.uniform(0, 2, q)}


SIZES = [dict(i=6, j=5, q=2), dict(i=1, j=1, q=1), dict(i=9, j=1, q=3), dict(i=7, j=7, q=4, same=True)]
paper.add("kernel_gm", SIZES, inputs, kernel_gm)
paper.add("kernel_stm", SIZES, inputs, kernel_stm)


@paper.property("kernel_gm", "kernel_stm")
def covariances_are_positive_with_the_summed_weights(call, g):
    values = inputs(g, 8, 8, 3, same=True)
    for program in ("kernel_gm", "kernel_stm"):
        K = call(program, **values)["K"]
        call.near(f"diagonal of {program}", np.diag(K), np.full(8, np.exp(values["lw"]).sum()))
        call.holds(f"{program} positive", np.linalg.eigvalsh(K).min() > -1e-4)


@paper.property("kernel_gm", "kernel_stm")
def second_derivatives_are_differences(call, g):
    if call.dtype == "f32":
        return
    values, step = inputs(g, 5, 4, 2), 1e-4
    values["xp"] = np.concatenate([values["xp"], values["x"][:1]])
    for program in ("kernel_gm", "kernel_stm"):
        at = lambda shift: call(program, **{**values, "x": values["x"] + shift})
        middle = at(0.0)
        difference = (at(step)["K"] - 2 * middle["K"] + at(-step)["K"]) / step**2
        scale = np.abs(middle["Kdd"]).max()
        call.holds(program, np.abs(difference - middle["Kdd"]).max() < 0.03 * scale)


@paper.property("kernel_stm")
def the_second_derivative_at_zero(call, g):
    values = inputs(g, 3, 3, 2, same=True)
    r, w = np.exp(values["lr"]), 2 * np.pi * values["mu"]
    want = -np.sum(np.exp(values["lw"]) * (5 / 3 * r**2 + w**2))
    call.near("Kdd", np.diag(call("kernel_stm", **values)["Kdd"]), np.full(3, want))


@paper.property()
def storage(call, g):
    call.holds("80,000x", 400**4 / (2 * 400**2) == 80000)

"""References for paper 19: statistics by loops over channels and groups."""

import numpy as np

from common import Paper, sigmoid

paper = Paper("19-evonorm")
EPS = 1e-5


def column(t):
    return t[None, :, None, None]


def per_channel(x):
    return np.array([x[:, c].var() for c in range(x.shape[1])])


def instance(x):
    out = np.zeros(x.shape[:2])
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            plane = x[n, c]
            out[n, c] = np.sqrt(((plane - plane.mean()) ** 2).mean() + EPS)
    return out


def b0(x, variance, v, gamma, beta):
    den = np.maximum(np.sqrt(column(variance) + EPS), column(v) * x + instance(x)[:, :, None, None])
    return column(gamma) * x / den + column(beta)


def b0_train(x, v, gamma, beta):
    variance = per_channel(x)
    return {"y": b0(x, variance, v, gamma, beta), "var_b": variance}


def b0_eval(x, running_var, v, gamma, beta):
    return {"y": b0(x, running_var, v, gamma, beta)}


def b1_train(x, gamma, beta):
    rms = np.sqrt((x**2).mean(axis=(2, 3), keepdims=True) + EPS)
    den = np.maximum(np.sqrt(column(per_channel(x)) + EPS), (x + 1) * rms)
    return {"y": column(gamma) * x / den + column(beta)}


def s0(x, v, gamma, beta, G):
    N, C = x.shape[:2]
    q = C // G
    y = np.zeros_like(x)
    for n in range(N):
        for g in range(G):
            block = slice(g * q, (g + 1) * q)
            sd = np.sqrt(x[n, block].var() + EPS)
            gate = sigmoid(v[block, None, None] * x[n, block])
            y[n, block] = gamma[block, None, None] * x[n, block] * gate / sd + beta[block, None, None]
    return {"y": y}


def tensors(*names):
    def inputs(g, n, c, h, w, G=None):
        values = {"x": 0.4 + g.real(n, c, h, w)}
        for name in names:
            values[name] = g.real(c)
        if "running_var" in values:
            values["running_var"] = g.uniform(0.5, 2, c)
        if G is not None:
            values["G"] = np.int64(G)
        return values

    return inputs


SIZES = [dict(n=3, c=6, h=4, w=5), dict(n=1, c=1, h=7, w=3), dict(n=2, c=4, h=1, w=2), dict(n=2, c=3, h=17, w=9)]
paper.add("b0_train", SIZES, tensors("v", "gamma", "beta"), b0_train)
paper.add("b0_eval", SIZES, tensors("running_var", "v", "gamma", "beta"), b0_eval)
paper.add("b1_train", SIZES, tensors("gamma", "beta"), b1_train)
paper.add("s0", [dict(**s, G=G) for s, G in zip(SIZES, (3, 1, 2, 3))] + [dict(n=1, c=12, h=3, w=3, G=4)],
          tensors("v", "gamma", "beta"), s0)


@paper.property("s0")
def groups_of_one_and_of_all(call, g):
    inputs = tensors("v", "gamma", "beta")(g, n=2, c=6, h=3, w=4)
    x, v, gamma, beta = inputs.values()
    gate = column(gamma) * x * sigmoid(column(v) * x)
    each = gate / instance(x)[:, :, None, None] + column(beta)
    call.near("instance statistics", call("s0", **inputs, G=np.int64(6))["y"], each, slack=2)
    sd = np.sqrt(x.reshape(2, -1).var(axis=1) + EPS)[:, None, None, None]
    call.near("layer statistics", call("s0", **inputs, G=np.int64(1))["y"], gate / sd + column(beta), slack=2)


@paper.property("s0")
def scaling_x_leaves_s0(call, g):
    inputs = tensors("v", "gamma", "beta")(g, n=2, c=4, h=5, w=5)
    before = call("s0", **inputs, G=np.int64(2))["y"]
    inputs["x"], inputs["v"] = inputs["x"] * 3, inputs["v"] / 3
    after = call("s0", **inputs, G=np.int64(2))["y"]
    call.holds("unchanged up to eps", np.abs(before - after).max() < 2e-4)


@paper.property("b0_train")
def zero_v_divides_by_the_larger_deviation(call, g):
    inputs = tensors("v", "gamma", "beta")(g, n=3, c=3, h=4, w=2)
    x = inputs["x"]
    inputs["v"] = np.zeros(3)
    den = np.maximum(np.sqrt(column(x.var(axis=(0, 2, 3))) + EPS), np.sqrt(x.var(axis=(2, 3), keepdims=True) + EPS))
    want = column(inputs["gamma"]) * x / den + column(inputs["beta"])
    call.near("y", call("b0_train", **inputs)["y"], want, slack=2)

"""References for paper 30: decoded weights, one group at a time."""

import numpy as np

from common import Paper

paper = Paper("30-jlcm")


def decoded(CB, M):
    """The weight: every group of rows looked up in its own codebook."""
    return np.concatenate([book[rows] for book, rows in zip(CB, np.split(M, len(CB)))])


def linear_multi(x, CB, M, perm):
    y = np.zeros((len(x), len(M)))
    y[:, perm] = x @ decoded(CB, M).T
    return {"y": y}


def linear_scaled(x, cb, s, M):
    W = np.repeat(s, len(M) // len(s))[:, None] * cb[M]
    return {"W": W, "y": x @ W.T}


def linear_packed2(x, CB, Mp):
    M = np.stack([Mp // 4**place % 4 for place in range(4)], axis=2).reshape(len(Mp), -1)
    return {"y": x @ decoded(CB, M.astype(int)).T}


def codebook_grad(dW, M, G, NC):
    dCB = np.zeros((G, NC))
    for g, (gradient, codes) in enumerate(zip(np.split(dW, G), np.split(M, G))):
        dCB[g] = np.bincount(codes.reshape(-1), gradient.reshape(-1), NC)
    return {"dCB": dCB}


def assign(W, CB):
    M = np.concatenate([np.argmin(np.abs(rows[:, :, None] - book), axis=2) for rows, book in zip(np.split(W, len(CB)), CB)])
    return {"M": M, "err": np.sum((W - decoded(CB, M)) ** 2)}


def multi_inputs(g, b, o, i, groups, c):
    return {"x": g.real(b, i), "CB": g.real(groups, c), "M": g.ints(0, c, o, i), "perm": g.permutation(o)}


def scaled_inputs(g, b, o, i, groups, c):
    return {"x": g.real(b, i), "cb": g.real(c), "s": g.uniform(0.5, 2, groups), "M": g.ints(0, c, o, i)}


def packed_inputs(g, b, o, w, groups):
    return {"x": g.real(b, 4 * w), "CB": g.real(groups, 4), "Mp": g.ints(0, 256, o, w, dtype=np.uint8)}


def grad_inputs(g, o, i, groups, c):
    return {"dW": g.real(o, i), "M": g.ints(0, c, o, i), "G": np.int64(groups), "NC": np.int64(c)}


def assign_inputs(g, o, i, groups, c):
    return {"W": g.real(o, i), "CB": g.real(groups, c)}


LAYERS = [dict(b=2, o=6, i=8, groups=3, c=4), dict(b=1, o=1, i=1, groups=1, c=1), dict(b=5, o=6, i=3, groups=2, c=16),
          dict(b=3, o=5, i=17, groups=5, c=3)]
MATRICES = [{name: value for name, value in size.items() if name != "b"} for size in LAYERS]
paper.add("linear_multi", LAYERS, multi_inputs, linear_multi)
paper.add("linear_scaled", LAYERS, scaled_inputs, linear_scaled)
paper.add("linear_packed2", [dict(b=2, o=6, w=2, groups=3), dict(b=1, o=1, w=1, groups=1), dict(b=7, o=4, w=5, groups=1)],
          packed_inputs, linear_packed2)
paper.add("codebook_grad", MATRICES, grad_inputs, codebook_grad)
paper.add("assign", MATRICES, assign_inputs, assign)


@paper.property("linear_packed2")
def bytes_of_the_example(call, g):
    Mp = np.array([[228, 67]], dtype=np.uint8)
    y = call("linear_packed2", x=np.eye(8), CB=np.array([[0.0, 1.0, 2.0, 3.0]]), Mp=Mp)["y"][:, 0]
    call.holds("0,1,2,3,3,0,0,1", list(y) == [0, 1, 2, 3, 3, 0, 0, 1])


@paper.property("linear_multi")
def products_with_codes_instead_of_weights(call, g):
    inputs = multi_inputs(g, 3, 6, 9, 2, 4)
    x, CB, M, perm = inputs.values()
    sums = np.stack([x @ (M == k).T for k in range(4)], axis=2)
    want = np.zeros((3, 6))
    want[:, perm] = np.einsum("bok,ok->bo", sums, np.repeat(CB, 3, axis=0))
    call.near("y", call("linear_multi", **inputs)["y"], want)


@paper.property("linear_scaled", "linear_multi")
def scaled_codes_are_several_codebooks(call, g):
    inputs = scaled_inputs(g, 3, 6, 5, 3, 4)
    several = call("linear_multi", x=inputs["x"], CB=inputs["s"][:, None] * inputs["cb"], M=inputs["M"], perm=np.arange(6))
    call.near("y", call("linear_scaled", **inputs)["y"], several["y"])


@paper.property("codebook_grad", "assign")
def a_gradient_step_lowers_the_error(call, g):
    inputs = assign_inputs(g, 6, 9, 2, 4)
    got = call("assign", **inputs)
    dW = 2 * (decoded(inputs["CB"], got["M"]) - inputs["W"])
    dCB = call("codebook_grad", dW=dW, M=got["M"], G=np.int64(2), NC=np.int64(4))["dCB"]
    step = decoded(inputs["CB"] - 0.01 * dCB, got["M"])
    call.holds("lower", np.sum((inputs["W"] - step) ** 2) < got["err"])


@paper.property("assign")
def ties_go_to_the_lower_code(call, g):
    got = call("assign", W=np.array([[0.5, 2.0]]), CB=np.array([[1.0, 0.0, 1.0]]))
    call.holds("codes 0 and 0", list(got["M"][0]) == [0, 0])


@paper.property()
def bytes_of_llama(call, g):
    embeddings = 2 * 32000 * 4096
    call.holds("1.68 GB", abs(6.74e9 / 4 / 1e9 - 1.68) < 0.01)
    call.holds("2.14 GB", abs(((6.74e9 - embeddings) / 4 + 2 * embeddings) / 1e9 - 2.14) < 0.01)

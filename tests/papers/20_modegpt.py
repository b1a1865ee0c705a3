"""References for paper 20: dense matrices with rows and columns taken out."""

import numpy as np

from common import Paper, largest, silu

paper = Paper("20-modegpt")


def gram(X, Wg, Wu):
    C = np.zeros((Wg.shape[1],) * 2)
    for x in X:
        s = silu(x @ Wg) * (x @ Wu)
        C += np.outer(s, s)
    return {"C": C}


def mlp_compressed(X, Wg, Wu, Wk, keep):
    return {"Y": (silu(X @ Wg) * (X @ Wu))[:, keep] @ Wk}


def cr_scores(q, k, R):
    s = np.linalg.norm(q, axis=0) * np.linalg.norm(k, axis=0)
    keep = np.sort(largest(s, R), axis=1)
    A = np.stack([q[:, h, columns] @ k[:, h, columns].T for h, columns in enumerate(keep)])
    return {"s": s, "keep": keep, "A": A}


def gram_inputs(g, n, d, f):
    return {"X": g.real(n, d), "Wg": g.real(d, f), "Wu": g.real(d, f)}


def mlp_inputs(g, n, d, f, k, e):
    return {**gram_inputs(g, n, d, f), "Wk": g.real(k, e), "keep": np.sort(g.permutation(f)[:k])}


def score_inputs(g, n, h, j, R):
    return {"q": g.real(n, h, j), "k": g.real(n, h, j), "R": np.int64(R)}


paper.add("gram", [dict(n=20, d=6, f=10), dict(n=1, d=1, f=1), dict(n=3, d=9, f=2), dict(n=33, d=2, f=17)], gram_inputs, gram)
paper.add("mlp_compressed", [dict(n=20, d=6, f=10, k=7, e=5), dict(n=1, d=1, f=1, k=1, e=1), dict(n=5, d=3, f=12, k=1, e=9)],
          mlp_inputs, mlp_compressed)
paper.add("cr_scores", [dict(n=20, h=2, j=8, R=5), dict(n=1, h=1, j=1, R=1), dict(n=4, h=3, j=6, R=6), dict(n=7, h=5, j=9, R=1)],
          score_inputs, cr_scores)


@paper.property("gram")
def chunks_of_tokens_accumulate(call, g):
    inputs = gram_inputs(g, 12, 4, 6)
    X = inputs.pop("X")
    parts = call("gram", X=X[:5], **inputs)["C"] + call("gram", X=X[5:], **inputs)["C"]
    call.near("C", call("gram", X=X, **inputs)["C"], parts)


@paper.property("cr_scores")
def all_columns_give_the_logits(call, g):
    inputs = score_inputs(g, 5, 2, 4, 4)
    call.near("A", call("cr_scores", **inputs)["A"], np.einsum("mhj,nhj->hmn", inputs["q"], inputs["k"]))


@paper.property("cr_scores")
def ties_go_to_the_lower_column(call, g):
    q = np.ones((3, 1, 5))
    q[:, 0, 4] = 2
    call.holds("columns 0, 1 and 4", list(call("cr_scores", q=q, k=q, R=np.int64(3))["keep"][0]) == [0, 1, 4])


@paper.property("mlp_compressed")
def all_units_are_the_dense_perceptron(call, g):
    inputs = mlp_inputs(g, 4, 3, 6, 6, 2)
    want = (silu(inputs["X"] @ inputs["Wg"]) * (inputs["X"] @ inputs["Wu"])) @ inputs["Wk"]
    call.near("Y", call("mlp_compressed", **inputs)["Y"], want)


@paper.property()
def parameters_of_llama(call, g):
    d, f, layers = 4096, 11008, 32
    rest = 6.738e9 - layers * (4 * d * d + 3 * d * f)
    left = rest + layers * (3 * d * 7705 + 32 * 2 * d * (89 + 88))
    call.holds("4.777 B", abs(left / 1e9 - 4.777) < 0.002)

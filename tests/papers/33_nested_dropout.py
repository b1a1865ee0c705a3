"""References for paper 33: one truncation at a time."""

import numpy as np
from scipy.special import logsumexp

from common import Paper

paper = Paper("33-nested-dropout")


def nested_eval(f, W, b, y):
    L = np.stack([f[:, : k + 1] @ W[:, : k + 1].T + b for k in range(f.shape[1])])
    acc = np.array([np.mean(np.argmax(logits, axis=1) == y) for logits in L])
    return {"L": L, "acc": acc, "kbest": np.int64(np.argmax(acc - 1e-5 * np.arange(len(acc))))}


def gauss_dist(N, mu, sd):
    p = np.exp(-(((np.arange(1, N + 1) - mu) / sd) ** 2))
    return {"p": p / p.sum()}


def losses(L, y):
    return np.array([logsumexp(row) - row[label] for row, label in zip(L, y)])


def coteach(L1, L2, y, R):
    ce1, ce2 = losses(L1, y), losses(L2, y)
    sel1, sel2 = (np.argsort(ce, kind="stable")[:R] for ce in (ce1, ce2))
    return {"ce1": ce1, "ce2": ce2, "sel1": sel1, "sel2": sel2, "loss1": ce1[sel2].mean(), "loss2": ce2[sel1].mean()}


def eval_inputs(g, n, d, c):
    return {"f": g.real(n, d), "W": g.real(c, d), "b": g.real(c), "y": g.ints(0, c, n)}


def gauss_inputs(g, N, mu, sd):
    return {"N": np.int64(N), "mu": np.asarray(mu), "sd": np.asarray(sd)}


def coteach_inputs(g, n, c, R):
    return {"L1": g.real(n, c, scale=2), "L2": g.real(n, c, scale=2), "y": g.ints(0, c, n), "R": np.int64(R)}


paper.add("nested_eval", [dict(n=6, d=5, c=3), dict(n=1, d=1, c=1), dict(n=17, d=9, c=4), dict(n=3, d=1, c=7)], eval_inputs, nested_eval)
paper.add("gauss_dist", [dict(N=5, mu=0.0, sd=3.0), dict(N=1, mu=2.0, sd=1.0), dict(N=33, mu=10.0, sd=7.5)], gauss_inputs, gauss_dist)
paper.add("coteach", [dict(n=6, c=3, R=4), dict(n=1, c=1, R=1), dict(n=17, c=5, R=17), dict(n=9, c=2, R=1)], coteach_inputs, coteach)


@paper.property("nested_eval")
def truncations_differ_by_one_channel(call, g):
    inputs = eval_inputs(g, 7, 6, 4)
    L = call("nested_eval", **inputs)["L"]
    call.near("last", L[-1], inputs["f"] @ inputs["W"].T + inputs["b"])
    call.near("steps", np.diff(L, axis=0), np.einsum("nk,ck->knc", inputs["f"], inputs["W"])[1:])


@paper.property("nested_eval")
def ties_go_to_the_shorter_truncation(call, g):
    f = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    got = call("nested_eval", f=f, W=np.array([[1.0, 1, 1], [-1.0, 1, 1]]), b=np.zeros(2), y=np.array([0, 1]))
    call.holds("kbest 0", got["kbest"] == 0)
    call.near("acc", got["acc"], np.ones(3))


@paper.property("gauss_dist")
def probabilities_sum_to_one(call, g):
    p = call("gauss_dist", **gauss_inputs(g, 512, 0.0, 100.0))["p"]
    call.near("sum", p.sum(), 1.0)
    call.holds("falling", np.all(np.diff(p) < 0))


@paper.property("coteach")
def all_samples_give_plain_means(call, g):
    inputs = coteach_inputs(g, 8, 4, 8)
    got = call("coteach", **inputs)
    call.near("loss1", got["loss1"], got["ce1"].mean())
    call.near("loss2", got["loss2"], got["ce2"].mean())

"""References for paper 09: experts, heads and tokens one at a time."""

import numpy as np

from common import Paper, gelu, largest, softmax

paper = Paper("09-uoe")


def expert(x, e, W1, b1, W2, b2):
    return b2[e] + gelu(b1[e] + x @ W1[e]) @ W2[e]


def mlp_masked(X, W1, b1, W2, b2, mask):
    Y = np.zeros_like(X)
    for b, t in np.ndindex(X.shape[:2]):
        for e in range(len(b1)):
            Y[b, t] += mask[b, t, e] * expert(X[b, t], e, W1, b1, W2, b2)
    return {"Y": Y}


def route_topk(X, Wg, bg, k):
    gate = softmax(X @ Wg + bg)
    mask = np.zeros_like(gate)
    np.put_along_axis(mask, largest(gate, k), 1, axis=-1)
    return {"gate": gate, "mask": mask}


def uome_ds(X, Wg, bg, W1, b1, W2, b2, k, cap):
    routed = route_topk(X, Wg, bg, k)
    score = routed["gate"] * routed["mask"]
    mask = np.zeros_like(score)
    for b in range(len(X)):
        for e in range(len(bg)):
            for t in largest(score[b, :, e], cap):
                mask[b, t, e] = score[b, t, e] > 0
    return {"mask": mask, **mlp_masked(X, W1, b1, W2, b2, mask)}


def uome_es(X, Wr, br, W1, b1, W2, b2, k):
    route = softmax(br + np.einsum("btd,tde->be", X, Wr))
    sel = np.zeros_like(route)
    np.put_along_axis(sel, largest(route, k), 1, axis=-1)
    mask = np.repeat(sel[:, None], X.shape[1], axis=1)
    return {"sel": sel, **mlp_masked(X, W1, b1, W2, b2, mask)}


def smha(X, Wq, Wk, Wv, Wo, sel):
    Y = np.zeros_like(X)
    for b in range(len(X)):
        for h in range(len(Wq)):
            tokens = np.flatnonzero(sel[b, h])
            own = X[b, tokens]
            for place, t in enumerate(tokens):
                logits = (own[: place + 1] @ Wk[h]) @ (X[b, t] @ Wq[h]) / np.sqrt(Wq.shape[2])
                Y[b, t] += softmax(logits) @ (own[: place + 1] @ Wv[h]) @ Wo[h]
    return {"Y": Y}


def experts(g, d, e, f):
    return {"W1": g.real(e, d, f, scale=0.5), "b1": g.real(e, f), "W2": g.real(e, f, d, scale=0.5), "b2": g.real(e, d)}


def gates(g, d, e):
    return {"Wg": g.real(d, e, scale=0.5), "bg": g.real(e)}


def masked_inputs(g, b, t, d, e, f):
    return {"X": g.real(b, t, d), **experts(g, d, e, f), "mask": g.flags(b, t, e)}


def route_inputs(g, b, t, d, e, k):
    return {"X": g.real(b, t, d), **gates(g, d, e), "k": np.int64(k)}


def ds_inputs(g, b, t, d, e, f, k, cap):
    return {**route_inputs(g, b, t, d, e, k), **experts(g, d, e, f), "cap": np.int64(cap)}


def es_inputs(g, b, t, d, e, f, k):
    return {"X": g.real(b, t, d), "Wr": g.real(t, d, e, scale=0.3), "br": g.real(e), **experts(g, d, e, f), "k": np.int64(k)}


def smha_inputs(g, b, t, d, h, f, share=0.5):
    weights = {name: g.real(h, d, f, scale=0.5) for name in ("Wq", "Wk", "Wv")}
    return {"X": g.real(b, t, d), **weights, "Wo": g.real(h, f, d, scale=0.5), "sel": g.flags(b, h, t, share=share)}


paper.add("mlp_masked", [dict(b=2, t=6, d=8, e=4, f=6), dict(b=1, t=1, d=1, e=1, f=1), dict(b=3, t=1, d=5, e=2, f=9)],
          masked_inputs, mlp_masked)
paper.add("route_topk", [dict(b=2, t=6, d=8, e=4, k=2), dict(b=1, t=1, d=1, e=1, k=1), dict(b=2, t=5, d=3, e=7, k=7)],
          route_inputs, route_topk)
paper.add("uome_ds", [dict(b=2, t=6, d=8, e=4, f=6, k=2, cap=2), dict(b=1, t=1, d=1, e=1, f=1, k=1, cap=1),
                      dict(b=2, t=5, d=3, e=3, f=4, k=1, cap=9), dict(b=1, t=9, d=2, e=5, f=2, k=4, cap=3)], ds_inputs, uome_ds)
paper.add("uome_es", [dict(b=3, t=4, d=5, e=4, f=6, k=2), dict(b=1, t=1, d=1, e=1, f=1, k=1), dict(b=2, t=3, d=2, e=6, f=3, k=5)],
          es_inputs, uome_es)
paper.add("smha", [dict(b=2, t=6, d=8, h=2, f=4), dict(b=1, t=1, d=3, h=1, f=1, share=1.0), dict(b=2, t=7, d=3, h=3, f=2, share=0.2),
                   dict(b=1, t=4, d=2, h=2, f=3, share=0.0)], smha_inputs, smha)


@paper.property("mlp_masked")
def all_experts_are_the_dense_perceptron(call, g):
    inputs = masked_inputs(g, 2, 3, 5, 4, 6)
    inputs["mask"] = np.ones_like(inputs["mask"])
    W1 = np.concatenate(list(inputs["W1"]), axis=1)
    W2 = np.concatenate(list(inputs["W2"]), axis=0)
    want = gelu(inputs["X"] @ W1 + inputs["b1"].reshape(-1)) @ W2 + inputs["b2"].sum(axis=0)
    call.near("Y", call("mlp_masked", **inputs)["Y"], want, slack=4)


@paper.property("smha")
def all_tokens_are_causal_attention(call, g):
    inputs = smha_inputs(g, 2, 5, 6, 2, 3, share=1.0)
    X = inputs["X"]
    q, k, v = (np.einsum("btd,hdf->bhtf", X, inputs[name]) for name in ("Wq", "Wk", "Wv"))
    logits = np.einsum("bhtf,bhsf->bhts", q, k) / np.sqrt(3)
    logits[..., np.triu(np.ones((5, 5), dtype=bool), 1)] = -np.inf
    want = np.einsum("bhts,bhsf,hfd->btd", softmax(logits), v, inputs["Wo"])
    call.near("Y", call("smha", **inputs)["Y"], want, slack=4)


@paper.property("route_topk", "uome_ds")
def masks_keep_their_bounds(call, g):
    inputs = ds_inputs(g, 3, 8, 4, 5, 2, 2, 3)
    routed = call("route_topk", **{name: inputs[name] for name in ("X", "Wg", "bg", "k")})["mask"]
    call.holds("k ones a token", np.all(routed.sum(axis=2) == 2))
    kept = call("uome_ds", **inputs)["mask"]
    call.holds("at most cap a sequence and expert", np.all(kept.sum(axis=1) <= 3))
    call.holds("only routed tokens", np.all(kept <= routed))


@paper.property("route_topk")
def ties_go_to_the_lower_expert(call, g):
    inputs = {"X": g.real(1, 2, 3), "Wg": np.zeros((3, 4)), "bg": np.array([0.0, 1.0, 1.0, 1.0]), "k": np.int64(2)}
    call.holds("experts 1 and 2", np.array_equal(call("route_topk", **inputs)["mask"][0, 0], [0, 1, 1, 0]))

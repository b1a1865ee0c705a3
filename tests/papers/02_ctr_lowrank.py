"""References for paper 02: one sample, one field and one component at a time."""

import numpy as np

from common import Paper, sigmoid

paper = Paper("02-ctr-lowrank")


def moments(Y):
    return {"mean": Y.mean(axis=0), "cov": np.atleast_2d(np.cov(Y.T, bias=True))}


def forward_mlp(X, V, c1, U, c2):
    return {"Z": np.stack([np.maximum(U @ (V @ x + c1) + c2, 0) for x in X])}


def forward_deepfm(idx, dense, Ec, U, mu, wl, wd, w0, V1, c1, U1, d1, V2, c2, U2, d2, wo):
    samples, fields = idx.shape
    emb = np.zeros((samples, fields, mu.shape[1]))
    fm, prob = np.zeros(samples), np.zeros(samples)
    for n in range(samples):
        lin = w0 + wd @ dense[n]
        for f in range(fields):
            emb[n, f] = mu[f] + U[f] @ Ec[f, idx[n, f]]
            lin += wl[f, idx[n, f]]
        fm[n] = sum(emb[n, f] @ emb[n, g] for f in range(fields) for g in range(f))
        x = np.concatenate([emb[n].reshape(-1), dense[n]])
        h1 = np.maximum(U1 @ (V1 @ x + c1) + d1, 0)
        h2 = np.maximum(U2 @ (V2 @ h1 + c2) + d2, 0)
        prob[n] = sigmoid(lin + fm[n] + wo @ h2)
    return {"emb": emb, "fm": fm, "prob": prob}


def moments_inputs(g, n, o):
    return {"Y": g.real(n, o)}


def mlp_inputs(g, n, i, r, o):
    return {"X": g.real(n, i), "V": g.real(r, i), "c1": g.real(r), "U": g.real(o, r), "c2": g.real(o)}


def deepfm_inputs(g, n, f, v, e, r, dense, p1, h1, p2, h2):
    i = f * e + dense
    return {"idx": g.ints(0, v, n, f), "dense": g.real(n, dense), "Ec": g.real(f, v, r), "U": g.real(f, e, r, scale=0.5),
            "mu": g.real(f, e, scale=0.5), "wl": g.real(f, v, scale=0.3), "wd": g.real(dense), "w0": g.real(),
            "V1": g.real(p1, i, scale=0.3), "c1": g.real(p1), "U1": g.real(h1, p1, scale=0.5), "d1": g.real(h1),
            "V2": g.real(p2, h1, scale=0.3), "c2": g.real(p2), "U2": g.real(h2, p2, scale=0.5), "d2": g.real(h2),
            "wo": g.real(h2, scale=0.3)}


DEEPFM = [dict(n=5, f=4, v=12, e=6, r=3, dense=2, p1=4, h1=7, p2=3, h2=5),
          dict(n=1, f=3, v=1, e=2, r=1, dense=1, p1=1, h1=2, p2=1, h2=1),
          dict(n=9, f=1, v=7, e=1, r=2, dense=5, p1=2, h1=1, p2=2, h2=3)]
paper.add("moments", [dict(n=40, o=8), dict(n=1, o=3), dict(n=7, o=1), dict(n=33, o=17)], moments_inputs, moments)
paper.add("forward_mlp", [dict(n=5, i=10, r=3, o=8), dict(n=1, i=1, r=1, o=1), dict(n=19, i=7, r=9, o=2)], mlp_inputs, forward_mlp)
paper.add("forward_deepfm", DEEPFM, deepfm_inputs, forward_deepfm)


@paper.property("forward_mlp")
def full_rank_is_the_original_layer(call, g):
    X, W, b = g.real(11, 6), g.real(5, 6), g.real(5)
    U = g.rotation(5)
    Z = call("forward_mlp", X=X, V=U.T @ W, c1=U.T @ b, U=U, c2=np.zeros(5))["Z"]
    call.near("Z", Z, np.maximum(X @ W.T + b, 0), slack=4)


@paper.property("forward_deepfm")
def gathering_and_decompressing_commute(call, g):
    inputs = deepfm_inputs(g, **DEEPFM[0])
    emb = call("forward_deepfm", **inputs)["emb"]
    whole = np.einsum("fer,fvr->fve", inputs["U"], inputs["Ec"]) + inputs["mu"][:, None]
    want = np.stack([whole[f, inputs["idx"][:, f]] for f in range(4)], axis=1)
    call.near("emb", emb, want, slack=4)


@paper.property("moments")
def residual_is_the_discarded_energy(call, g):
    Y = g.real(30, 6) @ g.real(6, 6)
    got = call("moments", Y=Y)
    lam, U = np.linalg.eigh(got["cov"])
    P = U[:, 3:] @ U[:, 3:].T
    Z = (Y - got["mean"]) @ P + got["mean"]
    call.near("error", np.mean(np.sum((Y - Z) ** 2, axis=1)), np.sum(lam[:3]), slack=20 * lam.max() / lam[:3].sum())


@paper.property("moments")
def covariance_about_a_mean_far_from_zero(call, g):
    for mean in (10, 100, 1000):
        Y = (mean + g.real(400, 6)).astype(np.float32)
        call.near("cov", call("moments", Y=Y)["cov"], moments(Y.astype(np.float64))["cov"])


@paper.property()
def parameters(call, g):
    inputs = mlp_inputs(g, 1, 400, 40, 400)
    call.holds("5x fewer", 400 * 400 == 5 * (inputs["V"].size + inputs["U"].size))

"""References for paper 27: explicit extensions of the series and one time step at a time."""

import numpy as np

from common import Paper, sigmoid, silu, softmax

paper = Paper("27-karma")


def revin(x, gamma, beta):
    mean, std = x.mean(axis=1), np.sqrt(x.var(axis=1) + 1e-5)
    return {"y": (x - mean[:, None]) / std[:, None] * gamma + beta, "mean": mean, "std": std}


def series_decomp(x, W):
    h = (W - 1) // 2
    padded = np.concatenate([np.repeat(x[:, :1], h, axis=1), x, np.repeat(x[:, -1:], h, axis=1)], axis=1)
    trend = np.stack([padded[:, l : l + W].mean(axis=1) for l in range(x.shape[1])], axis=1)
    return {"seasonal": x - trend, "trend": trend}


def atcd(x, W1, b1, Wq, bq, Wk, bk, Wv, bv, Wo, bo, Ws, bs, Wt, bt, H):
    u = x @ W1 + b1
    q, k, v = u @ Wq + bq, u @ Wk + bk, u @ Wv + bv
    heads = []
    for part in np.split(np.arange(u.shape[2]), H):
        p = softmax(q[:, :, part] @ np.swapaxes(k[:, :, part], 1, 2) / np.sqrt(len(part)))
        heads.append(p @ v[:, :, part])
    trend = silu(np.concatenate(heads, axis=2) @ Wo + bo)
    return {"s": (u - trend) @ Ws + bs, "t": trend @ Wt + bt}


def dwt(x, lo, hi):
    n = x.shape[2]
    mirrored = np.concatenate([x, x[:, :, ::-1]], axis=2)
    extended = np.tile(mirrored, 2 + 16 // (2 * n))
    origin = 2 * n * (8 // (2 * n) + 1)
    extended = np.concatenate([np.tile(mirrored, 8 // (2 * n) + 1), extended], axis=2)
    result = {}
    for name, taps in (("ca", lo), ("cd", hi)):
        windows = [extended[:, :, origin + 2 * k - 6 : origin + 2 * k + 2] for k in range((n + 7) // 2)]
        result[name] = np.stack([w[:, :, ::-1] @ taps for w in windows], axis=2)
    return result


def idwt(ca, cd, lo, hi):
    count = ca.shape[2]
    x = np.zeros(ca.shape[:2] + (2 * count + 6,))
    # coefficient k reaches the points 2k - 6 .. 2k + 1, the last with tap 0
    for k in range(count):
        x[:, :, 2 * k : 2 * k + 8] += ca[:, :, k, None] * lo[::-1] + cd[:, :, k, None] * hi[::-1]
    return {"x": x[:, :, 6 : 2 * count]}


def selective_scan(u, delta, A, B, C, D):
    n, length, width = u.shape
    h = np.zeros((n, width, A.shape[1]))
    y = np.zeros_like(u)
    for l in range(length):
        step = delta[:, l, :, None]
        h = np.exp(step * A) * h + step * B[:, l, None, :] * u[:, l, :, None]
        y[:, l] = (h @ C[:, l, :, None])[..., 0] + D * u[:, l]
    return {"y": y, "h": h}


def mamba_block(u, Win, Wz, wc, bc, Wr, Wdt, bdt, WB, WC, Alog, D, Wout):
    x, z, taps = u @ Win, u @ Wz, wc.shape[1]
    padded = np.concatenate([np.zeros((x.shape[0], taps - 1, x.shape[2])), x], axis=1)
    xc = silu(bc + sum(wc[:, j] * padded[:, j : j + x.shape[1]] for j in range(taps)))
    delta = np.logaddexp(0, xc @ Wr @ Wdt + bdt)
    y = selective_scan(xc, delta, -np.exp(Alog), xc @ WB, xc @ WC, D)["y"]
    return {"y": (y * z * sigmoid(z)) @ Wout}


def revin_inputs(g, b, l, d):
    return {"x": 2 + g.real(b, l, d), "gamma": g.real(d), "beta": g.real(d)}


def decomp_inputs(g, b, l, d, W):
    return {"x": g.real(b, l, d), "W": np.int64(W)}


def atcd_inputs(g, b, l, c, e, H):
    inputs = {"x": g.real(b, l, c), "W1": g.real(c, e), "b1": g.real(e)}
    for name in "qkvo":
        inputs["W" + name], inputs["b" + name] = g.real(e, e, scale=0.4), g.real(e)
    return {**inputs, "Ws": g.real(e, c, scale=0.5), "bs": g.real(c), "Wt": g.real(e, c, scale=0.5), "bt": g.real(c), "H": np.int64(H)}


def dwt_inputs(g, b, c, n):
    return {"x": g.real(b, c, n), "lo": g.real(8), "hi": g.real(8)}


def idwt_inputs(g, b, c, k):
    return {"ca": g.real(b, c, k), "cd": g.real(b, c, k), "lo": g.real(8), "hi": g.real(8)}


def scan_inputs(g, b, l, d, s):
    return {"u": g.real(b, l, d), "delta": g.uniform(0.1, 1, b, l, d), "A": -g.uniform(0.1, 2, d, s), "B": g.real(b, l, s),
            "C": g.real(b, l, s), "D": g.real(d)}


def block_inputs(g, b, l, m, e, k, r, s):
    return {"u": g.real(b, l, m), "Win": g.real(m, e, scale=0.5), "Wz": g.real(m, e, scale=0.5), "wc": g.real(e, k), "bc": g.real(e),
            "Wr": g.real(e, r, scale=0.5), "Wdt": g.real(r, e, scale=0.5), "bdt": g.real(e), "WB": g.real(e, s, scale=0.5),
            "WC": g.real(e, s, scale=0.5), "Alog": g.real(e, s, scale=0.5), "D": g.real(e), "Wout": g.real(e, m, scale=0.5)}


SERIES = [dict(b=2, l=7, d=3), dict(b=1, l=1, d=1), dict(b=3, l=17, d=1), dict(b=1, l=4, d=9)]
paper.add("revin", SERIES, revin_inputs, revin)
paper.add("series_decomp", [dict(**s, W=W) for s, W in zip(SERIES, (5, 1, 3, 11))], decomp_inputs, series_decomp)
paper.add("atcd", [dict(b=2, l=7, c=3, e=6, H=2), dict(b=1, l=1, c=1, e=1, H=1), dict(b=1, l=9, c=2, e=4, H=4), dict(b=3, l=2, c=5, e=3, H=1)],
          atcd_inputs, atcd)
paper.add("dwt", [dict(b=2, c=3, n=10), dict(b=1, c=1, n=2), dict(b=1, c=2, n=8), dict(b=2, c=1, n=4), dict(b=1, c=1, n=34)],
          dwt_inputs, dwt)
paper.add("idwt", [dict(b=2, c=3, k=8), dict(b=1, c=1, k=4), dict(b=1, c=2, k=17)], idwt_inputs, idwt)
paper.add("selective_scan", [dict(b=2, l=7, d=3, s=4), dict(b=1, l=1, d=1, s=1), dict(b=1, l=33, d=2, s=1), dict(b=3, l=5, d=1, s=6),
                         dict(b=2, l=0, d=3, s=2)],
          scan_inputs, selective_scan)
paper.add("mamba_block", [dict(b=2, l=7, m=3, e=4, k=4, r=2, s=3), dict(b=1, l=1, m=1, e=1, k=1, r=1, s=1),
                          dict(b=1, l=3, m=5, e=2, k=6, r=1, s=4)], block_inputs, mamba_block)

DAUBECHIES4 = np.array([0.23037781330885523, 0.7148465705525415, 0.6308807679295904, -0.02798376941698385,
                        -0.18703481171888114, 0.030841381835986965, 0.032883011666982945, -0.010597401784997278])


@paper.property("series_decomp")
def even_windows_are_refused(call, g):
    call.refuses("series_decomp", "EIN0309", **decomp_inputs(g, 1, 5, 2, 4))


@paper.property("dwt", "idwt")
def the_inverse_restores_the_series(call, g):
    lo = DAUBECHIES4[::-1].copy()
    hi = lo[::-1] * np.where(np.arange(8) % 2, 1, -1)
    x = g.real(2, 3, 14)
    got = call("dwt", x=x, lo=lo, hi=hi)
    call.near("x", call("idwt", ca=got["ca"], cd=got["cd"], lo=lo, hi=hi)["x"], x, slack=4)


@paper.property("dwt")
def samples_of_the_example(call, g):
    taps = 10.0 ** np.arange(8)
    got = call("dwt", x=np.arange(8.0).reshape(1, 1, 8), lo=taps / 1e7, hi=np.zeros(8))["ca"][0, 0, :3]
    samples = np.array([[1, 0, 0, 1, 2, 3, 4, 5], [3, 2, 1, 0, 0, 1, 2, 3], [5, 4, 3, 2, 1, 0, 0, 1]])
    call.near("ca", got, samples @ taps / 1e7)


@paper.property("series_decomp")
def parts_sum_to_the_series(call, g):
    inputs = decomp_inputs(g, 2, 9, 3, 5)
    got = call("series_decomp", **inputs)
    call.near("x", got["trend"] + got["seasonal"], inputs["x"])


@paper.property("selective_scan")
def the_scan_is_a_sum_over_the_past(call, g):
    inputs = scan_inputs(g, 1, 6, 2, 3)
    u, delta, A, B, C, D = (inputs[name] for name in ("u", "delta", "A", "B", "C", "D"))
    S = np.cumsum(delta[0], axis=0)
    want = D * u[0]
    for t in range(6):
        for r in range(t + 1):
            decay = np.exp(A * (S[t] - S[r])[:, None])
            want[t] += (decay * B[0, r]) @ C[0, t] * delta[0, r] * u[0, r]
    call.near("y", call("selective_scan", **inputs)["y"][0], want)
    frozen = call("selective_scan", **{**inputs, "delta": np.zeros_like(delta)})
    call.near("frozen", frozen["h"], np.zeros((1, 2, 3)))


@paper.property("mamba_block")
def the_block_is_causal(call, g):
    inputs = block_inputs(g, 1, 8, 3, 4, 3, 2, 3)
    before = call("mamba_block", **inputs)["y"]
    inputs["u"] = inputs["u"].copy()
    inputs["u"][0, 5:] += 1
    call.near("y before 5", call("mamba_block", **inputs)["y"][0, :5], before[0, :5])

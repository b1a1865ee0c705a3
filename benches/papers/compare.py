"""Runs the cases of target/papers.json with NumPy and (if installed) PyTorch, and prints ratios.

    EINC_THREADS=1 cargo bench --bench papers && OPENBLAS_NUM_THREADS=1 python benches/papers/compare.py

Times of one thread are those that it ran, as ours are. A ratio is the best peer's time over ours: above 1 we are faster. All peers run in this one process, each as one who knows
NumPy would write it: with the cheap order where the paper names it, matrix products where there are some. `naive` is the
formula as the paper's plain form has it, where the headline compares the two.
"""

import json
import math
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

with open(os.path.join(ROOT, "target", "papers.json")) as file:
    RESULT = json.load(file)
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(RESULT["threads"])

import numpy as np  # noqa: E402

try:
    import scipy.sparse
except ImportError:
    scipy = None
try:
    import torch

    torch.set_num_threads(int(RESULT["threads"]))
except ImportError:
    torch = None

RANDOM = np.random.default_rng(1)


def real(*shape):
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def einsum(spec):
    return lambda *arrays: np.einsum(spec, *arrays, optimize=True)


def softmax(S):
    E = np.exp(S - S.max(-1, keepdims=True))
    return E / E.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def tlora(N, O1, O2, O3, I1, I2, I3, P, Q, R, S1, **_):
    X, W = real(N, I3 * I2 * I1), real(O1 * O2 * O3, I1 * I2 * I3)
    A = [real(I1, I1, P, Q), real(I2, I2, Q, R), real(I3, I3, R, P)]
    B = [real(n, S1, S1) for n in (O1, O2, O3)]
    C = [real(n, S1, S1) for n in (I1, I2, I3)]
    first = einsum("ixab,jybc,kzca,nzyx->nkji")
    down, up = einsum("xef,yfg,zga,nzyx->nae"), einsum("oab,pbc,qce,nae->nqpo")

    def call():
        Z = X.reshape(N, I3, I2, I1)
        Y = first(*A, Z).reshape(N, -1) @ W.T
        return Y + up(*B, down(*C, Z)).reshape(N, -1)

    return {"numpy": call}


def windows(X, KH, KW):
    P = np.pad(X, ((0, 0), (0, 0), (KH // 2, KH // 2), (KW // 2, KW // 2)))
    return np.lib.stride_tricks.sliding_window_view(P, (KH, KW), axis=(2, 3))


def flora(N, I, O, KH, KW, H, W, R1, R2, R3, R4):
    X, K, G = real(N, I, H, W), real(O, I, KH, KW), real(R1, R2, R3, R4)
    Ui, Uo, Uh, Uw = real(I, R1), real(O, R2), real(KH, R3), real(KW, R4)

    def convolve(X, K):
        V = windows(X, KH, KW).transpose(0, 2, 3, 1, 4, 5).reshape(N * H * W, -1)
        return (V @ K.reshape(len(K), -1).T).reshape(N, H, W, -1).transpose(0, 3, 1, 2)

    def call():
        core = np.einsum("abcd,hc,wd->bahw", G, Uh, Uw, optimize=True)
        small = np.tensordot(Ui, X, (0, 1)).transpose(1, 0, 2, 3)
        return convolve(X, K) + np.tensordot(Uo, convolve(small, core), (1, 1)).transpose(1, 0, 2, 3)

    found = {"numpy": call}
    if torch is not None:
        t = {k: torch.from_numpy(v) for k, v in dict(X=X, K=K, G=G, Ui=Ui, Uo=Uo, Uh=Uh, Uw=Uw).items()}

        def torch_call():
            core = torch.einsum("abcd,hc,wd->bahw", t["G"], t["Uh"], t["Uw"])
            small = torch.einsum("ia,niyx->nayx", t["Ui"], t["X"])
            small = torch.nn.functional.conv2d(small, core, padding="same")
            return torch.nn.functional.conv2d(t["X"], t["K"], padding="same") + torch.einsum("ob,nbyx->noyx", t["Uo"], small)

        found["torch"] = torch_call
    return found


def soka(T, M, N, P, Q, R):
    X, W, s, A, B = real(T, N * Q), real(M * P, N * Q), real(R), real(R, M, N), real(R, P, Q)

    def call():
        Y = X @ W.T
        for r in range(R):
            Y += s[r] * (A[r] @ X.reshape(T, N, Q) @ B[r].T).reshape(T, -1)
        return Y

    return {"numpy": call}


def maestro(N, I, O, R):
    X, V, U = real(N, I), real(I, R), real(O, R)

    def call():
        Z = X @ V
        return np.cumsum(Z.T[:, :, None] * U.T[:, None, :], axis=0)

    return {"numpy": call}


def apriori(N, I, O, H, W, KH, KW, Q):
    X, A, B, C, bias = real(N, I, H, W), real(O, I, Q), real(O, KH, Q), real(O, KW, Q), real(O)

    def call():
        Z = np.matmul(A[:, :, 0], X.reshape(N, I, H * W)).reshape(N, O, H, W)
        P = np.pad(Z, ((0, 0), (0, 0), (KH // 2, KH // 2), (0, 0)))
        Z = sum(B[:, h, 0][:, None, None] * P[:, :, h : h + H] for h in range(KH))
        P = np.pad(Z, ((0, 0), (0, 0), (0, 0), (KW // 2, KW // 2)))
        return bias[:, None, None] + sum(C[:, w, 0][:, None, None] * P[..., w : w + W] for w in range(KW))

    found = {"numpy": call}
    if torch is not None:
        t = [torch.from_numpy(v) for v in (X, A, B, C, bias)]

        def torch_call():
            Z = torch.nn.functional.conv2d(t[0], t[1][:, :, :1, None].contiguous())
            Z = torch.nn.functional.conv2d(Z, t[2].reshape(O, 1, KH, 1), padding="same", groups=O)
            return torch.nn.functional.conv2d(Z, t[3].reshape(O, 1, 1, KW), t[4], padding="same", groups=O)

        found["torch"] = torch_call
    return found


def attention(H, I, J, K, D, E):
    return real(H, I, D), real(H, J, D), real(H, K, D), real(H, J, E), real(H, K, E)


def taylor(H, I, J, K, D, E):
    q, k1, k2, v1, v2 = attention(H, I, J, K, D, E)

    def call():
        Y = []
        for h in range(H):
            num = v1[h].sum(0) * v2[h].sum(0) + (q[h] / D) @ ((k1[h].T @ v1[h]) * (k2[h].T @ v2[h]))
            den = J * K + (q[h] / D) @ (k1[h].sum(0) * k2[h].sum(0))
            m = [(x[h][:, :, None] * x[h][:, None, :]).reshape(len(x[h]), -1) for x in (q, k1, k2)]
            num = num + m[0] @ ((m[1].T @ v1[h]) * (m[2].T @ v2[h])) / (2 * D * D)
            den = den + m[0] @ (m[1].sum(0) * m[2].sum(0)) / (2 * D * D)
            Y.append(num / den[:, None])
        return np.stack(Y)

    exact = exact_attention(H, I, J, K, D, E)["numpy"]
    return {"numpy": call, "naive": exact}


def exact_attention(H, I, J, K, D, E):
    q, k1, k2, v1, v2 = attention(H, I, J, K, D, E)

    def call():
        Y = []
        for h in range(H):
            keys = (k1[h][:, None] * k2[h][None]).reshape(J * K, D)
            values = (v1[h][:, None] * v2[h][None]).reshape(J * K, E)
            Y.append(softmax(q[h] @ keys.T / D) @ values)
        return np.stack(Y)

    return {"numpy": call}


def influence(T, I, V, S):
    z, e, y, d = real(T, I, S), real(T, I), real(T, V, S), real(T, V)

    def call():
        G = np.matmul(d[:, None], y)[:, 0]
        return G, (np.matmul(z, G[:, :, None])[..., 0] * e).sum(0)

    def naive():
        return sum((z[t] @ y[t].T * e[t][:, None]) @ d[t] for t in range(T))

    return {"numpy": call, "naive": naive}


def evonorm(N, C, H, W, G):
    x, v, gamma, beta = real(N, C, H, W), real(C), real(C), real(C)

    def call():
        sd = np.sqrt(x.reshape(N, G, -1).var(-1) + np.float32(1e-5))
        sd = np.repeat(sd, C // G, axis=1)[:, :, None, None]
        c = lambda a: a[:, None, None]  # noqa: E731
        return c(gamma) * x * sigmoid(c(v) * x) / sd + c(beta)

    return {"numpy": call}


def spmm(I, K, N, Z):
    X, W = real(K, N), real(I, K)
    found = {"numpy dense": lambda: W @ X}
    if scipy is not None:
        each = Z // I
        columns = RANDOM.integers(0, K, I * each)
        sparse = scipy.sparse.csr_matrix((real(I * each), columns, np.arange(I + 1) * each), (I, K))
        found["scipy"] = lambda: sparse @ X
    return found


def score(Q, J, N, K):
    C, E = real(Q, J), real(J, N)

    def call():
        S = C @ E
        top = np.argpartition(-S, K, axis=1)[:, :K]
        val = np.take_along_axis(S, top, 1)
        order = np.argsort(-val, axis=1)
        return S, np.take_along_axis(top, order, 1), np.take_along_axis(val, order, 1)

    return {"numpy": call}


def selective_scan(N, L, E, S):
    u, delta, B, C, A, D = real(N, L, E), real(N, L, E), real(N, L, S), real(N, L, S), real(E, S), real(E)

    def call():
        h, y = np.zeros((N, E, S), np.float32), np.empty((N, L, E), np.float32)
        for t in range(L):
            h = np.exp(delta[:, t, :, None] * A) * h + (delta[:, t] * u[:, t])[:, :, None] * B[:, t, None]
            y[:, t] = np.matmul(h, C[:, t, :, None])[..., 0] + D * u[:, t]
        return y, h

    return {"numpy": call}


def graphs(B, N):
    A = (RANDOM.uniform(size=(B, N, N)) < 0.4).astype(np.float32)
    A = np.triu(A, 1)
    return A + A.transpose(0, 2, 1)


def diamond(B, N):
    A = graphs(B, N)

    def call():
        pairs = A[:, :, :, None] * A[:, :, None, :]
        inner = np.matmul(A, pairs.reshape(B, N, N * N)).reshape(B, N, N, N)
        return (inner * pairs).sum(1)

    def naive():
        return np.stack([np.einsum("ij,ik,il,jk,jl->kl", a, a, a, a, a) for a in A[:1]])

    return {"numpy": call, "naive, one graph": naive}


def k4(B, N):
    A = graphs(B, N)

    def call():
        pairs = A[:, :, :, None] * A[:, :, None, :]
        inner = np.matmul(A, pairs.reshape(B, N, N * N)).reshape(B, N, N, N)
        return (A * (inner * pairs).sum(1)).sum((1, 2))

    return {"numpy": call}


def fm(B, F, V, D):
    idx, E, w, tau = RANDOM.integers(0, V, (B, F)), real(V, D), real(V), np.float32(2)

    def call():
        s = sigmoid(tau * w)
        e = E[idx] * (s / sigmoid(np.float32(0.5)))[idx][..., None]
        return e, 0.5 * ((e.sum(1) ** 2).sum(1) - (e**2).sum((1, 2))), s.sum()

    return {"numpy": call}


def nested(B, D, C):
    f, W, b, y = real(B, D), real(C, D), real(C), RANDOM.integers(0, C, B)

    def call():
        L = np.cumsum(f.T[:, :, None] * W.T[:, None, :], axis=0) + b
        acc = (L.argmax(2) == y).sum(1) / B
        return L, acc, np.argmax(acc - 1e-5 * np.arange(D))

    def naive():
        return np.stack([f[:, : k + 1] @ W[:, : k + 1].T + b for k in range(D)])

    return {"numpy": call, "naive": naive}


PEERS = {
    "01 forward3": tlora, "03 forward_conv": flora, "08 forward": soka, "11 forward_all": maestro, "13 forward3": apriori,
    "17 attn3_taylor2": taylor, "17 attn3": exact_attention, "18 influence": influence, "19 s0": evonorm, "23 spmm_csr": spmm,
    "25 score": score, "27 selective_scan": selective_scan, "28 k4_scalar": k4, "28 diamond_edge": diamond, "29 fm_soft": fm,
    "33 nested_eval": nested,
}


def best(call, seconds=1.0):
    now = time.process_time if RESULT["threads"] == 1 else time.perf_counter
    call()
    start, least, calls = time.perf_counter(), math.inf, 0
    while calls < 3 or time.perf_counter() - start < seconds:
        before = now()
        call()
        least = min(least, now() - before)
        calls += 1
    return least


def main():
    with open(os.path.join(HERE, "cases.json")) as file:
        cases = {case["name"]: case for case in json.load(file)}
    ratios = []
    for result in RESULT["cases"]:
        name, ours = result["name"], result["seconds"]
        found = {peer: best(call) for peer, call in PEERS[name](**cases[name]["set"]).items()}
        naive = {peer: found.pop(peer) for peer in list(found) if peer.startswith("naive")}
        peer = min(found, key=found.get)
        ratios.append(found[peer] / ours)
        more = "".join(f"   {peer} {seconds * 1e3:.3f} ms" for peer, seconds in naive.items())
        print(f"{name:<24} {ours * 1e3:10.3f} ms  {peer} {found[peer] * 1e3:10.3f} ms  ratio {ratios[-1]:6.2f}{more}", flush=True)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    print(f"geometric mean {mean:.2f} over {len(ratios)}, least {min(ratios):.2f}")


if __name__ == "__main__":
    main()

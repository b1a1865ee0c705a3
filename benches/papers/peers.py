"""The programs of the papers in PyTorch, each as one who knows it would write it: arrays by the names of the paper.

`PEERS["NN name"]` takes tensors by name and gives the results in the paper's order. Where PyTorch has no such thing, NumPy or
SciPy does it. `NAIVE` has the plain form of a formula where the paper's headline compares the two.
"""

import math

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F

einsum = torch.einsum
PEERS, NAIVE = {}, {}


def peer(paper):
    def register(function):
        PEERS[f"{paper} {function.__name__}"] = function
        return function

    return register


def naive(paper):
    def register(function):
        NAIVE[f"{paper} {function.__name__}"] = function
        return function

    return register


# 01


def folded3(X, A1, A2, A3):
    return X.reshape(len(X), len(A3), len(A2), len(A1))


def transformed3(X, A1, A2, A3):
    """X T^T, core by core."""
    Z = einsum("ixab,nzyx->nzyiab", A1, folded3(X, A1, A2, A3))
    return einsum("kzca,nzjiac->nkji", A3, einsum("jybc,nzyiab->nzjiac", A2, Z)).reshape(len(X), -1)


def residual3(X, B1, B2, B3, C1, C2, C3):
    Z = X.reshape(len(X), len(C3), len(C2), len(C1))
    Z = einsum("zgh,nzyx->nyxgh", C3, Z)
    Z = einsum("yfg,nyxgh->nxfh", C2, Z)
    Z = einsum("xef,nxfh->neh", C1, Z)
    Z = einsum("ohb,neh->nobe", B1, Z)
    Z = einsum("pbc,nobe->npoce", B2, Z)
    return einsum("qce,npoce->nqpo", B3, Z).reshape(len(X), -1)


@peer("01")
def forward3(X, W0, A1, A2, A3, B1, B2, B3, C1, C2, C3):
    return transformed3(X, A1, A2, A3) @ W0.T + residual3(X, B1, B2, B3, C1, C2, C3)


@peer("01")
def merge3(W0, A1, A2, A3, B1, B2, B3, C1, C2, C3):
    n = len(A1) * len(A2) * len(A3)
    T = einsum("ixab,jybc,kzca->kjizyx", A1, A2, A3).reshape(n, n)
    D = einsum("oab,pbc,qcd,xde,yef,zfa->qpozyx", B1, B2, B3, C1, C2, C3).reshape(W0.shape)
    return T, D, W0 @ T + D


@peer("01")
def forward2(X, W0, A1, A2, B1, B2, C1, C2):
    Z = X.reshape(len(X), len(A2), len(A1))
    T = einsum("jyba,nyiab->nji", A2, einsum("ixab,nyx->nyiab", A1, Z)).reshape(len(X), -1)
    R = einsum("xcd,nxda->nca", C1, einsum("yda,nyx->nxda", C2, Z))
    R = einsum("pbc,nobc->npo", B2, einsum("oab,nca->nobc", B1, R)).reshape(len(X), -1)
    return T @ W0.T + R


@peer("01")
def reg_identity3(A1, A2, A3):
    def distance(A):
        return (A - torch.eye(len(A))[:, :, None, None] / A.shape[2]).square().sum((0, 1)).sqrt().sum()

    return distance(A1) + distance(A2) + distance(A3)


@peer("01")
def trm_product2(A1, A2, B1, B2):
    C1 = einsum("ikab,jkcd->ijacbd", A1, B1).reshape(len(A1), len(B1), A1.shape[2] * B1.shape[2], -1)
    C2 = einsum("ikba,jkdc->ijbdac", A2, B2).reshape(len(A2), len(B2), A2.shape[2] * B2.shape[2], -1)
    return C1, C2


# 02


@peer("02")
def moments(Y):
    mean = Y.mean(0)
    return mean, Y.T @ Y / len(Y) - torch.outer(mean, mean)


@peer("02")
def forward_mlp(X, V, c1, U, c2):
    return F.linear(F.linear(X, V, c1), U, c2).relu()


@peer("02")
def forward_deepfm(idx, dense, Ec, U, mu, wl, wd, w0, V1, c1, U1, d1, V2, c2, U2, d2, wo):
    field = torch.arange(len(Ec))
    emb = mu + einsum("fer,nfr->nfe", U, Ec[field, idx])
    fm = (emb.sum(1).square().sum(1) - emb.square().sum((1, 2))) / 2
    lin = w0 + wl[field, idx].sum(1) + dense @ wd
    z = torch.cat([emb.flatten(1), dense], 1)
    h = F.linear(F.linear(F.linear(F.linear(z, V1, c1), U1, d1).relu(), V2, c2), U2, d2).relu()
    return emb, fm, torch.sigmoid(lin + fm + h @ wo)


# 03


@peer("03")
def merge_conv(K0, G, U_in, U_out, U_h, U_w, s):
    dK = einsum("abcd,ia,ob,hc,wd->oihw", s * G, U_in, U_out, U_h, U_w)
    return dK, K0 + dK


def flora(X, K0, G, U_in, U_out, U_h, U_w, s, stride):
    core = einsum("abcd,hc,wd->bahw", s * G, U_h, U_w)
    padding = (K0.shape[2] // 2, K0.shape[3] // 2)
    small = F.conv2d(einsum("ia,niyx->nayx", U_in, X), core, padding=padding, stride=stride)
    return F.conv2d(X, K0, padding=padding, stride=stride) + einsum("ob,nbyx->noyx", U_out, small)


@peer("03")
def forward_conv(X, K0, G, U_in, U_out, U_h, U_w, s):
    return flora(X, K0, G, U_in, U_out, U_h, U_w, s, 1)


@peer("03")
def forward_conv_s2(X, K0, G, U_in, U_out, U_h, U_w, s):
    return flora(X, K0, G, U_in, U_out, U_h, U_w, s, 2)


@peer("03")
def forward_linear(X, W0, G, U_in, U_out, s):
    return X @ W0.T + ((X @ U_in) @ (s * G)) @ U_out.T


@peer("03")
def merge_conv3d(G, U_in, U_out, U_t, U_h, U_w, s):
    return einsum("abcde,ia,ob,tc,hd,we->oithw", s * G, U_in, U_out, U_t, U_h, U_w)


# 04


@peer("04")
def merge_cp(K0, A, B, C, D, s):
    return K0 + einsum("or,ir,hr,wr->oihw", s * A, B, C, D)


@peer("04")
def forward_cp(X, K0, A, B, C, D, s):
    kh, kw = K0.shape[2] // 2, K0.shape[3] // 2
    Z = einsum("ir,niyx->nryx", B, X)
    Z = F.conv2d(Z, C.T.reshape(-1, 1, len(C), 1).contiguous(), padding=(kh, 0), groups=C.shape[1])
    Z = F.conv2d(Z, D.T.reshape(-1, 1, 1, len(D)).contiguous(), padding=(0, kw), groups=D.shape[1])
    return F.conv2d(X, K0, padding=(kh, kw)) + einsum("or,nryx->noyx", s * A, Z)


@peer("04")
def merge_dora_cp(K0, m, A, B, C, D, s):
    full = merge_cp(K0, A, B, C, D, s)
    return full * (m / full.flatten(1).norm(dim=1))[:, None, None, None]


@peer("04")
def forward_dora_cp(X, K0, m, bias, A, B, C, D, s):
    return F.conv2d(X, merge_dora_cp(K0, m, A, B, C, D, s), bias, padding=(K0.shape[2] // 2, K0.shape[3] // 2))


@peer("04")
def merge_convlora(K0, Bu, Ad, s):
    return K0 + ((s * Bu) @ Ad.flatten(1)).reshape(K0.shape)


@peer("04")
def merge_lorac(K0, Bu, Ad, s):
    return K0 + einsum("ohr,riw->oihw", s * Bu, Ad)


# 05


@peer("05")
def predict(W, M1, M2, M3, idx):
    Z = einsum("pqr,np->nqr", W, M1[idx[:, 0]])
    return einsum("nr,nr->n", einsum("nqr,nq->nr", Z, M2[idx[:, 1]]), M3[idx[:, 2]])


# 06


@peer("06")
def dft_monarch2(x):
    b, h, n1, n2 = x.shape
    return torch.fft.fft(x.reshape(b, h, n1 * n2)).reshape(b, h, n2, n1).transpose(2, 3).contiguous()


@peer("06")
def dft_monarch3(x):
    b, n1, n2, n3 = x.shape
    return torch.fft.fft(x.reshape(b, -1)).reshape(b, n3, n2, n1).permute(0, 3, 2, 1).contiguous()


@peer("06")
def conv_circular(u, k):
    return torch.fft.irfft(torch.fft.rfft(u) * torch.fft.rfft(k), u.shape[-1])


@peer("06")
def conv_causal(u, k):
    n = 2 * u.shape[-1]
    return torch.fft.irfft(torch.fft.rfft(u, n) * torch.fft.rfft(k, n), n)[..., : n // 2]


@peer("06")
def conv_gated(u, k, gin, gout):
    return gout * conv_causal(gin * u, k)


@peer("06")
def conv_partial(u, k):
    return F.conv1d(F.pad(u, (k.shape[1] - 1, 0)), k.flip(1)[:, None], groups=len(k))


@peer("06")
def conv_freq_sparse(u, k, keep):
    n = 2 * u.shape[-1]
    K = torch.fft.rfft(k, n)
    K[:, keep:] = 0
    return torch.fft.irfft(torch.fft.rfft(u, n) * K, n)[..., : n // 2]


# 07


def chebyshev(x, n):
    return torch.cos(torch.arange(n) * torch.acos(x)[:, None])


@peer("07")
def vals2coeffs(F):
    def matrix(m):
        k = torch.arange(m, dtype=F.dtype)
        half = torch.ones(m, dtype=F.dtype)
        half[0] = half[-1] = 0.5
        return 2 / (m - 1) * half[:, None] * half * torch.cos(math.pi * torch.outer(k, k) / (m - 1))

    for axis, m in enumerate(F.shape):
        F = torch.tensordot(F, matrix(m), ([0], [1]))
    return F


@peer("07")
def potential(x1, x2, x3, pos, z, w, t):
    g = [torch.exp(-(t**2) * ((x[:, None] - pos[:, m]) ** 2)[:, :, None]).flatten(1) for m, x in enumerate((x1, x2, x3))]
    g[0] = g[0] * torch.outer(z, w).flatten()
    rest = (g[1][:, None] * g[2]).flatten(0, 1)
    return (g[0] @ rest.T).reshape(len(x1), len(x2), len(x3))


@peer("07")
def eval_points(G, V1, V2, V3, X):
    T = [chebyshev(X[:, m], len(V)) @ V for m, V in enumerate((V1, V2, V3))]
    return einsum("nr,nr->n", einsum("nqr,nq->nr", (T[0] @ G.flatten(1)).reshape(len(X), *G.shape[1:]), T[1]), T[2])


@peer("07")
def eval_grid(G, V1, V2, V3, x1, x2, x3):
    T = [chebyshev(x, len(V)) @ V for x, V in ((x1, V1), (x2, V2), (x3, V3))]
    Z = einsum("pqr,ip->iqr", G, T[0])
    return einsum("ijr,kr->ijk", einsum("iqr,jq->ijr", Z, T[1]), T[2])


# 08


@peer("08")
def merge(W0, s, A, B):
    r, m, n = A.shape
    return W0 + einsum("rmn,rpq->mpnq", s[:, None, None] * A, B).reshape(W0.shape)


@peer("08")
def forward(X, W0, s, A, B):
    Z = torch.matmul(X.reshape(len(X), 1, A.shape[2], B.shape[2]), B.transpose(1, 2))
    return X @ W0.T + einsum("rmn,trnp->tmp", s[:, None, None] * A, Z).flatten(1)


@peer("08")
def rank_energy(sv, eta):
    energy = torch.cumsum(sv**2, 0)
    return 1 + (energy < eta * energy[-1]).sum()


# 09


def experts(X, W1, b1, W2, b2, mask):
    """All experts, or those that a token takes, whichever is less work: gathered tokens for each expert."""
    x = X.reshape(-1, X.shape[2])
    Y = torch.zeros_like(x)
    m = mask.reshape(len(x), -1)
    for e in range(len(b1)):
        tokens = m[:, e].nonzero()[:, 0]
        y = F.linear(F.gelu(torch.addmm(b1[e], x[tokens], W1[e])), W2[e].T, b2[e])
        Y.index_add_(0, tokens, y * m[tokens, e, None])
    return Y.reshape(X.shape)


@peer("09")
def mlp_masked(X, W1, b1, W2, b2, mask):
    x = X.reshape(-1, X.shape[2])
    h = F.gelu(x @ W1 + b1[:, None])
    return ((h @ W2 + b2[:, None]) * mask.reshape(len(x), -1).T[:, :, None]).sum(0).reshape(X.shape)


@peer("09")
def route_topk(X, Wg, bg, k):
    gate = torch.softmax(X @ Wg + bg, -1)
    return gate, torch.zeros_like(gate).scatter_(-1, gate.topk(k).indices, 1)


@peer("09")
def uome_ds(X, Wg, bg, W1, b1, W2, b2, k, cap):
    gate, routed = route_topk(X, Wg, bg, k)
    score, cap = gate * routed, min(cap, X.shape[1])
    top = score.topk(cap, 1)
    mask = torch.zeros_like(score).scatter_(1, top.indices, (top.values > 0).to(X.dtype))
    return mask, experts(X, W1, b1, W2, b2, mask)


@peer("09")
def uome_es(X, Wr, br, W1, b1, W2, b2, k):
    route = torch.softmax(br + einsum("btd,tde->be", X, Wr), -1)
    sel = torch.zeros_like(route).scatter_(1, route.topk(k).indices, 1)
    return sel, experts(X, W1, b1, W2, b2, sel[:, None].expand(*X.shape[:2], -1))


@peer("09")
def smha(X, Wq, Wk, Wv, Wo, sel):
    q, k, v = (einsum("btd,hdf->bhtf", X, W) for W in (Wq, Wk, Wv))
    T = X.shape[1]
    seen = torch.ones(T, T, dtype=torch.bool).tril() & (sel > 0)[:, :, None]
    p = torch.softmax(torch.where(seen, q @ k.transpose(2, 3) / math.sqrt(q.shape[3]), -math.inf), -1).nan_to_num()
    return einsum("bhtf,hfd->btd", sel[..., None] * (p @ v), Wo)


# 10


def spectrum(X, P, Q):
    b, i, H, W = X.shape
    rows = (torch.arange(P) - P // 2) % H
    return torch.fft.rfft2(X, norm="forward")[:, :, rows, :Q], rows


def field(Zh, rows, X, bias):
    b, o, P, Q = Zh.shape
    H, W = X.shape[2:]
    full = torch.zeros(b, o, H, W // 2 + 1, dtype=Zh.dtype)
    full[:, :, rows, :Q] = Zh
    full = torch.fft.ifft(full, dim=2, norm="forward")
    return torch.fft.irfft(full, W, dim=3, norm="forward") + bias[:, None, None]


@peer("10")
def spectral_tucker(X, G, Ui, Uo, Up, Uq, bias):
    Xh, rows = spectrum(X, len(Up), len(Uq))
    core = einsum("aceg,pe,qg->pqac", G, Up, Uq)
    Z = einsum("bipq,ia->pqba", Xh, Ui)
    return field(einsum("pqbc,oc->bopq", Z @ core, Uo), rows, X, bias)


@peer("10")
def spectral_cp(X, lam, Ui, Uo, Up, Uq, bias):
    Xh, rows = spectrum(X, len(Up), len(Uq))
    Z = einsum("bipq,ir->bpqr", Xh, Ui) * (Up[:, None] * Uq * lam)
    return field(einsum("bpqr,or->bopq", Z, Uo), rows, X, bias)


@peer("10")
def spectral_tt(X, T1, T2, T3, T4, bias):
    Xh, rows = spectrum(X, T3.shape[1], T4.shape[1])
    core = einsum("spt,tq->pqs", T3, T4[:, :, 0])
    Z = einsum("bipq,ir->bpqr", Xh, T1[0])
    return field(einsum("bpqr,pqs,ros->bopq", Z, core, T2), rows, X, bias)


@peer("10")
def fno_block(X, G, Ui, Uo, Up, Uq, bias, S, sb):
    Z = spectral_tucker(X, G, Ui, Uo, Up, Uq, bias)
    return F.gelu(Z + (S @ X.flatten(2)).reshape(Z.shape) + sb[:, None, None])


@peer("10")
def merge_joint(G, Ul, Ui, Uo, Up, Uq):
    return einsum("maceg,lm,ia,oc,pe,qg->liopq", G, Ul, Ui, Uo, Up, Uq)


@peer("10")
def mg_patch(X, levels, pad):
    b, c, H, W = X.shape
    N = 2**levels
    h, w = H // N, W // N
    out = torch.empty(b, N, N, levels + 1, c, h + 2 * pad, w + 2 * pad, dtype=X.dtype)
    for l in range(levels + 1):
        coarse = X[:, :, :: 2**l, :: 2**l]

        def places(size, extent):
            step = size // 2**l
            start = torch.arange(N)[:, None] * step - (size - step) // 2 - pad
            return (start + torch.arange(size + 2 * pad)) % extent

        rows, columns = places(h, coarse.shape[2]), places(w, coarse.shape[3])
        out[:, :, :, l] = coarse[:, :, rows][..., columns].permute(0, 2, 4, 1, 3, 5)
    return out


# 11


@peer("11")
def forward_prefix(X, V, U, bias, keep):
    return torch.addmm(bias, X @ V[:, :keep], U[:, :keep].T)


@peer("11")
def forward_all(X, V, U):
    return torch.cumsum((X @ V).T[:, :, None] * U.T[:, None, :], 0)


@peer("11")
def conv_prefix(X, Ku, Kv, keep):
    Z = F.conv2d(X, Ku[:keep], padding=(Ku.shape[2] // 2, Ku.shape[3] // 2))
    return (Kv[:, :keep] @ Z.flatten(2)).reshape(len(X), -1, *X.shape[2:])


# 12


@peer("12")
def mlp_lowrank(X, A1, B1, b1, A2, B2, b2):
    h = F.gelu(F.linear(X @ A1.T, B1, b1), approximate="tanh")
    return F.linear(h @ A2.T, B2, b2)


@peer("12")
def mqa_lowrank(X, Aq, Bq, bq, Wk, bk, Wv, bv, Ao, Bo, bo):
    heads, width = bq.shape
    b, t, d = X.shape
    q = F.linear(X @ Aq.T, Bq.flatten(0, 1), bq.flatten()).reshape(b, t, heads, width).transpose(1, 2)
    k, v = (F.linear(X, W, c)[:, None].expand(b, heads, t, width) for W, c in ((Wk, bk), (Wv, bv)))
    a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return F.linear(F.linear(a.transpose(1, 2).flatten(2), Ao.flatten(1)), Bo, bo)


def dequantised(codes, scales):
    return ((codes.to(scales.dtype) - 8).reshape(len(codes), scales.shape[1], -1) * scales[:, :, None]).flatten(1)


@peer("12")
def linear_q4(X, qA, sA, qB, sB, bias):
    return F.linear(X @ dequantised(qA, sA).T, dequantised(qB, sB), bias)


# 13


@peer("13")
def merge3(A, B, C):
    return einsum("oiq,ohq,owq->oihw", A, B, C)


@peer("13")
def merge2(B, C):
    return einsum("oihq,oiwq->oihw", B, C)


def one_way(X, A, B, C, bias):
    o, i, q = A.shape
    Z = F.conv2d(X, A.permute(0, 2, 1).reshape(o * q, i, 1, 1))
    Z = F.conv2d(Z, B.permute(0, 2, 1).reshape(o * q, 1, -1, 1), padding=(B.shape[1] // 2, 0), groups=o * q)
    return F.conv2d(Z, C.permute(0, 2, 1).reshape(o, q, 1, -1), bias, padding=(0, C.shape[1] // 2), groups=o)


@peer("13")
def forward3(X, A, B, C, bias):
    return one_way(X, A, B, C, bias)


@peer("13")
def forward2(X, B, C, bias):
    return F.conv2d(X, einsum("oihq,oiwq->oihw", B, C), bias, padding=(B.shape[2] // 2, C.shape[2] // 2))


@peer("13")
def net3(X, A1, B1, C1, b1, A2, B2, C2, b2):
    return one_way(one_way(X, A1, B1, C1, b1).relu(), A2, B2, C2, b2)


# 14


def table(x, y, C):
    pairs = (x[..., :, None] * y[..., None, :]).flatten(-2)
    return pairs @ C.flatten(0, 1)


@peer("14")
def cgtp_dense(x, y, C):
    return table(x, y, C)


@peer("14")
def cgtp_sparse(x, y, ia, ib, ic, val, nc):
    return torch.zeros(len(x), nc, dtype=x.dtype).index_add_(1, ic, val * x[:, ia] * y[:, ib])


@peer("14")
def cgtp_weighted(x, y, C, path, w):
    return table(x, y[:, None].expand(-1, x.shape[1], -1), C) * w[:, path].transpose(1, 2)


@peer("14")
def gtp_table(x, y, G):
    return table(x, y, G)


@peer("14")
def gtp_grid(x, y, Yx, Yy, Yo, wq):
    points = (x @ Yx.flatten(0, 1).T) * (y @ Yy.flatten(0, 1).T)
    return points @ (Yo * wq[..., None]).flatten(0, 1)


@peer("14")
def gtp_grid_sep(x, y, Px, Py, Po, Ex, Ey, Eo, wt, wf):
    gx = einsum("fm,ntm->ntf", Ex, einsum("tlm,nlm->ntm", Px, x))
    gy = einsum("fm,ntm->ntf", Ey, einsum("tlm,nlm->ntm", Py, y))
    Z = einsum("fm,ntf->ntm", wf[:, None] * Eo, gx * gy)
    return einsum("tlm,ntm->nlm", wt[:, None, None] * Po, Z)


@peer("14")
def mtp(x, y, B1, B2, B3):
    i, j, a = B1.shape
    k = B2.shape[1]
    X1 = (x @ B1.flatten(0, 1).T).reshape(-1, i, j)
    X2 = (y @ B2.flatten(0, 1).T).reshape(-1, j, k)
    return (X1 @ X2).flatten(1) @ B3.flatten(0, 1)


@peer("14")
def vstp(x, y, Yx, Yy, Yo, wq):
    sx, sy = x @ Yx.flatten(0, 1).T, y @ Yy.flatten(0, 1).T
    return torch.linalg.cross(sx, sy, dim=1) @ (Yo * wq[..., None]).flatten(0, 1)


# 15


def convolved(A, B):
    """The full convolution of the last two axes, by transforms."""
    shape = (A.shape[-2] + B.shape[-2] - 1, A.shape[-1] + B.shape[-1] - 1)
    return torch.fft.ifft2(torch.fft.fft2(A, shape) * torch.fft.fft2(B, shape))


@peer("15")
def sh2f(x, S):
    return (x.to(S.dtype) @ S.flatten(1)).reshape(*x.shape[:2], *S.shape[1:])


@peer("15")
def sh2f_sparse(x, S0, S1):
    return einsum("lvu,nlv->nuv", S0, x.to(S0.dtype)) + einsum("lvu,nlv->nuv", S1, x.flip(2).to(S0.dtype))


@peer("15")
def conv2d_full(A, B):
    return convolved(A, B)


@peer("15")
def f2sh(P, Z):
    P, Z = P.flatten(2), Z.flatten(1)
    return P.real @ Z.real.T - P.imag @ Z.imag.T


@peer("15")
def gtp_fourier(x, y, Sx, Sy, Z):
    return f2sh(convolved(sh2f(x, Sx), sh2f(y, Sy)), Z)


@peer("15")
def gtp_direct(x, y, G):
    return table(x, y, G)


@peer("15")
def manybody3(x, S, Z):
    A = sh2f(x, S)
    shape = (3 * A.shape[2] - 2, 3 * A.shape[3] - 2)
    return f2sh(torch.fft.ifft2(torch.fft.fft2(A, shape) ** 3), Z)


@peer("15")
def gtp_weighted(x, y, la, lb, lc, w1, w2, w3, Sx, Sy, Z):
    return w3[:, lc] * gtp_fourier(w1[:, la] * x, w2[:, lb] * y, Sx, Sy, Z)


# 16


@peer("16")
def fisher_linear(X, GY):
    total = torch.zeros(X.shape[2], GY.shape[2], dtype=X.dtype)
    for x, g in zip(X, GY):
        total += (x.T @ g).square()
    total /= len(X)
    return total, total.sum(1)


@peer("16")
def forward(X, A, B, bias):
    return torch.addmm(bias, X @ A, B)


# 17


@peer("17")
def khatri_rao(K1, K2):
    return (K1[:, None] * K2).flatten(0, 1)


@peer("17")
def attn3(Q, K1, K2, V1, V2):
    keys = (K1[:, :, None] * K2[:, None]).flatten(1, 2)
    values = (V1[:, :, None] * V2[:, None]).flatten(1, 2)
    return torch.softmax(Q @ keys.transpose(1, 2) / Q.shape[2], -1) @ values


@peer("17")
def attn3_causal(Q, K1, K2, V1, V2):
    keys = (K1[:, :, None] * K2[:, None]).flatten(1, 2)
    values = (V1[:, :, None] * V2[:, None]).flatten(1, 2)
    i, j, k = torch.arange(Q.shape[1]), torch.arange(K1.shape[1]), torch.arange(K2.shape[1])
    seen = ((j <= i[:, None])[:, :, None] & (k <= i[:, None])[:, None]).flatten(1)
    return torch.softmax(torch.where(seen, Q @ keys.transpose(1, 2) / Q.shape[2], -math.inf), -1) @ values


def taylor(Q, K1, K2, V1, V2, degree):
    D = Q.shape[2]
    num = (V1.sum(1) * V2.sum(1))[:, None]
    den = K1.shape[1] * K2.shape[1]
    powers = [Q / D, K1, K2]
    current = list(powers)
    for r in range(1, degree + 1):
        if r > 1:
            current = [(c[..., None] * p[:, :, None]).flatten(2) for c, p in zip(current, powers)]
        q, k1, k2 = current
        num = num + q @ ((k1.transpose(1, 2) @ V1) * (k2.transpose(1, 2) @ V2)) / math.factorial(r)
        den = den + q @ (k1.sum(1) * k2.sum(1))[..., None] / math.factorial(r)
    return num / den


@peer("17")
def attn3_taylor2(Q, K1, K2, V1, V2):
    return taylor(Q, K1, K2, V1, V2, 2)


@peer("17")
def attn3_taylor3(Q, K1, K2, V1, V2):
    return taylor(Q, K1, K2, V1, V2, 3)


@peer("17")
def attn4(Q, K1, K2, K3, V1, V2, V3):
    keys = (K1[:, None, None] * K2[:, None] * K3).flatten(0, 2)
    values = (V1[:, None, None] * V2[:, None] * V3).flatten(0, 2)
    return torch.softmax(Q @ keys.T / Q.shape[1], -1) @ values


NAIVE["17 attn3_taylor2"] = attn3


# 18


@peer("18")
def forward(E0, E1, E2, idx0, idx1, idx2, V0, V1, V2, b1, W2, b2, W3, b3, wo, bo):
    h = torch.addmm(torch.addmm(torch.addmm(b1, E0[idx0], V0), E1[idx1], V1), E2[idx2], V2).relu()
    z = torch.addmm(b3, torch.addmm(b2, h, W2).relu(), W3).relu()
    return z @ wo + bo, z


@peer("18")
def influence(z_tr, e_tr, z_va, e_va):
    G = torch.bmm(e_va[:, None], z_va)[:, 0]
    return G, (torch.bmm(z_tr, G[:, :, None])[..., 0] * e_tr).sum(0)


@naive("18")
def influence(z_tr, e_tr, z_va, e_va):
    return sum(((z_tr[t] @ z_va[t].T) * e_tr[t][:, None]) @ e_va[t] for t in range(len(z_tr)))


@peer("18")
def entity(imp, idx0, idx1, idx2, I0, I1, I2):
    share = imp.abs() / imp.abs().sum()
    return tuple(torch.zeros(n, dtype=imp.dtype).index_add_(0, i, share) for n, i in ((I0, idx0), (I1, idx1), (I2, idx2)))


# 19


def channels(v):
    return v[:, None, None]


def b0(x, variance, v, gamma, beta):
    inst = torch.sqrt(x.var((2, 3), unbiased=False, keepdim=True) + 1e-5)
    return channels(gamma) * x / torch.maximum(channels(torch.sqrt(variance + 1e-5)), channels(v) * x + inst) + channels(beta)


@peer("19")
def b0_train(x, v, gamma, beta):
    var = x.var((0, 2, 3), unbiased=False)
    return b0(x, var, v, gamma, beta), var


@peer("19")
def b0_eval(x, running_var, v, gamma, beta):
    return b0(x, running_var, v, gamma, beta)


@peer("19")
def b1_train(x, gamma, beta):
    var = x.var((0, 2, 3), unbiased=False)
    rms = torch.sqrt(x.square().mean((2, 3), keepdim=True) + 1e-5)
    return channels(gamma) * x / torch.maximum(channels(torch.sqrt(var + 1e-5)), (x + 1) * rms) + channels(beta)


@peer("19")
def s0(x, v, gamma, beta, G):
    n, c, h, w = x.shape
    sd = torch.sqrt(x.reshape(n, G, -1).var(2, unbiased=False) + 1e-5).repeat_interleave(c // G, 1)[:, :, None, None]
    return channels(gamma) * x * torch.sigmoid(channels(v) * x) / sd + channels(beta)


# 20


@peer("20")
def gram(X, Wg, Wu):
    S = F.silu(X @ Wg) * (X @ Wu)
    return S.T @ S


@peer("20")
def mlp_compressed(X, Wg, Wu, Wk, keep):
    return (F.silu(X @ Wg[:, keep]) * (X @ Wu[:, keep])) @ Wk


@peer("20")
def cr_scores(q, k, R):
    s = q.norm(dim=0) * k.norm(dim=0)
    keep = s.topk(R, 1).indices.sort(1).values
    at = keep.expand(len(q), -1, -1)
    return s, keep, einsum("mhr,nhr->hmn", q.gather(2, at), k.gather(2, at))


# 21


@peer("21")
def recompose(img, inv):
    lin = img**2.2
    shd = 1 / inv.clamp(0.001, 1) - 1
    return lin, shd, lin / shd[..., None]


@peer("21")
def equalize(lin, base, full, m):
    Y = lin @ torch.tensor([0.3, 0.59, 0.11], dtype=lin.dtype)
    af, ab = (Y / (1 / v.clamp(min=1e-5) - 1).clamp(min=1e-5) for v in (full, base))
    scale = (m * af * ab).sum() / (m * af * af).sum()
    return scale, 1 / (1 + Y / (scale * af).clamp(min=1e-5))


@peer("21")
def msgrad(p, g, m, L):
    loss = p.new_zeros(())
    for l in range(L):
        r, w = (p - g)[:: 2**l, :: 2**l], m[:: 2**l, :: 2**l]
        across = (r.diff(dim=1).abs() * w[:, 1:] * w[:, :-1]).sum()
        loss = loss + (across + (r.diff(dim=0).abs() * w[1:] * w[:-1]).sum()) / w.sum()
    return loss


@peer("21")
def rcu(x, w1, b1, w2, b2):
    return x + F.conv2d(F.conv2d(x.relu(), w1, b1, padding=1).relu(), w2, b2, padding=1)


@peer("21")
def resize(p, A, B):
    return A @ p @ B.T


# 22

for name, spec in {
    "transpose": "ij->ji", "sum_all": "ij->", "row_sum": "ij->i", "col_sum": "ij->j", "matvec": "ik,k->i", "matmul": "ik,kj->ij",
    "dot": "i,i->", "inner": "ij,ij->", "hadamard": "ij,ij->ij", "outer": "i,j->ij", "batched_matmul": "ijk,ikl->ijl",
    "hadamard3": "ij,ij,ij->ij", "chained_matmul": "ij,jk,kl->il", "bilinear": "ik,jkl,il->ij",
    "tensor_contract": "pqrs,tuqvr->pstuv", "attn_scores": "nthd,nshd->nhts",
}.items():
    PEERS[f"22 {name}"] = lambda spec=spec, **arrays: einsum(spec, *arrays.values()).contiguous()


# 23


def csr(ptr, col, val, width):
    return scipy.sparse.csr_matrix((val.numpy(), col.numpy(), ptr.numpy()), (len(ptr) - 1, width))


@peer("23")
def spmm_csr(ptr, col, val, X):
    return torch.from_numpy(csr(ptr, col, val, len(X)) @ X.numpy())


@peer("23")
def spmm_tiled(ptr, loc, val, X, M, TM, TK):
    across = len(X) // TK
    tile = torch.repeat_interleave(torch.arange(len(ptr) - 1), ptr.diff())
    loc, val = loc[: len(tile)], val[: len(tile)]
    rows, columns = tile // across * TM + loc // TK, tile % across * TK + loc % TK
    A = scipy.sparse.coo_matrix((val.numpy(), (rows.numpy(), columns.numpy())), (M, len(X)))
    return torch.from_numpy(A.tocsr() @ X.numpy())


@peer("23")
def spmm_prune(W, X, thr):
    P = torch.where(W.abs() > thr, W, 0)
    return P @ X, P.count_nonzero()


@peer("23")
def ffn_sparse(ptr1, col1, val1, b1, ptr2, col2, val2, b2, X):
    hidden = (spmm_csr(ptr1, col1, val1, X) + b1[:, None]).relu()
    return spmm_csr(ptr2, col2, val2, hidden) + b2[:, None]


# 24


@peer("24")
def compress(X, Q1, Q2, Q3):
    Z = (Q1.mH @ X.flatten(1)).reshape(-1, *X.shape[1:])
    return torch.matmul(Q2.mH, Z) @ Q3.conj()


@peer("24")
def mode_cov(Y, L):
    p = len(Y)
    s = p - L + 1
    windows = torch.stack([Y[i : i + s].flatten() for i in range(L)])
    R = windows @ windows.mH / (s * Y.shape[1] * Y.shape[2])
    return (R + R.flip(0, 1).conj()) / 2


# 25


@peer("25")
def score(C, E, K):
    S = C @ E
    top = S.topk(K)
    return S, top.indices, top.values


@peer("25")
def recall(S, T, K, KR):
    found, wanted = S.topk(KR).indices, T.topk(K).indices
    return (found[:, :, None] == wanted[:, None]).sum((1, 2)) / K


# 26


@peer("26")
def period(x, K):
    a = torch.fft.rfft(x, dim=1).abs()
    amp = a.mean((0, 2))
    amp[0] = 0
    freq = amp.topk(K).indices
    return amp, freq, x.shape[1] // freq, a[:, freq].mean(2)


def fold(x, P):
    rows = -(-x.shape[1] // P)
    return F.pad(x, (0, 0, 0, rows * P - x.shape[1])).reshape(len(x), rows, P, -1).permute(0, 3, 1, 2)


def unfold(z, length):
    return z.flatten(2)[:, :, :length].transpose(1, 2)


def inception(z, w, b):
    """One kernel for three."""
    kernel = F.pad(w[0], (2, 2, 2, 2)) + F.pad(w[1], (1, 1, 1, 1)) + w[2]
    return F.conv2d(z, kernel / 3, (b[0] + b[1] + b[2]) / 3, padding=2)


@peer("26")
def fold_conv(x, P, Aw0, Ab0, Aw1, Ab1, Aw2, Ab2):
    return unfold(inception(fold(x, P), (Aw0, Aw1, Aw2), (Ab0, Ab1, Ab2)), x.shape[1]).contiguous()


@peer("26")
def times_block(x, wt, P0, P1, Aw0, Ab0, Aw1, Ab1, Aw2, Ab2, Bw0, Bb0, Bw1, Bb1, Bw2, Bb2):
    share = torch.softmax(wt, 1)
    y = x
    for k, P in enumerate((P0, P1)):
        hidden = F.gelu(inception(fold(x, P), (Aw0, Aw1, Aw2), (Ab0, Ab1, Ab2)))
        y = y + share[:, k, None, None] * unfold(inception(hidden, (Bw0, Bw1, Bw2), (Bb0, Bb1, Bb2)), x.shape[1])
    return y


# 27


@peer("27")
def revin(x, gamma, beta):
    mean, std = x.mean(1), torch.sqrt(x.var(1, unbiased=False) + 1e-5)
    return (x - mean[:, None]) / std[:, None] * gamma + beta, mean, std


@peer("27")
def series_decomp(x, W):
    h = (W - 1) // 2
    padded = torch.cat([x[:, :1].expand(-1, h, -1), x, x[:, -1:].expand(-1, h, -1)], 1)
    trend = F.avg_pool1d(padded.transpose(1, 2), W, 1).transpose(1, 2)
    return x - trend, trend.contiguous()


@peer("27")
def atcd(x, W1, b1, Wq, bq, Wk, bk, Wv, bv, Wo, bo, Ws, bs, Wt, bt, H):
    u = x @ W1 + b1
    q, k, v = ((u @ W + b).reshape(*u.shape[:2], H, -1).transpose(1, 2) for W, b in ((Wq, bq), (Wk, bk), (Wv, bv)))
    a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    trend = F.silu(a @ Wo + bo)
    return (u - trend) @ Ws + bs, trend @ Wt + bt


def mirrored(x, count):
    """The half-sample symmetric extension: 6 before, what windows of 8 at steps of 2 need behind."""
    n = x.shape[2]
    at = (torch.arange(-6, 2 * count + 2 - 2)) % (2 * n)
    return x[:, :, torch.minimum(at, 2 * n - 1 - at)]


@peer("27")
def dwt(x, lo, hi):
    b, c, n = x.shape
    taps = torch.stack([lo.flip(0), hi.flip(0)])[:, None]
    y = F.conv1d(mirrored(x, (n + 7) // 2).flatten(0, 1)[:, None], taps, stride=2).reshape(b, c, 2, -1)
    return y[:, :, 0].contiguous(), y[:, :, 1].contiguous()


@peer("27")
def idwt(ca, cd, lo, hi):
    b, c, k = ca.shape
    taps = torch.stack([lo.flip(0), hi.flip(0)])[:, None]
    pairs = torch.stack([ca, cd], 2).flatten(0, 1)
    return F.conv_transpose1d(pairs, taps, stride=2)[:, 0, 6 : 2 * k].reshape(b, c, -1)


@peer("27")
def selective_scan(u, delta, A, B, C, D):
    n, length, width = u.shape
    h = torch.zeros(n, width, A.shape[1], dtype=u.dtype)
    y = torch.empty_like(u)
    for l in range(length):
        h = torch.exp(delta[:, l, :, None] * A) * h + (delta[:, l] * u[:, l])[:, :, None] * B[:, l, None]
        y[:, l] = torch.bmm(h, C[:, l, :, None])[..., 0]
    return y + D * u, h


@peer("27")
def mamba_block(u, Win, Wz, wc, bc, Wr, Wdt, bdt, WB, WC, Alog, D, Wout):
    x, z, taps = u @ Win, u @ Wz, wc.shape[1]
    xc = F.silu(F.conv1d(F.pad(x.transpose(1, 2), (taps - 1, 0)), wc[:, None], bc, groups=len(wc)).transpose(1, 2))
    delta = F.softplus((xc @ Wr) @ Wdt + bdt, threshold=40)
    y, _ = selective_scan(xc, delta, -torch.exp(Alog), xc @ WB, xc @ WC, D)
    return (y * F.silu(z)) @ Wout


# 28


def rooted(A):
    """For every i the sum over j of the entries i-j, j-k, j-l, i-k and i-l; one graph, in its cache."""
    pairs = A[:, :, None] * A[:, None, :]
    return (A @ pairs.flatten(1)).reshape(pairs.shape).mul_(pairs)


def diamonds(A):
    return torch.stack([rooted(a).sum(0) for a in A])


@peer("28")
def diamond_edge(A):
    return diamonds(A)


@peer("28")
def k4_edge(A):
    return A * diamonds(A)


@peer("28")
def k4_node(A):
    return (A * diamonds(A)).sum(2)


@peer("28")
def k4_scalar(A):
    return (A * diamonds(A)).sum((1, 2))


@peer("28")
def deg6_mix(A):
    out = []
    for a in A:
        pairs = a[:, :, None] * a[:, None, :]
        square = a @ a
        Q0 = ((square @ pairs.flatten(1)).reshape(pairs.shape) * pairs).sum(0)
        # rooted at m or l: for every m, the walks m-i, m-j, i-j, i-l, j-l
        D = rooted(a).sum(0)
        Q1 = a @ D
        # i-m, m-k, i-j, i-l, j-k, j-l: for every i, (m-k) joined with sums over j of i-j, j-k, j-l
        inner = (a @ pairs.flatten(1)).reshape(pairs.shape)
        Q2 = einsum("ikl,ik,il->kl", inner, square, a)
        out.append(torch.stack([Q0, Q1, Q2]))
    return torch.stack(out)


@peer("28")
def cycle6(A):
    cube = A @ A @ A
    return (cube * cube.transpose(1, 2)).sum((1, 2))


@peer("28")
def ppgn_layer(X, W1, c1, W2, c2, Ws, cs):
    b, c, n, _ = X.shape
    flat = X.flatten(2)
    M1 = (W1[:c].T @ flat + W1[c:].T @ X.transpose(2, 3).flatten(2) + c1[:, None]).relu().reshape(b, -1, n, n)
    M2 = (W2.T @ flat + c2[:, None]).relu().reshape(b, -1, n, n)
    P = (M1 @ M2).flatten(2)
    return (Ws[:c].T @ flat + Ws[c:].T @ P + cs[:, None]).reshape(b, -1, n, n)


@naive("28")
def diamond_edge(A):
    return einsum("bij,bik,bil,bjk,bjl->bkl", A, A, A, A, A)


# 29


def pair_sum(e):
    return (e.sum(1).square().sum(1) - e.square().sum((1, 2))) / 2


@peer("29")
def fm_soft(idx, E, w, tau):
    s = torch.sigmoid(tau * w)
    e = E[idx] * (s[idx] * (1 + math.exp(-0.5)))[..., None]
    return e, pair_sum(e), s.sum()


@peer("29")
def fm_hard(idx, E, w):
    open = w > 0
    e = E[idx] * (open[idx] * (1 + math.exp(-0.5)))[..., None].to(E.dtype)
    return e, pair_sum(e), open.to(E.dtype).mean()


@peer("29")
def ipnn(e):
    f = e.shape[1]
    first, second = torch.triu_indices(f, f, 1)
    return torch.bmm(e, e.transpose(1, 2))[:, first, second]


@peer("29")
def cross(x0, W, B):
    x = x0
    for w, b in zip(W, B):
        x = x0 * (x @ w)[:, None] + b + x
    return x


# 30


@peer("30")
def linear_multi(x, CB, M, perm):
    W = CB.gather(1, M.reshape(len(CB), -1)).reshape(M.shape)
    y = torch.empty(len(x), len(M), dtype=x.dtype)
    y[:, perm] = x @ W.T
    return y


@peer("30")
def linear_scaled(x, cb, s, M):
    W = s.repeat_interleave(len(M) // len(s))[:, None] * cb[M]
    return W, x @ W.T


@peer("30")
def linear_packed2(x, CB, Mp):
    # All 256 rows of four weights of a codebook, then one look-up a byte.
    codes = torch.arange(256)[:, None] // torch.tensor([1, 4, 16, 64]) % 4
    rows = CB[:, codes].reshape(-1, 4)
    q = len(Mp) // len(CB)
    at = Mp.int() + (torch.arange(len(CB)).repeat_interleave(q) * 256).int()[:, None]
    return x @ F.embedding(at, rows).flatten(1).T


@peer("30")
def codebook_grad(dW, M, G, NC):
    at = M.reshape(G, -1) + torch.arange(G)[:, None] * NC
    return torch.bincount(at.flatten(), dW.flatten(), G * NC).reshape(G, NC).to(dW.dtype)


@peer("30")
def assign(W, CB):
    rows = W.reshape(len(CB), -1)
    best, M = torch.full_like(rows, math.inf), torch.zeros(rows.shape, dtype=torch.int64)
    for k in range(CB.shape[1]):
        away = (rows - CB[:, k, None]).abs()
        closer = away < best
        best, M = torch.where(closer, away, best), M.masked_fill(closer, k)
    return M.reshape(W.shape), best.square().sum()


# 31


def digits(planes, dtype):
    weights = 2 ** torch.arange(len(planes), dtype=torch.int32)
    return torch.stack([(2 * plane.to(torch.int32) - 1) * w for plane, w in zip(planes, weights)]).sum(0).to(dtype)


@peer("31")
def decode(Ab):
    x = digits(Ab, torch.int64)
    return x, (x - 1) // 2


@peer("31")
def matmul_planes(Ab, Bb):
    # Exact: the sums stay below 2^24.
    return (digits(Ab, torch.float32) @ digits(Bb, torch.float32).T).to(torch.int64)


@peer("31")
def matmul_packed(Ap, Bp, K):
    Y = 0
    for p, a in enumerate(Ap.numpy()):
        for q, b in enumerate(Bp.numpy()):
            for n, row in enumerate(b):
                if n == 0:
                    ones = np.empty((len(a), len(b)), np.int64)
                ones[:, n] = np.bitwise_count(a ^ row).sum(1)
            Y = Y + 2 ** (p + q) * (K - 2 * ones)
    return torch.from_numpy(Y)


@peer("31")
def matmul_dequant(Ab, Bb, alpha, beta):
    return alpha[:, None] * (digits(Ab, torch.float32) @ digits(Bb, torch.float32).T).to(alpha.dtype) * beta


# 32


@peer("32")
def booth_digits(A):
    a = A.to(torch.int64)
    bits = [(a >> j) & 1 for j in range(8)]
    D = torch.stack([(bits[2 * w - 1] if w else 0) + bits[2 * w] - 2 * bits[2 * w + 1] for w in range(4)], 2)
    return D, (D != 0).sum(2)


@peer("32")
def ent_digits(A):
    a = A.to(torch.int64)
    sign, size, carry, D = a.sign(), a.abs(), 0, []
    for w in range(4):
        total = ((size >> (2 * w)) & 3) + carry
        carry = (total >= 3).to(torch.int64) if w < 3 else 0
        D.append(sign * (total - 4 * carry))
    D = torch.stack(D, 2)
    return D, (D != 0).sum(2)


@peer("32")
def bw_gemm(A, B):
    # Exact: the sums stay below 2^53.
    D = booth_digits(A)[0].permute(2, 0, 1).to(torch.float64)
    P = (D.flatten(0, 1) @ B.to(torch.float64)).to(torch.int64).reshape(4, len(A), -1)
    return P, P[0] + 4 * P[1] + 16 * P[2] + 64 * P[3]


# 33


@peer("33")
def nested_eval(f, W, b, y):
    L = torch.cumsum(f.T[:, :, None] * W.T[:, None, :], 0) + b
    acc = (L.argmax(2) == y).sum(1) / len(f)
    return L, acc, torch.argmax(acc - 1e-5 * torch.arange(len(acc)))


@naive("33")
def nested_eval(f, W, b, y):
    return torch.stack([f[:, : k + 1] @ W[:, : k + 1].T + b for k in range(f.shape[1])])


@peer("33")
def gauss_dist(N, mu, sd):
    return torch.softmax(-(((torch.arange(1, N + 1) - mu) / sd) ** 2), 0)


@peer("33")
def coteach(L1, L2, y, R):
    ce1, ce2 = (F.cross_entropy(L, y, reduction="none") for L in (L1, L2))
    sel1, sel2 = (ce.argsort(stable=True)[:R] for ce in (ce1, ce2))
    return ce1, ce2, sel1, sel2, ce1[sel2].mean(), ce2[sel1].mean()


# 34


def bumps(x, xp, lw, lr, mu):
    return (x[:, None] - xp).abs()[..., None], torch.exp(lw), torch.exp(lr), 2 * math.pi * mu


@peer("34")
def kernel_gm(x, xp, lw, lr, mu):
    D, w, r, v = bumps(x, xp, lw, lr, mu)
    g, c, s = w * torch.exp(-r * D**2), torch.cos(v * D), torch.sin(v * D)
    return (g * c).sum(2), (g * ((4 * r**2 * D**2 - 2 * r - v**2) * c + 4 * r * D * v * s)).sum(2)


@peer("34")
def kernel_stm(x, xp, lw, lr, mu):
    D, w, r, v = bumps(x, xp, lw, lr, mu)
    a = math.sqrt(5) * r * D
    g, c, s = w * torch.exp(-a), torch.cos(v * D), torch.sin(v * D)
    p = 1 + a + a**2 / 3
    K = (g * p * c).sum(2)
    return K, (g * ((5 / 3 * r**2 * (a**2 - a - 1) - v**2 * p) * c + 10 / 3 * r**2 * D * v * (1 + a) * s)).sum(2)

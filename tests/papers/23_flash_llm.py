"""References for paper 23: the dense matrix with its zeros."""

import numpy as np

from common import Paper

paper = Paper("23-flash-llm")


def dense(ptr, col, val, width):
    A = np.zeros((len(ptr) - 1, width))
    for i in range(len(ptr) - 1):
        for e in range(ptr[i], ptr[i + 1]):
            A[i, col[e]] += val[e]
    return A


def spmm_csr(ptr, col, val, X):
    return {"Y": dense(ptr, col, val, len(X)) @ X}


def spmm_tiled(ptr, loc, val, X, M, TM, TK):
    A = np.zeros((M, len(X)))
    across = len(X) // TK
    for tile in range(len(ptr) - 1):
        for e in range(ptr[tile], ptr[tile + 1]):
            A[tile // across * TM + loc[e] // TK, tile % across * TK + loc[e] % TK] += val[e]
    return {"Y": A @ X}


def spmm_prune(W, X, thr):
    P = np.where(np.abs(W) > thr, W, 0)
    return {"Y": P @ X, "nnz": np.int64(np.count_nonzero(P))}


def ffn_sparse(ptr1, col1, val1, b1, ptr2, col2, val2, b2, X):
    hidden = np.maximum(dense(ptr1, col1, val1, len(X)) @ X + b1[:, None], 0)
    return {"Y": dense(ptr2, col2, val2, len(hidden)) @ hidden + b2[:, None]}


def csr(A):
    """Pointers, columns and values of the non-zeros."""
    rows, columns = np.nonzero(A)
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(A)))]).astype(np.int64), columns, A[rows, columns]


def pruned(g, m, k, share):
    A = g.real(m, k) * g.flags(m, k, share=share)
    A[0, 0] = 1.5
    if m > 2:
        A[m // 2] = 0
    return A


def tiles(A, TM, TK):
    """Entries by tile, each tile padded to a multiple of four with zeros."""
    ptr, loc, val = [0], [], []
    for top in range(0, A.shape[0], TM):
        for left in range(0, A.shape[1], TK):
            tile = A[top : top + TM, left : left + TK].reshape(-1)
            places = np.flatnonzero(tile)
            padding = -len(places) % 4
            loc += [*places, *[0] * padding]
            val += [*tile[places], *[0.0] * padding]
            ptr.append(len(loc))
    return np.array(ptr, dtype=np.int64), np.array(loc, dtype=np.int64), np.array(val)


def csr_inputs(g, m, k, n, share=0.3):
    ptr, col, val = csr(pruned(g, m, k, share))
    return {"ptr": ptr, "col": col, "val": val, "X": g.real(k, n)}


def tiled_inputs(g, m, k, n, TM, TK, share=0.3):
    ptr, loc, val = tiles(pruned(g, m, k, share), TM, TK)
    return {"ptr": ptr, "loc": loc, "val": val, "X": g.real(k, n), "M": np.int64(m), "TM": np.int64(TM), "TK": np.int64(TK)}


def prune_inputs(g, m, k, n, thr):
    return {"W": g.real(m, k), "X": g.real(k, n), "thr": np.asarray(thr)}


def ffn_inputs(g, f, d, n):
    first, second = csr(pruned(g, f, d, 0.4)), csr(pruned(g, d, f, 0.4))
    return {"ptr1": first[0], "col1": first[1], "val1": first[2], "b1": g.real(f),
            "ptr2": second[0], "col2": second[1], "val2": second[2], "b2": g.real(d), "X": g.real(d, n)}


TILED = [dict(m=12, k=10, n=3, TM=4, TK=5), dict(m=1, k=1, n=1, TM=1, TK=1), dict(m=6, k=8, n=2, TM=2, TK=4),
         dict(m=5, k=9, n=17, TM=5, TK=3, share=0.05)]
paper.add("spmm_csr", [dict(m=12, k=10, n=3), dict(m=1, k=1, n=1), dict(m=7, k=3, n=9), dict(m=19, k=5, n=1, share=0.02)],
          csr_inputs, spmm_csr)
paper.add("spmm_tiled", TILED, tiled_inputs, spmm_tiled)
paper.add("spmm_prune", [dict(m=12, k=10, n=3, thr=0.8), dict(m=1, k=1, n=1, thr=0.0), dict(m=5, k=17, n=2, thr=9.0)],
          prune_inputs, spmm_prune)
paper.add("ffn_sparse", [dict(f=9, d=6, n=3), dict(f=1, d=1, n=1), dict(f=4, d=11, n=8)], ffn_inputs, ffn_sparse)


@paper.property("spmm_tiled")
def pointers_of_other_tiles_are_refused(call, g):
    inputs = tiled_inputs(g, 6, 8, 2, 2, 4)
    inputs["ptr"] = np.append(inputs["ptr"], inputs["ptr"][-1])
    call.refuses("spmm_tiled", "EIN0309", **inputs)


@paper.property("spmm_csr", "spmm_tiled", "ffn_sparse")
def pointers_outside_the_entries_are_refused(call, g):
    good = {"ptr": np.array([0, 2, 3]), "col": np.array([0, 1, 2]), "val": np.ones(3), "X": np.ones((3, 1))}
    call("spmm_csr", **good)
    for ptr in ([0, 2, 4], [-1, 2, 3], [0, 3, 2], [0, 9, 3], [-1, -1, -1]):
        call.refuses("spmm_csr", "EIN0707", **{**good, "ptr": np.array(ptr)})
    layers = ffn_inputs(g, 4, 3, 2)
    call.refuses("ffn_sparse", "EIN0707", **{**layers, "ptr2": layers["ptr2"] + 1})
    tiled = tiled_inputs(g, 4, 6, 2, 2, 3)
    call.refuses("spmm_tiled", "EIN0707", **{**tiled, "ptr": tiled["ptr"][::-1].copy()})
    for place in (6, -1):
        loc = tiled["loc"].copy()
        loc[-1] = place
        call.refuses("spmm_tiled", "EIN0707", **{**tiled, "loc": loc})


@paper.property("spmm_csr", "spmm_tiled")
def formats_agree(call, g):
    A, X = pruned(g, 8, 12, 0.3), g.real(12, 5)
    ptr, col, val = csr(A)
    call.near("csr", call("spmm_csr", ptr=ptr, col=col, val=val, X=X)["Y"], A @ X)
    ptr, loc, val = tiles(A, 4, 3)
    sizes = {"M": np.int64(8), "TM": np.int64(4), "TK": np.int64(3)}
    call.near("tiled", call("spmm_tiled", ptr=ptr, loc=loc, val=val, X=X, **sizes)["Y"], A @ X)


@paper.property("spmm_csr")
def product_is_linear_in_the_values(call, g):
    inputs = csr_inputs(g, 6, 7, 2)
    other = g.real(len(inputs["val"]))
    first, second = call("spmm_csr", **inputs)["Y"], call("spmm_csr", **{**inputs, "val": other})["Y"]
    call.near("Y", call("spmm_csr", **{**inputs, "val": inputs["val"] + other})["Y"], first + second)


@paper.property()
def bytes_of_the_tiled_form(call, g):
    A = g.real(1024, 1024)
    for sparsity, share in ((0.7, 0.6), (0.8, 0.4), (0.9, 0.2)):
        kept = A * (g.uniform(0, 1, 1024, 1024) > sparsity)
        entries = len(tiles(kept, 128, 64)[1])
        call.holds(f"{share} of f16 at {sparsity}", abs(4 * entries / (2 * A.size) - share) < 0.01)

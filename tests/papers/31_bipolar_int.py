"""References for paper 31: Python integers from signed digits."""

import numpy as np

from common import Paper

paper = Paper("31-bipolar-int")


def values(planes):
    """The numbers whose digits are -1 for bit 0 and +1 for bit 1."""
    return sum(2**p * np.where(plane == 1, 1, -1) for p, plane in enumerate(planes)).astype(np.int64)


def decode(Ab):
    x = values(Ab)
    return {"x": x, "s": (x - 1) // 2}


def matmul_planes(Ab, Bb):
    return {"Y": values(Ab) @ values(Bb).T}


def unpacked(planes, K):
    bits = planes[..., None] >> np.arange(32, dtype=np.uint32) & 1
    return bits.reshape(planes.shape[0], planes.shape[1], -1)[:, :, :K]


def matmul_packed(Ap, Bp, K):
    return matmul_planes(unpacked(Ap, K), unpacked(Bp, K))


def matmul_dequant(Ab, Bb, alpha, beta):
    return {"F": alpha[:, None] * matmul_planes(Ab, Bb)["Y"] * beta}


def packed(planes):
    p, m, k = planes.shape
    padded = np.zeros((p, m, -(-k // 32) * 32), dtype=np.uint32)
    padded[:, :, :k] = planes
    return (padded.reshape(p, m, -1, 32) << np.arange(32, dtype=np.uint32)).sum(axis=3).astype(np.uint32)


def decode_inputs(g, p, m, k):
    return {"Ab": g.bits(p, m, k)}


def planes_inputs(g, p, q, m, n, k):
    return {"Ab": g.bits(p, m, k), "Bb": g.bits(q, n, k)}


def packed_inputs(g, k, **size):
    inputs = planes_inputs(g, k=k, **size)
    return {"Ap": packed(inputs["Ab"]), "Bp": packed(inputs["Bb"]), "K": np.int64(k)}


def dequant_inputs(g, **size):
    return {**planes_inputs(g, **size), "alpha": g.uniform(0.01, 0.1, size["m"]), "beta": g.uniform(0.01, 0.1, size["n"])}


SIZES = [dict(p=2, q=3, m=4, n=3, k=10), dict(p=1, q=1, m=1, n=1, k=1), dict(p=4, q=8, m=3, n=5, k=33), dict(p=3, q=1, m=2, n=7, k=64)]
paper.add("decode", [dict(p=2, m=4, k=10), dict(p=1, m=1, k=1), dict(p=8, m=3, k=5)], decode_inputs, decode)
paper.add("matmul_planes", SIZES, planes_inputs, matmul_planes)
paper.add("matmul_packed", SIZES, packed_inputs, matmul_packed)
paper.add("matmul_dequant", SIZES, dequant_inputs, matmul_dequant)


@paper.property("matmul_packed")
def words_that_do_not_hold_the_positions_are_refused(call, g):
    words = packed(g.bits(1, 2, 40))
    for K in (100, 10):
        call.refuses("matmul_packed", "EIN0309", Ap=words, Bp=words, K=np.int64(K))


@paper.property("decode")
def planes_of_the_example(call, g):
    x = call("decode", Ab=np.array([[[1, 0, 1]], [[0, 0, 1]]], dtype=np.uint8))["x"][0]
    call.holds("-1, -3, 3", list(x) == [-1, -3, 3])


@paper.property("decode")
def values_are_shifted_unsigned_numbers(call, g):
    Ab = g.bits(5, 3, 4)
    u = sum(2**p * Ab[p].astype(np.int64) for p in range(5))
    got = call("decode", Ab=Ab)
    call.near("x", got["x"], 2 * u - 31)
    call.near("s", got["s"], u - 16)


@paper.property("matmul_planes", "matmul_packed")
def forms_agree_and_count_disagreements(call, g):
    A, B = g.bits(1, 3, 45), g.bits(1, 4, 45)
    Y = call("matmul_planes", Ab=A, Bb=B)["Y"]
    call.near("packed", call("matmul_packed", Ap=packed(A), Bp=packed(B), K=np.int64(45))["Y"], Y)
    call.near("disagreements", Y, 45 - 2 * (A[0][:, None] != B[0][None]).sum(axis=2))


@paper.property("matmul_planes")
def negated_bits_negate_the_product(call, g):
    inputs = planes_inputs(g, 2, 3, 4, 3, 9)
    Y = call("matmul_planes", **inputs)["Y"]
    call.near("-Y", call("matmul_planes", Ab=1 - inputs["Ab"], Bb=inputs["Bb"])["Y"], -Y)
    call.holds("parity of K", np.all(Y % 2 == 1))

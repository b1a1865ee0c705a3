"""References for paper 32: digits of one byte at a time."""

import numpy as np

from common import Paper

paper = Paper("32-bit-weight")


def booth(a):
    bits = [(a & 255) >> j & 1 for j in range(8)]
    return [(bits[2 * w - 1] if w else 0) + bits[2 * w] - 2 * bits[2 * w + 1] for w in range(4)]


def ent(a):
    digits, carry, rest = [], 0, abs(a)
    for w in range(4):
        v = rest % 4 + carry
        rest //= 4
        carry = int(w < 3 and v >= 3)
        digits.append((v - 4 * carry) * (1 if a > 0 else -1))
    return digits


def recoded(A, recode):
    D = np.array([recode(int(a)) for a in A.reshape(-1)], dtype=np.int64).reshape(*A.shape, 4)
    return {"D": D, "nz": np.count_nonzero(D, axis=2)}


def booth_digits(A):
    return recoded(A, booth)


def ent_digits(A):
    return recoded(A, ent)


def bw_gemm(A, B):
    D, B = booth_digits(A)["D"], B.astype(np.int64)
    return {"P": np.stack([D[:, :, w] @ B for w in range(4)]), "C": A.astype(np.int64) @ B}


def digits_inputs(g, m, k):
    return {"A": g.ints(-128, 128, m, k, dtype=np.int8)}


def gemm_inputs(g, m, k, n):
    return {**digits_inputs(g, m, k), "B": g.ints(-128, 128, k, n, dtype=np.int8)}


SIZES = [dict(m=3, k=6), dict(m=1, k=1), dict(m=7, k=1), dict(m=1, k=33)]
paper.add("booth_digits", SIZES, digits_inputs, booth_digits)
paper.add("ent_digits", SIZES, digits_inputs, ent_digits)
paper.add("bw_gemm", [dict(m=3, k=6, n=4), dict(m=1, k=1, n=1), dict(m=5, k=33, n=2), dict(m=2, k=1, n=9)], gemm_inputs, bw_gemm)


@paper.property("booth_digits", "ent_digits")
def digits_restore_all_bytes(call, g):
    A = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    for program in ("booth_digits", "ent_digits"):
        D = call(program, A=A)["D"]
        call.holds(f"sum of {program}", np.array_equal(D @ (4 ** np.arange(4)), A.astype(np.int64)))
        call.holds(f"{program} in -2..2", np.abs(D).max() == 2)


@paper.property("booth_digits", "ent_digits")
def digits_of_the_examples(call, g):
    A = np.array([[2, 47, -86, -128]], dtype=np.int8)
    rest = [[-1, 0, -1, 1], [-2, -1, -1, -1], [0, 0, 0, -2]]
    call.holds("Booth", call("booth_digits", A=A)["D"][0].tolist() == [[-2, 1, 0, 0], *rest])
    call.holds("carries", call("ent_digits", A=A)["D"][0].tolist() == [[2, 0, 0, 0], *rest])


@paper.property("booth_digits", "ent_digits")
def digits_of_normal_values(call, g):
    for deviation, first, second in ((10, 1.76, 1.93), (20, 2.12, 2.29), (30, 2.34, 2.53), (40, 2.49, 2.67), (50, 2.60, 2.77)):
        # the average over the distribution, by the share of each byte
        edges = np.arange(-128, 128)
        sample = np.clip(np.rint(g.real(200_000) * deviation), -128, 127).astype(int)
        share = np.bincount(sample + 128, minlength=256) / len(sample)
        bytes_ = edges.astype(np.int8).reshape(1, 256)
        for program, want in (("ent_digits", first), ("booth_digits", second)):
            mean = call(program, A=bytes_)["nz"][0] @ share
            call.holds(f"{want} for {program} at {deviation}", abs(mean - want) < 0.02)


@paper.property("bw_gemm")
def weighted_digit_products_are_the_product(call, g):
    inputs = gemm_inputs(g, 4, 9, 3)
    got = call("bw_gemm", **inputs)
    call.near("C", got["C"], np.tensordot(4 ** np.arange(4), got["P"], axes=1))

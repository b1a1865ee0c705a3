"""Time per operation of OpenFHE, the same table as `ckks.rs` beside it: processor time, the least of nine.

Needs Python 3.10: `pip install openfhe==1.6.1.0.22.4 numpy`, then `OMP_NUM_THREADS=1 python ckks_openfhe.py`.
"""

import math
import time

import openfhe as fhe

SETS = [(1 << 13, 1, 2), (1 << 13, 2, 3), (1 << 14, 5, 3), (1 << 15, 14, 3)]
ROUNDS = 9


def measure(ring, levels, digits):
    parameters = fhe.CCParamsCKKSRNS()
    parameters.SetSecurityLevel(fhe.HEStd_128_classic)
    parameters.SetRingDim(ring)
    parameters.SetMultiplicativeDepth(levels)
    parameters.SetScalingModSize(40)
    parameters.SetFirstModSize(54)
    parameters.SetScalingTechnique(fhe.FIXEDMANUAL)
    parameters.SetKeySwitchTechnique(fhe.HYBRID)
    parameters.SetNumLargeDigits(digits)
    parameters.SetBatchSize(ring // 2)
    context = fhe.GenCryptoContext(parameters)
    for feature in (fhe.PKE, fhe.KEYSWITCH, fhe.LEVELEDSHE, fhe.ADVANCEDSHE):
        context.Enable(feature)
    keys = context.KeyGen()
    context.EvalMultKeyGen(keys.secretKey)
    context.EvalRotateKeyGen(keys.secretKey, [1, 2])
    values = [math.sin(k) for k in range(ring // 2)]
    plain = context.MakeCKKSPackedPlaintext(values)
    x = context.Encrypt(keys.secretKey, plain)
    y = context.Encrypt(keys.secretKey, plain)
    digits_of_x = context.EvalFastRotationPrecompute(x)
    product = context.EvalMultNoRelin(x, y)
    relinearized = context.Relinearize(product)
    operations = {
        "add": lambda: context.EvalAdd(x, y),
        "encode, mul_plain": lambda: context.EvalMult(x, context.MakeCKKSPackedPlaintext(values)),
        "hoist": lambda: context.EvalFastRotationPrecompute(x),
        "mul": lambda: context.EvalMultNoRelin(x, y),
        "mul_plain": lambda: context.EvalMult(x, plain),
        "relinearize": lambda: context.Relinearize(product),
        "rescale": lambda: context.Rescale(relinearized),
        "rotate": lambda: context.EvalRotate(x, 1),
        "rotate hoisted": lambda: context.EvalFastRotation(x, 1, 2 * ring, digits_of_x),
        "encrypt": lambda: context.Encrypt(keys.secretKey, context.MakeCKKSPackedPlaintext(values)),
        "decrypt": lambda: context.Decrypt(x, keys.secretKey),
    }
    modulus = math.log2(context.GetModulus())
    for name, operation in operations.items():
        times = []
        for _ in range(ROUNDS):
            start = time.process_time()
            operation()
            times.append(time.process_time() - start)
        report(ring, levels, digits, modulus, name, min(times))
    times = []
    for by in range(3, 8):
        start = time.process_time()
        context.EvalRotateKeyGen(keys.secretKey, [by])
        times.append(time.process_time() - start)
    report(ring, levels, digits, modulus, "key", min(times))


def report(ring, levels, digits, modulus, name, seconds):
    print(f"{ring:>6} {levels:>6} {digits:>6} {modulus:>7.1f}  {name:<18} {seconds * 1e3:>9.3f}", flush=True)


print("OpenFHE (log Q without special primes)")
print(f"{'ring':>6} {'levels':>6} {'digits':>6} {'log Q':>7}  {'operation':<18} {'ms':>9}")
for ring, levels, digits in SETS:
    measure(ring, levels, digits)

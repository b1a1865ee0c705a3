"""Runs the cases of target/speed.json with NumPy, opt_einsum and (if installed) PyTorch, and prints ratios.

    EINC_THREADS=1 cargo bench --bench speed && OPENBLAS_NUM_THREADS=1 python benches/speed/compare.py

A ratio is the best peer's time over ours: above 1 we are faster. All peers run in this one process.
"""

import json
import math
import os
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

with open(os.path.join(ROOT, "target", "speed.json")) as file:
    RESULT = json.load(file)
THREADS = str(RESULT["threads"])
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = THREADS

import numpy as np  # noqa: E402

try:
    import opt_einsum
except ImportError:
    opt_einsum = None
try:
    import torch

    torch.set_num_threads(int(THREADS))
except ImportError:
    torch = None


def best(call, seconds=0.6):
    call()
    start, least, calls = time.perf_counter(), math.inf, 0
    while calls < 3 or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - before)
        calls += 1
    return least


def peers(spec, arrays):
    """Seconds of each peer."""
    found = {"numpy": best(lambda: np.einsum(spec, *arrays, optimize=True))}
    if spec == "ij,jk->ik":
        found["numpy @"] = best(lambda: arrays[0] @ arrays[1])
    if torch is not None:
        tensors = [torch.from_numpy(array) for array in arrays]
        found["torch"] = best(lambda: torch.einsum(spec, *tensors))
        if opt_einsum is not None:
            found["opt_einsum+torch"] = best(lambda: opt_einsum.contract(spec, *tensors, backend="torch"))
    elif opt_einsum is not None:
        found["opt_einsum"] = best(lambda: opt_einsum.contract(spec, *arrays))
    return found


def main():
    with open(os.path.join(HERE, "tccg.json")) as file:
        tccg = {case["id"]: case for case in json.load(file)}
    random = np.random.default_rng(1)
    ratios = {}
    for case in RESULT["cases"]:
        words = case["name"].split()
        dtype = words[-1]
        if words[0] == "matmul":
            group, spec, n = "matmul", "ij,jk->ik", int(words[1])
            shapes = [(n, n), (n, n)]
        elif words[0] in tccg:
            group, known = "tccg", tccg[words[0]]
            spec = known["einsum"]
            shapes = [tuple(known[dtype][label] for label in term) for term in spec.split("->")[0].split(",")]
        else:
            continue
        kind = {"f32": np.float32, "f64": np.float64}[dtype]
        arrays = [random.uniform(-1, 1, shape).astype(kind) for shape in shapes]
        found = peers(spec, arrays)
        name = min(found, key=found.get)
        ratio = found[name] / case["seconds"]
        ratios.setdefault((group, dtype), []).append(ratio)
        print(f"{case['name']:<28} {ratio:6.2f}   best peer {name}", flush=True)
    for (group, dtype), values in ratios.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        print(f"{group} {dtype}: geometric mean {mean:.2f} over {len(values)}")


if __name__ == "__main__":
    main()

"""Runs the cases of target/papers.json with PyTorch, NumPy or SciPy, and prints ratios.

    EINC_THREADS=1 cargo bench --bench papers && python benches/papers/compare.py [PART OF A NAME ..]
    cargo bench --bench papers -- --json FILE 17 && python benches/papers/compare.py --json FILE
    python benches/papers/compare.py --turns 3 [PART OF A NAME ..]
    python benches/papers/compare.py --check

With `--turns` each case is measured again so many times, ours and the peer's in turn, and the best of each counts: for machines
that do something else now and then.

Times of one thread are those that it ran, as ours are. A ratio is the peer's time over ours: above 1 we are faster. The peers
are those of peers.py; `--check` compares them with the references of tests/papers at the sizes of these.
"""

import inspect
import json
import math
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def option(name, default):
    """What follows an option, which is taken from the arguments."""
    if name not in sys.argv:
        return default
    place = sys.argv.index(name)
    value = sys.argv[place + 1]
    del sys.argv[place : place + 2]
    return value


def result(path):
    with open(path) as file:
        return json.load(file)


CHECK = "--check" in sys.argv
TURNS = int(option("--turns", 0))
RESULT = {"threads": 1} if CHECK else result(option("--json", os.path.join(ROOT, "target", "papers.json")))
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(RESULT["threads"])

import numpy as np  # noqa: E402
import torch  # noqa: E402

from peers import NAIVE, PEERS  # noqa: E402

torch.set_num_threads(int(RESULT["threads"]))
RANDOM = np.random.default_rng(1)
TYPES = {"f32": "float32", "f64": "float64", "c64": "complex64", "c128": "complex128"}


def array(name, dtype, shape, case):
    """An input as the bench makes it: reals of -1 to 1 or weights of interpolation, integers below a bound or at even steps."""
    if dtype[0] in "iu":
        if name in case.get("step", {}):
            values = np.arange(math.prod(shape)).reshape(shape) * case["step"][name]
        else:
            values = RANDOM.integers(0, case.get("below", {}).get(name, 2), shape)
        return values.astype(f"{'uint' if dtype[0] == 'u' else 'int'}{dtype[1:]}")
    if name in case.get("interpolate", []):
        places = np.arange(shape[0]) * (shape[1] - 1) / (shape[0] - 1)
        values = np.maximum(1 - np.abs(places[:, None] - np.arange(shape[1])), 0)
        return values.astype(TYPES[dtype])
    values = RANDOM.uniform(-1, 1, shape)
    if dtype[0] == "c":
        values = values + 1j * RANDOM.uniform(-1, 1, shape)
    if case.get("positive"):
        values = np.abs(values)
    if case.get("bits"):
        values = (values >= 0).astype(float)
    return values.astype(TYPES[dtype])


def best(call, seconds=0.5):
    """The best mean of a batch of calls, in seconds."""
    now = time.thread_time if RESULT["threads"] == 1 else time.perf_counter
    call()
    start = time.perf_counter()
    call()
    batch = int(min(max(0.02 / (time.perf_counter() - start), 1), 1e5))
    start, least, batches = time.perf_counter(), math.inf, 0
    while batches < 3 or time.perf_counter() - start < seconds:
        before = now()
        for _ in range(batch):
            call()
        least = min(least, (now() - before) / batch)
        batches += 1
    return least


def ours(name):
    """Our time of one case, measured now."""
    with tempfile.NamedTemporaryFile() as file:
        command = ["cargo", "bench", "--quiet", "--bench", "papers", "--", "--json", file.name, name]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return next(entry["seconds"] for entry in result(file.name)["cases"] if entry["name"] == name)


def compare():
    ratios = []
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    for entry in RESULT["cases"]:
        if wanted and not any(part in entry["name"] for part in wanted):
            continue
        case, name = entry["case"], entry["name"]
        program = " ".join(name.split()[:2])
        inputs = {k: torch.from_numpy(np.asarray(array(k, *v, case))) for k, v in entry["arrays"].items()}
        dims = {k: v for k, v in case["set"].items() if k in inspect.signature(PEERS[program]).parameters}
        dims = {k: v for k, v in dims.items() if k not in inputs}
        call = lambda: PEERS[program](**inputs, **dims)  # noqa: E731
        seconds = best(call)
        for _ in range(TURNS):
            entry["seconds"] = min(entry["seconds"], ours(name))
            seconds = min(seconds, best(call))
        more = ""
        if case.get("plain"):
            more = f"   plain form {best(lambda: NAIVE[program](**inputs, **dims)) * 1e3:.3f} ms"
        ratios.append((seconds / entry["seconds"], name))
        print(f"{name:<28} {entry['seconds'] * 1e3:10.3f} ms  peer {seconds * 1e3:10.3f} ms  ratio {ratios[-1][0]:7.2f}{more}", flush=True)
    mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
    below = sorted(ratio for ratio in ratios if ratio[0] < 1)
    print(f"geometric mean {mean:.2f} over {len(ratios)}, {len(below)} below 1")
    for ratio, name in below:
        print(f"  {ratio:5.2f} {name}")


def check():
    """Every peer gives what the paper's reference gives."""
    sys.path.insert(0, os.path.join(ROOT, "tests", "papers"))
    import run
    from common import Generator, agree

    failed = 0
    for paper in run.papers(None):
        for program in paper.programs.values():
            name = f"{paper.number} {program.name}"
            if name not in PEERS:
                print(f"{name}: no peer")
                failed += 1
                continue
            for size in program.sizes:
                inputs = program.inputs(Generator(name, sorted(size.items())), **size)
                scalar = lambda v: np.asarray(v).ndim == 0 and np.asarray(v).dtype.kind in "iu"
                want = program.reference(**{k: int(v) if scalar(v) else v for k, v in inputs.items()})
                ready = {k: int(v) if scalar(v) else torch.from_numpy(np.asarray(v)) for k, v in inputs.items()}
                try:
                    got = PEERS[name](**ready)
                    got = got if isinstance(got, tuple) else (got,)
                    for (label, value), array in zip(want.items(), got, strict=True):
                        agree(label, np.asarray(array), value, 1e-5, 1)
                except Exception as error:
                    print(f"{name} {size}: {type(error).__name__}: {error}")
                    failed += 1
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(check() if CHECK else compare())

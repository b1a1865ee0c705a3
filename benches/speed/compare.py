"""Takes turns with NumPy, PyTorch, opt_einsum and faer on the same cases, and prints ratios.

    python benches/speed/compare.py                      # everything, one thread
    python benches/speed/compare.py --threads 2 --full   # TCCG with its own sizes
    python benches/speed/compare.py softmax matmul       # cases whose name or group contains one of these

Each library is a process of its own. A case is made ready in all of them, then they take turns for some rounds, and the
least time of each counts: with one thread the time on a core, so that other processes hardly disturb, else that of the
wall, after a pause in which the threads of the others fall asleep. The ratio is the best peer's time over ours: above 1
we are faster. Results are compared, too.

Python packages: numpy, and if wanted torch and opt_einsum. faer takes part if `benches/speed/faer` has been built.
Peers give results in row-major memory (as we do), and plan their paths beforehand.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FAER = os.path.join(HERE, "faer", "target", "release", "speed-faer")

# Seconds between turns of several threads.
PAUSE = 0.1


# --------------------------------------------------------------------------- what is measured


def shrink(extents, kept, most=1e9, least=24):
    """The rule of `cases.rs`: the largest extents are halved until the work is small enough."""
    extents = dict(extents)
    while 2 * math.prod(extents.values()) > most:
        large = [label for label in sorted(extents) if extents[label] >= 2 * least and label != kept]
        if not large:
            break
        label = max(reversed(large), key=extents.get)
        extents[label] = -(-(extents[label] // 2) // 4) * 4
    return extents


def all_cases(full):
    for dtype in ("f32", "f64"):
        for n in (256, 512, 1024, 2048):
            yield einsum_case("matmul", f"matmul {n} {dtype}", "ij,jk->ik", [(n, n), (n, n)], dtype)
    with open(os.path.join(HERE, "tccg.json")) as file:
        tccg = json.load(file)
    for dtype in ("f32", "f64"):
        for case in tccg:
            spec = case["einsum"]
            extents = case[dtype] if full else shrink(case[dtype], spec[-1])
            shapes = [tuple(extents[label] for label in term) for term in spec.split("->")[0].split(",")]
            yield einsum_case("tccg", f"{case['id']} {dtype}", spec, shapes, dtype)
    with open(os.path.join(HERE, "programs.json")) as file:
        programs = json.load(file)
    for case in programs:
        for dtype in case.get("dtypes", ["f32", "f64"]):
            made = {"group": case["group"], "name": f"{case['name']} {dtype}", "flops": 0}
            made["inputs"] = [[text.replace("F", dtype), shape, below] for text, shape, below in case["inputs"]]
            for key in ("einsum", "program", "numpy", "torch"):
                if key in case:
                    made[key] = case[key].replace("{F}", dtype)
            yield made


def einsum_case(group, name, spec, shapes, dtype):
    labels = {}
    for term, shape in zip(spec.split("->")[0].split(","), shapes):
        labels.update(zip(term, shape))
    flops = 2 * math.prod(labels.values())
    inputs = [[dtype, list(shape), 1] for shape in shapes]
    return {"group": group, "name": name, "einsum": spec, "inputs": inputs, "flops": flops}


# --------------------------------------------------------------------------- the peers' processes


def worker(library, threads):
    """Answers requests as `serve.rs` does; `{"time": .., "way": ..}` names one of the ways that preparing listed."""
    import numpy as np

    clock = time.CLOCK_THREAD_CPUTIME_ID if threads == 1 else time.CLOCK_MONOTONIC

    def now():
        return time.clock_gettime(clock)

    def timed(call, repeats):
        start = now()
        for _ in range(repeats):
            call()
        return now() - start

    def best(call, seconds):
        start, repeats = time.perf_counter(), 1
        taken = timed(call, 1)
        while taken < 20e-6:
            repeats = max(2 * repeats, int(repeats * 20e-6 / max(taken, 1e-9)))
            taken = timed(call, repeats)
        least = taken
        while time.perf_counter() - start < seconds:
            least = min(least, timed(call, repeats))
        return least / repeats

    def fill(dtype, shape, below, operand):
        count = math.prod(shape)
        values = np.arange(count, dtype=np.int64)
        values *= 7919
        values += 104729 * (operand + 1)
        if dtype in ("f32", "f64"):
            real = (values % 2003).astype(np.float64)
            real /= 2003
            real -= 0.5
            return real.astype({"f32": np.float32, "f64": np.float64}[dtype]).reshape(shape)
        return (values % below).astype({"i64": np.int64, "i32": np.int32}[dtype]).reshape(shape)

    def numpy_ways(request, arrays):
        if "einsum" in request:
            spec = request["einsum"]
            path = np.einsum_path(spec, *arrays, optimize="optimal" if len(arrays) < 6 else "greedy")[0]
            ways = {"numpy": lambda: np.ascontiguousarray(np.einsum(spec, *arrays, optimize=path))}
            if spec == "ij,jk->ik":
                ways["numpy @"] = lambda: arrays[0] @ arrays[1]
            if "numpy" in request:
                ways["numpy calls"] = made(request["numpy"], arrays, {"np": np})
            return ways
        return {"numpy": made(request["numpy"], arrays, {"np": np})} if "numpy" in request else {}

    def made(text, arrays, names):
        return eval("lambda x: lambda: " + text, dict(names))(arrays)

    if library == "torch":
        import torch

        torch.set_num_threads(threads)
        try:
            import opt_einsum
        except ImportError:
            opt_einsum = None

    def torch_ways(request, arrays):
        tensors = [torch.from_numpy(array) for array in arrays]
        names = {"torch": torch, "F": torch.nn.functional}
        ways = {}
        if "einsum" in request:
            spec = request["einsum"]
            ways["torch"] = lambda: torch.einsum(spec, *tensors).contiguous()
            if opt_einsum is not None:
                expression = opt_einsum.contract_expression(spec, *[array.shape for array in arrays])
                ways["opt_einsum+torch"] = lambda: expression(*tensors, backend="torch").contiguous()
            if "torch" in request:
                ways["torch calls"] = made(request["torch"], tensors, names)
        elif "torch" in request:
            ways["torch"] = made(request["torch"], tensors, names)
        return ways

    ways = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "time" in request:
            answer = {"seconds": best(ways[request["way"]], request["time"])}
        elif "check" in request:
            result = np.asarray(next(iter(ways.values()))())
            flat = np.ascontiguousarray(result).reshape(-1).astype(np.float64)
            flat *= np.resize(np.arange(17) - 8, flat.size)
            answer = {"sum": float(flat.sum()), "size": float(np.abs(flat).sum())}
        else:
            ways = {}
            arrays = [fill(*described, k) for k, described in enumerate(request["inputs"])]
            try:
                ways = (numpy_ways if library == "numpy" else torch_ways)(request, arrays)
                for way in list(ways):
                    ways[way]()
                answer = {"ways": list(ways)}
            except Exception as error:  # a peer that refuses a case is out, whatever its reason
                ways = {}
                answer = {"ways": [], "error": str(error)}
        print(json.dumps(answer), flush=True)


class Process:
    def __init__(self, name, command, threads):
        variables = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        environment = dict(os.environ, **{variable: str(threads) for variable in variables})
        # Peers take new memory for every result: pages that come and go would count against them.
        environment.update(MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_="17179869184", THP_MEM_ALLOC_ENABLE="1")
        for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            environment.pop(variable, None)
        self.name = name
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} has ended")
        return json.loads(line)


def binary():
    """The path of the bench, built if need be."""
    command = ["cargo", "bench", "--bench", "speed", "--no-run", "--message-format=json"]
    lines = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    messages = [json.loads(line) for line in lines if line.startswith("{")]
    return next(m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "speed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filters", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="the contractions with their own sizes")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.03, help="of one turn, at least one call")
    parser.add_argument("--binary", help="the bench, if it is built already")
    parser.add_argument("--json", help="where to write all times")
    parser.add_argument("--markdown", action="store_true", help="print tables")
    parser.add_argument("--show", nargs="+", metavar="FILE", help="print the tables of such files, measure nothing")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return worker(options.worker, options.threads)

    if options.show:
        rows = []
        for path in options.show:
            with open(path) as file:
                rows += json.load(file)["cases"]
        markdown(rows)
        print("\n".join(summarize(rows)))
        return None

    threads = ["--threads", str(options.threads)]
    ours = Process("einc", [options.binary or binary(), "--serve", *threads], options.threads)
    script = [sys.executable, os.path.abspath(__file__), *threads, "--worker"]
    peers = [Process("numpy", [*script, "numpy"], options.threads)]
    if subprocess.run([sys.executable, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0:
        peers.append(Process("torch", [*script, "torch"], options.threads))
    if os.path.exists(FAER):
        peers.append(Process("faer", [FAER, str(options.threads)], options.threads))

    rows = []
    for case in all_cases(options.full):
        text = f"{case['group']} {case['name']}"
        if options.filters and not any(word in text for word in options.filters):
            continue
        rows.append(measure(case, ours, peers, options))
    summary = summarize(rows)
    if options.markdown:
        markdown(rows)
    for line in summary:
        print(line)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"threads": options.threads, "full": options.full, "cases": rows}, file, indent=1)


def measure(case, ours, peers, options):
    request = {key: case[key] for key in ("einsum", "program", "inputs", "numpy", "torch") if key in case}
    row = {"group": case["group"], "name": case["name"], "flops": case["flops"], "seconds": {}}
    answer = ours.ask(**request)
    if "error" in answer:
        print(f"{case['name']:<36} {answer['error']}", flush=True)
        return row
    least = {("einc", None): math.inf}
    for peer in peers:
        for way in peer.ask(**request)["ways"]:
            least[(peer, way)] = math.inf
    for _ in range(options.rounds):
        for peer, way in least:
            # The threads of the last one keep their cores busy for a while after they are done.
            time.sleep(PAUSE if options.threads > 1 else 0)
            process = ours if peer == "einc" else peer
            seconds = process.ask(time=options.seconds, way=way)["seconds"]
            least[(peer, way)] = min(least[(peer, way)], seconds)
    row["seconds"] = {way or "einc": seconds for (_, way), seconds in least.items()}
    row["wrong"] = differs(ours, [peer for peer in peers if any(peer is p for p, _ in least)])
    print(line_of(row), flush=True)
    return row


def differs(ours, peers):
    """Whether our result is not that of the first peer (sums of many terms in another order)."""
    if not peers:
        return False
    mine, theirs = ours.ask(check=True), peers[0].ask(check=True)
    return not abs(mine["sum"] - theirs["sum"]) <= 2e-5 * max(theirs["size"], 1e-9)


def best_peer(row):
    others = {way: seconds for way, seconds in row["seconds"].items() if way != "einc"}
    return min(others, key=others.get) if others else None


def ratio(row):
    peer = best_peer(row)
    return row["seconds"][peer] / row["seconds"]["einc"] if peer else None


def duration(seconds):
    return f"{seconds * 1e6:.2f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"


def line_of(row):
    seconds = row["seconds"]
    rate = f"{row['flops'] / seconds['einc'] / 1e9:6.1f} GF/s" if row["flops"] else " " * 11
    others = "  ".join(f"{way} {duration(time)}" for way, time in seconds.items() if way != "einc")
    compared = f"{ratio(row):6.2f}" if best_peer(row) else "     -"
    wrong = "  DIFFERENT RESULT" if row.get("wrong") else ""
    return f"{row['name']:<36} {compared}  {duration(seconds['einc']):>10} {rate}  {others}{wrong}"


def summarize(rows):
    groups = {}
    for row in rows:
        if row["seconds"] and best_peer(row):
            groups.setdefault((row["group"], row["name"].split()[-1]), []).append(ratio(row))
    for (group, dtype), values in groups.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        below = sum(value < 1 for value in values)
        yield f"{group} {dtype}: geometric mean {mean:.2f}, least {min(values):.2f}, {below} of {len(values)} below 1"


def markdown(rows):
    groups = {}
    for row in rows:
        if row["seconds"] and best_peer(row):
            name, dtype = row["name"].rsplit(" ", 1)
            groups.setdefault(row["group"], {}).setdefault(name, {})[dtype] = row
    for group, cases in groups.items():
        print(f"\n### {group}\n")
        print("| case | f32 | best peer | ratio | f64 | best peer | ratio |\n|---|---|---|---|---|---|---|")
        for name, found in cases.items():
            cells = []
            for dtype in ("f32", "f64"):
                row = found.get(dtype)
                if row is None:
                    cells += ["", "", ""]
                    continue
                seconds, peer = row["seconds"], best_peer(row)
                mark = "" if ratio(row) >= 1 else " **lost**"
                cells += [duration(seconds["einc"]), f"{duration(seconds[peer])} {peer}", f"{ratio(row):.2f}{mark}"]
            print(f"| {name} | " + " | ".join(cells) + " |")
    print()


if __name__ == "__main__":
    main()

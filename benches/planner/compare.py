"""Peers of einc's search for contraction orders, in the form of `cargo bench --bench planner`.

    python compare.py --data DIR --seconds S [--only PART,PART]

Prints one line for each network and peer: name, peer, log10 multiply-adds, seconds. Peers that are not installed
(`pip install cotengra opt_einsum omeco kahypar optuna`) are left out, and said so on stderr.
"""

import argparse
import json
import math
import os
import sys
import time


def load(path):
    with open(path) as file:
        network = json.load(file)
    inputs = [tuple(axes) for axes in network["inputs"]]
    output = tuple(network["output"])
    sizes = network["sizes"]
    if isinstance(sizes, list):
        sizes = dict(enumerate(sizes))
    return inputs, output, {int(axis): extent for axis, extent in sizes.items()}


def log10_macs(inputs, output, sizes, path):
    """Counts a path in SSA numbering, sums over one operand alone done before; independent of every peer."""
    count = {}
    live = {}
    for number, axes in enumerate(inputs):
        live[number] = set(axes)
        for axis in set(axes):
            count[axis] = count.get(axis, 0) + 1
    for axis in output:
        count[axis] += 1
    for axes in live.values():
        axes.intersection_update([axis for axis in axes if count[axis] > 1])
    total = 0
    for step, pair in enumerate(path):
        a, b = live.pop(pair[0]), live.pop(pair[1])
        union = a | b
        macs = 1
        for axis in union:
            macs *= sizes[axis]
        total += macs
        for axis in a & b:
            count[axis] -= 1
        live[len(inputs) + step] = {axis for axis in union if count[axis] > 1}
    return math.log10(total) if total else 0.0


def ssa_of_linear(count, path):
    ids = list(range(count))
    ssa = []
    for step, pair in enumerate(path):
        taken = [ids[place] for place in pair]
        for place in sorted(pair, reverse=True):
            ids.pop(place)
        new = count + len(ssa)
        if len(taken) == 2:
            ssa.append(tuple(taken))
            ids.append(new)
        else:
            while len(taken) > 1:
                ssa.append((taken.pop(0), taken.pop(0)))
                taken.insert(0, count + len(ssa) - 1)
            ids.extend(taken)
    return ssa


def opt_einsum_peer(inputs, output, sizes, seconds):
    import opt_einsum

    optimizer = opt_einsum.RandomGreedy(max_repeats=10**6, max_time=seconds)
    path = optimizer([frozenset(axes) for axes in inputs], frozenset(output), sizes)
    return ssa_of_linear(len(inputs), path)


def cotengra_peer(inputs, output, sizes, seconds):
    import cotengra

    names = [cotengra.get_symbol(axis) for axis in range(max(sizes) + 1)]
    optimizer = cotengra.HyperOptimizer(
        methods=["greedy"], max_time=seconds, max_repeats=10**4, parallel=False, reconf_opts={}, progbar=False
    )
    tree = optimizer.search(
        [[names[axis] for axis in axes] for axes in inputs],
        [names[axis] for axis in output],
        {names[axis]: extent for axis, extent in sizes.items()},
    )
    return tree.get_ssa_path()


def omeco_peer(inputs, output, sizes, seconds):
    import omeco

    # One unit of work of its annealing is about a quarter of a millisecond for a thousand operands.
    trials = max(1, int(seconds * 1000 / len(inputs)))
    # Multiply-adds alone; by default it would also keep intermediates below 2^20 elements.
    score = omeco.ScoreFunction(tc_weight=1.0, sc_weight=0.0, rw_weight=0.0)
    optimizer = omeco.TreeSA(ntrials=min(trials, 10), niters=50, score=score)
    tree = omeco.optimize_code([list(axes) for axes in inputs], list(output), sizes, optimizer)
    ssa = []

    def visit(node):
        node = node if isinstance(node, dict) else node.to_dict()
        if "tensor_index" in node:
            return node["tensor_index"]
        pair = [visit(child) for child in node["args"]]
        ssa.append(tuple(pair))
        return len(inputs) + len(ssa) - 1

    sys.setrecursionlimit(10**5)
    visit(tree)
    return ssa


PEERS = {"opt_einsum": opt_einsum_peer, "cotengra": cotengra_peer, "omeco": omeco_peer}


def table(ours, peers):
    """Joins the lines of the bench and of this script."""
    found = {}
    for line in open(ours):
        words = line.split()
        if len(words) == 6 and words[1][0].isdigit():
            found[words[0]] = {"einc": float(words[1]), "best known": float(words[2])}
    for line in open(peers):
        name, peer, value, _ = line.split()
        found.setdefault(name, {})[peer] = float(value)
    columns = ["einc", *PEERS, "best known"]
    print("| network | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in found.items():
        cells = [f"{row[column]:.4f}" if column in row else "-" for column in columns]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", default=os.environ.get("EINC_NETWORKS"))
    parser.add_argument("--table", nargs=2, metavar=("OURS", "PEERS"))
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", default="")
    options, _ = parser.parse_known_args()
    if options.table:
        return table(*options.table)
    for name in PEERS:
        try:
            __import__(name)
        except ImportError:
            print(f"{name} is not installed and left out", file=sys.stderr)
    peers = {name: run for name, run in PEERS.items() if name in sys.modules}
    index = json.load(open(os.path.join(options.data, "index.json")))
    for entry in index["networks"]:
        if not any(part in entry["name"] for part in options.only.split(",")):
            continue
        inputs, output, sizes = load(os.path.join(options.data, entry["name"] + ".json"))
        for peer, run in peers.items():
            start = time.process_time()
            try:
                path = run(inputs, output, sizes, options.seconds)
                found = log10_macs(inputs, output, sizes, path)
                print(entry["name"], peer, f"{found:.4f}", f"{time.process_time() - start:.2f}", flush=True)
            except Exception as error:
                print(f"{entry['name']} {peer}: {type(error).__name__}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()

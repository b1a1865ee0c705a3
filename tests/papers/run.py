"""Runs the programs of the papers against their references.

    run.py --einc target/release/einc [--paper NN] [--program P] [--dtype f64|f32] [-j N] [--einc-args ...]
    run.py --self-check

One line for each program and property, then `N passed, M failed`; exit 0 only if nothing failed.
"""

import argparse
import glob
import importlib
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from common import Call, Failure, Generator, run_case  # noqa: E402


def papers(wanted):
    """The modules `NN_name.py`, in order."""
    for path in sorted(glob.glob(os.path.join(HERE, "[0-9][0-9]_*.py"))):
        name = os.path.splitext(os.path.basename(path))[0]
        if not wanted or name[:2] in wanted:
            yield importlib.import_module(name).paper


def cases(paper, options):
    """Every test of a paper: (what, dtype, how)."""
    for dtype in options.dtype or ["f64", "f32"]:
        call = Call(paper, dtype, options.einc, options.einc_args, options.folder)
        for program in paper.programs.values():
            if options.program and program.name not in options.program:
                continue
            for size in program.sizes:
                yield program.name, dtype, size, (lambda c=call, p=program.name, s=size: run_case(c, p, s))
        for name, programs, check in paper.properties:
            if options.program and not set(programs) & set(options.program):
                continue
            yield name, dtype, "property", (
                lambda c=call, f=check, n=name: f(c, Generator(c.paper.name, n))
            )


def attempt(case):
    """None if the case passes, else what is wrong."""
    try:
        case[3]()
        return None
    except Failure as failure:
        return str(failure)
    except Exception as error:  # a broken reference must not end the run
        return f"{type(error).__name__}: {error}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--einc", help="the compiler to test")
    parser.add_argument("--paper", action="append", help="only this paper (two digits)")
    parser.add_argument("--program", action="append", help="only this program")
    parser.add_argument("--dtype", action="append", choices=["f64", "f32"])
    parser.add_argument("--self-check", action="store_true", help="only the references and their properties")
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--quiet", action="store_true", help="only what failed, and the summary")
    parser.add_argument("--einc-args", nargs=argparse.REMAINDER, default=[], help="passed on to einc run")
    options = parser.parse_args()
    if bool(options.einc) == options.self_check:
        parser.error("give --einc PATH or --self-check")
    if options.einc:
        options.einc = os.path.abspath(options.einc)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(max(options.j, 1)) as pool:
        options.folder = folder
        for paper in papers(options.paper):
            todo = list(cases(paper, options))
            lines = {}
            for case, problem in zip(todo, pool.map(attempt, todo)):
                lines.setdefault((case[0], case[1]), []).append((case[2], problem))
            for (name, dtype), outcomes in lines.items():
                bad = [(size, problem) for size, problem in outcomes if problem is not None]
                passed += len(outcomes) - len(bad)
                failed += len(bad)
                if bad or not options.quiet:
                    print(f"{paper.number} {name} {dtype}: {len(outcomes) - len(bad)} of {len(outcomes)}")
                for size, problem in bad:
                    print(f"   FAIL {size}: {problem}")
            sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

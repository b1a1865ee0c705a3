"""What the tests of the papers share: cases, seeded inputs, tolerances, and how a program is called.

A module `NN_name.py` builds one `Paper`. For each program it registers a function that makes inputs for given sizes
and a reference written from the paper's equations in NumPy; for each claim of the paper, a property. The same cases
run against `einc` or, with `--self-check`, against the references alone.
"""

import os
import subprocess
import tempfile
import zlib

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXAMPLES = os.path.join(ROOT, "examples", "papers")


class Failure(Exception):
    """A result that is not what the paper says, or a program that did not run."""


class Generator:
    """Seeded random tensors; `real` and `complex` are normal with the given deviation."""

    def __init__(self, *seed):
        self.g = np.random.default_rng(zlib.crc32(repr(seed).encode()))

    def real(self, *shape, scale=1.0):
        return np.asarray(self.g.standard_normal(shape) * scale)

    def complex(self, *shape, scale=1.0):
        return np.asarray((self.g.standard_normal(shape) + 1j * self.g.standard_normal(shape)) * scale)

    def uniform(self, low, high, *shape):
        return np.asarray(self.g.uniform(low, high, shape))

    def ints(self, low, high, *shape, dtype=np.int64):
        """Integers of `low..high`, the end excluded."""
        return np.asarray(self.g.integers(low, high, shape), dtype=dtype)

    def bits(self, *shape, dtype=np.uint8):
        return self.ints(0, 2, *shape, dtype=dtype)

    def flags(self, *shape, share=0.5):
        """Zeros and ones as reals."""
        return np.asarray(self.g.uniform(size=shape) < share, dtype=float)

    def permutation(self, n):
        return self.g.permutation(n).astype(np.int64)

    def rotation(self, n):
        """A random orthogonal matrix."""
        q, r = np.linalg.qr(self.g.standard_normal((n, n)))
        return q * np.sign(np.diag(r))


def narrow(array, dtype):
    """The array as the program gets it: reals and complex numbers in the precision under test, and integers narrower too."""
    array = np.asarray(array)
    if array.dtype == np.int64 and dtype == "f32":
        return array.astype(np.int32)
    if array.dtype.kind == "f":
        return array.astype(np.float32 if dtype == "f32" else np.float64)
    if array.dtype.kind == "c":
        return array.astype(np.complex64 if dtype == "f32" else np.complex128)
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    return array


def widen(array):
    """The array in double precision; rank-0 integers as Python integers."""
    array = np.asarray(array)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if array.dtype.kind == "c":
        return array.astype(np.complex128)
    if array.dtype.kind in "iu" and array.ndim == 0:
        return int(array)
    return array


def agree(label, got, want, tolerance, floor):
    """Fails unless |got - want| <= tolerance * max(floor, max |want|); integers must be equal."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise Failure(f"{label}: shape {got.shape}, expected {want.shape}")
    if want.dtype.kind in "iu":
        if got.dtype.kind not in "iu":
            raise Failure(f"{label}: dtype {got.dtype}, expected an integer")
        if not np.array_equal(got, want):
            where = tuple(int(k) for k in np.argwhere(got != want)[0])
            raise Failure(f"{label}{list(where)}: {got[where]}, expected {want[where]}")
        return
    if got.dtype.kind != want.dtype.kind:
        raise Failure(f"{label}: dtype {got.dtype}, expected kind {want.dtype}")
    if not want.size:
        return
    if not np.all(np.isfinite(want)):
        raise Failure(f"{label}: the reference is not finite")
    difference = np.abs(got.astype(want.dtype) - want)
    bound = tolerance * max(floor, float(np.max(np.abs(want))))
    worst = np.unravel_index(np.argmax(np.where(np.isnan(difference), np.inf, difference)), want.shape)
    if not difference[worst] <= bound:
        where = [int(k) for k in worst]
        raise Failure(f"{label}{where}: {got[worst]}, expected {want[worst]}, off by {difference[worst]:.3g} > {bound:.3g}")


class Program:
    """One program of a paper: how its inputs are made and what it must give."""

    def __init__(self, name, sizes, inputs, reference, tolerance):
        self.name, self.sizes, self.inputs, self.reference = name, sizes, inputs, reference
        self.tolerance = tolerance


class Paper:
    """The programs and properties of one paper.

    `floor` is 0 where the paper's tolerance is relative to the largest result (01 to 17), and 1 where results below
    one are compared absolutely (18 to 34).
    """

    def __init__(self, name):
        self.name = name
        self.number = name[:2]
        first = int(self.number) <= 17
        self.floor = 0.0 if first else 1.0
        self.tolerance = {"f64": 1e-9, "f32": 3e-5} if first else {"f64": 1e-8, "f32": 5e-4}
        self.programs = {}
        self.properties = []

    def add(self, name, sizes, inputs, reference, tolerance=None):
        """Registers a program; `inputs(g, **size)` and `reference(**inputs)` give dicts by tensor name."""
        self.programs[name] = Program(name, sizes, inputs, reference, tolerance or self.tolerance)

    def property(self, *programs):
        """Registers a claim `check(call, g)` about the named programs."""

        def register(check):
            self.properties.append((check.__name__, programs, check))
            return check

        return register


class Call:
    """Runs programs of one paper in one precision: by `einc`, or by the references."""

    def __init__(self, paper, dtype, einc=None, extra=(), folder=None):
        self.paper, self.dtype, self.einc, self.extra, self.folder = paper, dtype, einc, list(extra), folder
        self.tolerance = paper.tolerance[dtype]

    def __call__(self, program, **inputs):
        """The results by name, in double precision."""
        inputs = {name: narrow(value, self.dtype) for name, value in inputs.items()}
        results = self.raw(program, inputs)
        return {name: widen(value) for name, value in results.items()}

    def reference(self, program, inputs):
        """What the paper's equations give for the narrowed inputs, computed in double precision."""
        results = self.paper.programs[program].reference(**{name: widen(value) for name, value in inputs.items()})
        return {name: np.asarray(value) for name, value in results.items()}

    def raw(self, program, inputs):
        if self.einc is None:
            return {name: narrow(value, self.dtype) for name, value in self.reference(program, inputs).items()}
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            source, target = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
            np.savez(source, **inputs)
            file = os.path.join(EXAMPLES, self.paper.name + ".ein")
            command = [self.einc, "run", f"{file}::{program}", "--inputs", source, "-o", target, *self.extra]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            except subprocess.TimeoutExpired:
                raise Failure("no end after 120 s") from None
            if done.returncode != 0:
                message = (done.stderr.strip() or done.stdout.strip() or "no message").replace("\n", "\n      ")
                raise Failure(f"exit {done.returncode}: {message}")
            with np.load(target) as file:
                return {name: file[name] for name in file.files}

    def refuses(self, program, code, **inputs):
        """Fails unless the program refuses the inputs with that code; references refuse nothing."""
        if self.einc is None:
            return
        inputs = {name: narrow(value, self.dtype) for name, value in inputs.items()}
        try:
            self.raw(program, inputs)
        except Failure as failure:
            self.holds(f"{code} in {failure}", code in str(failure))
        else:
            raise Failure(f"{program} took what it should refuse with {code}")

    def near(self, label, got, want, slack=1.0):
        """Fails unless the two agree to `slack` times the paper's tolerance."""
        got, want = widen(got), np.asarray(widen(want))
        agree(label, got, want, slack * self.tolerance, self.paper.floor)

    def holds(self, label, condition):
        """Fails unless the condition is true."""
        if not condition:
            raise Failure(f"{label} does not hold")


def run_case(call, program, size):
    """One program at one size: every result of the reference must come back, and nothing else."""
    entry = call.paper.programs[program]
    g = Generator(call.paper.name, program, sorted(size.items()))
    inputs = {name: narrow(value, call.dtype) for name, value in entry.inputs(g, **size).items()}
    want = call.reference(program, inputs)
    got = call.raw(program, inputs)
    if set(got) != set(want):
        raise Failure(f"results {sorted(got)}, expected {sorted(want)}")
    for name, value in want.items():
        expected = narrow(value, call.dtype).dtype
        if value.dtype.kind in "fc" and got[name].dtype != expected:
            raise Failure(f"{name}: dtype {got[name].dtype}, expected {expected}")
        agree(name, got[name], value, entry.tolerance[call.dtype], call.paper.floor)


def convolve(X, K, stride=1):
    """Cross-correlation with zero padding by direct loops over the kernel."""
    n, i, h, w = X.shape
    o, _, kh, kw = K.shape
    padded = np.zeros((n, i, h + kh - 1, w + kw - 1), dtype=np.result_type(X, K))
    padded[:, :, kh // 2 : kh // 2 + h, kw // 2 : kw // 2 + w] = X
    p, q = -(-h // stride), -(-w // stride)
    Y = np.zeros((n, o, p, q), dtype=padded.dtype)
    for a in range(kh):
        for b in range(kw):
            part = padded[:, :, a : a + stride * (p - 1) + 1 : stride, b : b + stride * (q - 1) + 1 : stride]
            Y += np.einsum("oi,nipq->nopq", K[:, :, a, b], part)
    return Y


def softmax(x, axis=-1):
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    from math import erf

    return 0.5 * x * (1 + np.vectorize(erf, otypes=[float])(x / np.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def silu(x):
    return x * sigmoid(x)


def largest(x, k):
    """Positions of the k largest along the last axis, largest first, ties to the lower index."""
    return np.argsort(-x, axis=-1, kind="stable")[..., :k]

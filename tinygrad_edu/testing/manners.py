"""What must hold around a gradient's value: each function says what is broken, or nothing.

A rule can be right and yet write into its argument, hand out the caller's own array, forget to be linear, or count a
second pass wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_edu.errors import AutodiffError
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.report import Finding
from tinygrad_edu.testing.subject import Arrays, Subject, copies, plain
from tinygrad_edu.transforms import gradients, jvp
from tinygrad_edu.tree import flatten

__all__ = ["properties"]

EPSILON = 2.0**-52
SINGLE = float(np.finfo(np.float32).eps)
CANCELLED = 1e-3


def properties(subject: Subject, weights: Arrays, rng: np.random.Generator) -> tuple[Finding, ...]:
    """Every property that can be asked of this subject."""
    asked = ANYONES if subject.vjp is not None else ANYONES + OURS
    found = []
    with np.errstate(all="ignore"):
        for check in asked:
            name = check.__name__.replace("_", " ")
            try:
                message = check(subject, weights, rng)
            except (AutodiffError, ArithmeticError, ValueError, TypeError) as error:
                message = f"{type(error).__name__}: {error}"
            found.append(Finding(name, not message, message))
    return tuple(found)


def same_bits(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(left, right, strict=True))


def size_of(*groups: Sequence[np.ndarray]) -> float:
    """The largest finite absolute value, for tolerances."""
    return max((float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a))) for g in groups for a in g), default=0.0)


def rounding(subject: Subject, *cotangents: Arrays) -> float:
    """What a gradient may round where its terms cancel: as big as they are if none does, the size of y over that of x.

    The gradient of a sum of softmax is zero, and what is computed is nothing but the last digits of its terms.
    """
    outputs = subject.evaluate(*subject.arrays)[0]
    digits = max((float(np.finfo(y.dtype).eps) for y in outputs if y.dtype.kind == "f"), default=0.0)
    terms = [w * y for weights in cotangents for w, y in zip(weights, outputs, strict=True)]
    total = sum(float(np.sum(np.abs(t), where=np.isfinite(t))) for t in terms)
    return 1024.0 * digits * total / max(size_of(subject.arrays), 1.0)


def nothing_is_mutated(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    arrays, cotangents = copies(subject.arrays), copies(weights)
    subject.pull(arrays, cotangents)
    changed = [p for p, a, b in zip(subject.paths, arrays, subject.arrays, strict=True) if not same_bits([a], [b])]
    changed += [f"cotangent {k}" for k, (a, b) in enumerate(zip(cotangents, weights, strict=True)) if (a != b).any()]
    return f"{', '.join(changed)} changed while the gradient was computed; copy before writing" if changed else ""


def no_memory_is_shared(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    arrays, cotangents = copies(subject.arrays), copies(weights)
    found = [plain(g) for g in subject.pull(arrays, cotangents)]
    named = [(f"the gradient of {p}", g) for p, g in zip(subject.paths, found, strict=True)]
    others = [*zip(subject.paths, arrays, strict=True), *[(f"cotangent {k}", c) for k, c in enumerate(cotangents)]]
    for k, (name, g) in enumerate(named):
        for other, memory in named[k + 1 :] + others:
            if isinstance(g, np.ndarray) and isinstance(memory, np.ndarray) and np.shares_memory(g, memory):
                return f"{name} shares memory with {other}: writing into one changes the other; return a copy"
    again = [plain(g) for g in subject.pull(copies(subject.arrays), copies(weights))]
    for (name, g), later in zip(named, again, strict=True):
        if isinstance(g, np.ndarray) and isinstance(later, np.ndarray) and np.shares_memory(g, later):
            return f"{name} lies in the same memory at every call, so that the next call changes it; return a copy"
    return ""


def it_is_deterministic(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    once, again = (subject.gradients(subject.arrays, weights) for _ in range(2))
    values, repeated = (subject.evaluate(*subject.arrays)[0] for _ in range(2))
    if not same_bits(values, repeated):
        return "two calls of f gave two values; fix the seed of its random numbers"
    return "" if same_bits(once, again) else "the same call gave two gradients"


def dtype_is_kept(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    outputs = {y.dtype for y in subject.evaluate(*subject.arrays)[0] if y.dtype.kind == "f"}
    narrow = outputs if len(outputs) == 1 and subject.vjp is not None else set()  # f may work in float32 throughout
    for path, x, g in zip(subject.paths, subject.arrays, subject.pull(subject.arrays, weights), strict=True):
        if isinstance(plain(g), np.ndarray | np.generic) and plain(g).dtype not in {x.dtype, *narrow}:
            return f"the gradient of {path} is {plain(g).dtype}, the input {x.dtype}"
    return ""


def it_is_linear_in_the_cotangent(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    other = [rng.standard_normal(w.shape) * (w != 0) for w in weights]
    none = subject.gradients(subject.arrays, [np.zeros_like(w) for w in weights])
    first, second = (subject.gradients(subject.arrays, each) for each in (weights, other))
    if not all(np.isfinite(g).all() for g in first + second):
        return ""  # an infinite slope: nothing adds up
    for path, g in zip(subject.paths, none, strict=True):
        if (g != 0).any():
            return f"a cotangent of zeros gives {path} the gradient {g.ravel()[np.flatnonzero(g)[0]]:.6g}, not zeros"
    floor = rounding(subject, weights, other)
    double = subject.gradients(subject.arrays, [2.0 * w for w in weights])  # exact, in whatever float it is computed
    both = subject.gradients(subject.arrays, [a - b for a, b in zip(weights, other, strict=True)])
    for path, g, h, twice, found in zip(subject.paths, first, second, double, both, strict=True):
        exact = np.allclose(twice, 2.0 * g, rtol=1e-12, atol=64 * EPSILON * size_of([g]))
        if not (exact and np.allclose(found, g - h, rtol=1e-5, atol=1e-5 * size_of(first, second) + floor)):
            return f"the gradient of {path} is not linear in the cotangent"
    return ""


def it_accumulates_exactly(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    xs = [Tensor(np.array(x), requires_grad=True) for x in subject.arrays]
    sums: list[Any] = []
    for _ in range(2):
        leaves = flatten(subject.f(*subject.arguments(xs)))[0]
        pairs = [(y, w) for y, w in zip(leaves, weights, strict=True) if isinstance(y, Tensor) and y.requires_grad]
        if not pairs:
            return ""
        for y, w in pairs:
            y.backward(np.asarray(w, y.dtype), retain_graph=True)
        sums.append([None if x.grad is None else x.grad.numpy().copy() for x in xs])
    for path, once, twice in zip(subject.paths, *sums, strict=True):
        if once is not None and len(pairs) == 1 and not same_bits([2.0 * once], [twice]):
            return f"two backward passes do not give {path} twice the gradient of one"
    return ""


def forward_mode_is_the_adjoint(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    vs = [rng.standard_normal(x.shape) for x in subject.arrays]
    pulled = subject.gradients(subject.arrays, weights)
    if not all(np.isfinite(g).all() for g in pulled):
        return ""

    def outputs(*xs: Any) -> tuple[Any, ...]:
        return tuple(y for y in flatten(subject.f(*subject.arguments(xs)))[0] if isinstance(y, Tensor))

    floats = [w for w, y in zip(weights, subject.evaluate(*subject.arrays)[0], strict=True) if y.dtype.kind == "f"]
    pushed = [np.asarray(plain(t)) for t in flatten(jvp(outputs, tuple(subject.arrays), tuple(vs))[1])[0]]
    if [t.shape for t in pushed] != [w.shape for w in floats]:
        return ""  # some outputs depend on no input
    forward = sum(float(np.sum(w * t)) for w, t in zip(floats, pushed, strict=True))
    reverse = sum(float(np.sum(g * v)) for g, v in zip(pulled, vs, strict=True))
    terms = sum(float(np.sum(np.abs(w * t))) for w, t in zip(floats, pushed, strict=True))
    terms += sum(float(np.sum(np.abs(g * v))) for g, v in zip(pulled, vs, strict=True))
    allowed = 1e-10 * terms + 1e-13 * size_of(pulled) + rounding(subject, weights) * size_of(vs)
    below = 64.0 * EPSILON * size_of(weights) * size_of(vs)  # what a slope of 1 rounds: a saturated f has no more
    allowed += below if max(abs(forward), abs(reverse)) <= below else 0.0
    if abs(forward - reverse) > allowed:  # the two modes round each in its own way: by how much, where f is steep?
        spread = 0.0
        for _ in range(4):
            shaken = [x + 4.0 * np.spacing(x) * rng.choice([-1.0, 1.0], x.shape) for x in subject.arrays]
            nearby = sum(float(np.sum(g * v)) for g, v in zip(subject.gradients(shaken, weights), vs, strict=True))
            spread = max(spread, 4.0 * abs(nearby - reverse))
        allowed += spread if spread <= 0.05 * terms else 0.0
    if np.isfinite(forward) and abs(forward - reverse) > allowed:
        return f"⟨c, J v⟩ = {forward:.12g} but ⟨Jᵀ c, v⟩ = {reverse:.12g}"
    return ""


def each_input_alone_gets_the_same(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    """What an input's rule needs is saved for it also where no other input wants a gradient."""
    together = subject.gradients(subject.arrays, weights)
    for k, expected in enumerate(together if len(together) > 1 else []):
        x = Tensor(np.array(subject.arrays[k]), requires_grad=True)
        mixed: list[Any] = [x if k == other else np.array(a) for other, a in enumerate(subject.arrays)]
        leaves = flatten(subject.f(*subject.arguments(mixed)))[0]
        total: Any = 0.0
        for y, w in zip(leaves, weights, strict=True):
            if isinstance(y, Tensor) and y.requires_grad:
                total = total + np.sum(y * w)
        if isinstance(total, Tensor):
            alone = gradients(total, x, allow_unused=True)
            found = np.zeros(x.shape) if alone is None else alone.numpy()
            if not np.allclose(found, expected, rtol=1e-12, atol=64 * EPSILON * size_of(together), equal_nan=True):
                return f"{subject.paths[k]} gets another gradient when no other input asks for one"
    return ""


def float32_is_as_good_as_it_can_be(subject: Subject, weights: Arrays, rng: np.random.Generator) -> str:
    """Within what rounding the inputs to float32 changes, and what float32 arithmetic rounds."""
    narrow = [x.astype(np.float32) for x in subject.arrays]
    wide = [x.astype(np.float64) for x in narrow]
    try:
        outputs, piece = subject.evaluate(*wide)
        coarse = subject.evaluate(*narrow)[0]
    except (AutodiffError, ArithmeticError, ValueError):
        return ""  # a matrix that float32 takes for singular, say
    if not all(np.isfinite(x).all() for x in (*narrow, *coarse)):
        return ""
    pairs = [(a, b) for a, b in zip(coarse, outputs, strict=True) if a.dtype.kind == "f"]
    lost = size_of([a - b for a, b in pairs]) / (size_of([b for _, b in pairs]) or 1.0)
    if lost > CANCELLED:
        return ""  # f itself cancels in float32, by more than the rounding of its inputs tells
    exact = subject.gradients(wide, weights)
    spread = 0.0
    for _ in range(2):
        shaken = [x * (1.0 + 4.0 * SINGLE * rng.uniform(-1.0, 1.0, x.shape)) for x in wide]
        if subject.evaluate(*shaken)[1] != piece:
            return ""  # a kink is so close that float32 may stand on its other side
        near = subject.gradients(shaken, weights)
        spread = max(spread, size_of([a - b for a, b in zip(near, exact, strict=True)]))
    if not (spread <= 1e-2 * size_of(exact) and all(np.isfinite(g).all() for g in exact)):
        return ""  # float32 cannot tell anything here
    for path, g, raw in zip(subject.paths, exact, subject.pull(narrow, weights), strict=True):
        found = np.asarray(plain(raw))
        if found.dtype != np.float32:
            return f"the gradient of {path} is {found.dtype} for a float32 input"
        allowed = 16.0 * spread + 64.0 * lost * size_of(exact) + 1024.0 * SINGLE * (size_of(exact) + size_of(weights))
        if not np.allclose(found, g, rtol=1e-3, atol=allowed, equal_nan=True):
            return f"the float32 gradient of {path} is off by {size_of([found - g]):.1e}, where {allowed:.1e} is due"
    return ""


Property = Callable[[Subject, Arrays, np.random.Generator], str]
ANYONES: tuple[Property, ...] = (
    nothing_is_mutated, no_memory_is_shared, it_is_deterministic, dtype_is_kept, it_is_linear_in_the_cotangent,
)  # fmt: skip
OURS: tuple[Property, ...] = (
    it_accumulates_exactly, forward_mode_is_the_adjoint, each_input_alone_gets_the_same,
    float32_is_as_good_as_it_can_be,
)  # fmt: skip

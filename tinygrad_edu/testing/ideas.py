"""Ideas on what is wrong with a gradient: small corrections that make it right, and slips that would make it so wrong.

Each is a sentence and, for every case, two arrays that are equal if it is true.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from tinygrad_edu.testing.cases import Case, distance, largest

__all__ = ["FAMILIES", "FIT", "Family", "Idea", "exchanged"]

FIT = 1e-6
FEW = 3  # permutations and shifts are tried up to so many dimensions
Idea = tuple[str, Sequence[Any], Sequence[np.ndarray]]  # sentence; what is made of one side; the other side
Family = Callable[[Sequence[Case]], Iterator[Idea]]


def repaired(cases: Sequence[Case], ideas: Callable[[Case], Iterator[tuple[str, Any]]]) -> Iterator[Idea]:
    """Ideas that make the right gradient of the derived one."""
    for group in zip(*[ideas(case) for case in cases], strict=False):
        if len({sentence for sentence, _ in group}) == 1:
            yield group[0][0], [made for _, made in group], [case.numeric for case in cases]


def spoiled(cases: Sequence[Case], ideas: Callable[[Case], Iterator[tuple[str, Any]]]) -> Iterator[Idea]:
    """Ideas that make the derived gradient of the right one."""
    for group in zip(*[ideas(case) for case in cases], strict=False):
        if len({sentence for sentence, _ in group}) == 1:
            made = [np.reshape(value, case.derived.shape) for (_, value), case in zip(group, cases, strict=True)]
            if not any(np.isnan(a).any() for a in made):
                yield group[0][0], [case.derived for case in cases], made


# Families, the most telling first


def nothing(cases: Sequence[Case]) -> Iterator[Idea]:
    derived, right = [case.derived for case in cases], [case.numeric for case in cases]
    zero = [np.zeros(case.derived.shape) for case in cases]
    yield "it is zero: nothing flows back (detached, or a rule that returns nothing)", derived, zero
    yield "the right one is zero: nothing of the output comes from here", zero, right


def exchanged(cases: Sequence[Case]) -> Iterator[Idea]:
    """Something else in the rule's place of an argument: tried by running the rule."""
    for sentence in cases[0].variants:
        if all(sentence in case.variants for case in cases):
            yield sentence, [case.variants[sentence] for case in cases], [case.numeric for case in cases]


def signs(cases: Sequence[Case]) -> Iterator[Idea]:
    return repaired(cases, lambda case: iter([("its sign is flipped", -case.derived)]))


def owners(cases: Sequence[Case]) -> Iterator[Idea]:
    """The gradient of another argument."""
    for j in cases[0].rights:
        other, truth = cases[0].names[j], [case.numeric for case in cases]
        theirs = [case.rights[j] for case in cases]
        swapped = [
            case.gradients[j] if distance(case.derived, right) <= FIT * largest(case.derived) else None
            for case, right in zip(cases, theirs, strict=True)
        ]
        yield f"it is exchanged with the gradient of {other}", swapped, truth
        yield f"it is the gradient of {other}", [case.derived for case in cases], theirs


def orders(cases: Sequence[Case]) -> Iterator[Idea]:
    return repaired(cases, reordered)


def reordered(case: Case) -> Iterator[tuple[str, Any]]:
    """The right numbers in other places."""
    d = case.derived
    if d.ndim == 2:
        yield "it is transposed: the right gradient is its .T (a square argument hides that from a shape check)", d.T
    elif 2 < d.ndim <= FEW + 1:
        for axes in itertools.permutations(range(d.ndim)):
            if axes != tuple(range(d.ndim)):
                yield f"its axes are permuted: the right gradient is its .transpose{axes}", d.transpose(axes)
    for axis in range(min(d.ndim, FEW)):
        yield f"it is reversed along axis {axis}", np.flip(d, axis)
        for shift in range(1, min(d.shape[axis], 9)):
            back = min(shift, shift - d.shape[axis], key=abs)
            yield f"it is shifted by {-back} along axis {axis}", np.roll(d, shift, axis)


def factors(cases: Sequence[Case]) -> Iterator[Idea]:
    known = ~np.isnan(cases[0].numeric)
    d, t = cases[0].derived[known], cases[0].numeric[known]
    size = float(np.sum(t * t))
    if not size or not np.isfinite(d).all():
        return
    factor = float(np.sum(d * t)) / size
    yield factor_words(factor, cases[0]), [case.derived for case in cases], [factor * case.numeric for case in cases]


def factor_words(factor: float, case: Case) -> str:
    """0.25: a fourth, and there are four elements along an axis: a mean for a sum."""
    simple = Fraction(factor).limit_denominator(64)
    if abs(factor - 1.0) < 1e-2:
        return f"off by the factor 1 {'-' if factor < 1.0 else '+'} {abs(factor - 1.0):.3g}"
    if abs(float(simple) - factor) > 1e-8 * abs(factor):
        return f"off by the factor {factor:.6g}"
    shown = f"{float(simple):.6g}" if Fraction(f"{float(simple):.6g}") == simple else str(simple)
    off = f"off by the factor {shown}"
    x = case.derived
    sizes = {x.size: f"the number of elements of {case.name}"}
    if case.output is not None:
        sizes[case.output.size] = "the number of elements of the output"
        sizes.update({n: f"the output's size along axis {axis}" for axis, n in enumerate(case.output.shape)})
    sizes.update({n: f"the size of axis {axis} of {case.name}" for axis, n in enumerate(x.shape)})
    for n, what in sizes.items():
        if n > 2 and simple == Fraction(1, n):
            return f"{off}, which is 1/N for {what}: a mean, where a sum belongs"
        if n > 2 and simple == n:
            return f"{off}, which is {what}: the 1/N of a mean is missing"
    return off


def shares(cases: Sequence[Case]) -> Iterator[Idea]:
    return spoiled(cases, from_the_jacobian)


def from_the_jacobian(case: Case) -> Iterator[tuple[str, Any]]:
    """What comes of the right Jacobian when it is put to use in a wrong way."""
    if case.jacobian is None or not case.jacobian.size:
        return
    j = case.jacobian
    j = np.where(np.abs(j) > 1e-9 * largest(j[~np.isnan(j)]), j, np.where(np.isnan(j), j, 0.0))
    w = np.concatenate([np.ravel(each) for each in case.weights])
    parts = w[:, None] * j
    there = j != 0
    last = len(w) - 1 - np.argmax(there[::-1], axis=0)
    columns = np.arange(j.shape[1])
    added = "where they must be added up"
    upside_down = np.where(there, w[:, None] / j, 0.0)
    if j.shape[0] == j.shape[1]:
        yield "the local derivative is missing: the cotangent is passed on as it came", w
    yield f"of several shares only the last is kept: they overwrite each other, {added}", parts[last, columns]
    yield f"of several shares only the first is kept, {added}", parts[np.argmax(there, axis=0), columns]
    yield f"several shares are averaged, {added}", parts.sum(0) / np.maximum(there.sum(0), 1)
    yield "the cotangent g is ignored, as if it were ones", j.sum(0)
    yield "the cotangent g is squared", (w[:, None] * parts).sum(0)
    yield "the local derivative is applied twice", (parts * j).sum(0)
    yield "the local derivative stands upside down: g / f' for g f'", upside_down.sum(0)
    if j.shape[0] == j.shape[1]:
        yield "the Jacobian is not transposed: a factor in the rule lacks its .T", j @ w
        yield "how one element acts on the others is missing: only the Jacobian's diagonal is there", w * np.diag(j)


def powers(cases: Sequence[Case]) -> Iterator[Idea]:
    return spoiled(cases, curved)


def curved(case: Case) -> Iterator[tuple[str, Any]]:
    yield "its sign is lost: it is the absolute value of the right one", np.abs(case.numeric)
    yield "it is the square of the right one", case.numeric**2
    yield "it is the square root of the right one", np.sqrt(case.numeric)
    yield "it is cut off at 0: the negative part of the right one is lost", np.maximum(case.numeric, 0.0)


def sums(cases: Sequence[Case]) -> Iterator[Idea]:
    yield from repaired(cases, terms)
    yield from spoiled(cases, smeared)


def terms(case: Case) -> Iterator[tuple[str, Any]]:
    """What a normalisation takes off: the mean, the part along its output."""
    d, z = case.derived, case.output
    for axis in [*range(min(d.ndim, FEW)), None]:
        over = "over all elements" if axis is None else f"along axis {axis}"
        mean = d.mean(axis, keepdims=True)
        yield f"the subtraction of its mean {over} is missing", d - mean
        yield f"it is not summed {over}", np.broadcast_to(d.sum(axis, keepdims=True), d.shape)
        if z is not None and z.shape == d.shape:
            yield f"the term -z·Σ(g z) {over} is missing, as of a softmax", d - z * d.sum(axis, keepdims=True)
            along = z * (d * z).mean(axis, keepdims=True)
            yield f"the term -z·mean(g z) {over} is missing, as of a normalisation", d - along
            yield f"the terms -mean(g) - z·mean(g z) {over} are missing, as of a normalisation", d - mean - along


def smeared(case: Case) -> Iterator[tuple[str, Any]]:
    t = case.numeric
    for axis in [*range(min(t.ndim, FEW)), None]:
        over = "over all elements" if axis is None else f"along axis {axis}"
        if t.size and (t.size if axis is None else t.shape[axis]) > 1:
            yield f"it is summed {over}, which it should not be", np.broadcast_to(t.sum(axis, keepdims=True), t.shape)
            yield f"it is averaged {over}, which it should not be", np.broadcast_to(
                t.mean(axis, keepdims=True), t.shape
            )


def products(cases: Sequence[Case]) -> Iterator[Idea]:
    return repaired(cases, multiplied)


def multiplied(case: Case) -> Iterator[tuple[str, Any]]:
    """A factor that was forgotten, or is there once too often."""
    d = case.derived
    known = [*zip(case.names, case.inputs, strict=True)]
    if case.output is not None:
        z = case.output
        known += [("the output z", z), ("1 - z", 1 - z), ("1 - z²", 1 - z * z), ("z (1 - z)", z * (1 - z))]
        if case.jacobian is None:  # else `shares` tells it better
            known.append(("the cotangent g", case.cotangent))
    for name, factor in known:
        if factor.ndim <= d.ndim and all(m in (1, n) for m, n in zip(factor.shape[::-1], d.shape[::-1], strict=False)):
            yield f"the factor {name} is missing", d * factor
            yield f"the factor {name} is there once too often", d / factor


def additions(cases: Sequence[Case]) -> Iterator[Idea]:
    """The same constant, or the same multiple of something known, on top of the right gradient."""
    off = [case.derived - case.numeric for case in cases]
    known = ~np.isnan(off[0])
    first = off[0][known]

    def multiple(what: str, bases: Sequence[np.ndarray | None]) -> Iterator[Idea]:
        if any(base is None or base.shape != case.derived.shape for base, case in zip(bases, cases, strict=True)):
            return
        base: Any = bases[0]
        size = float(np.sum(base[known] ** 2))
        factor = float(np.sum(base[known] * first)) / size if size else 0.0
        if factor:
            made = [case.derived - factor * b for case, b in zip(cases, bases, strict=True)]  # type: ignore[operator]
            yield f"{factor:.6g}{what} is added to it", made, [case.numeric for case in cases]

    yield from multiple("", [np.ones(case.derived.shape) for case in cases])
    yield from multiple(f" times {cases[0].name}", [case.inputs[case.k] for case in cases])
    yield from multiple(" times the cotangent g", [case.cotangent for case in cases])


def precision(cases: Sequence[Case]) -> Iterator[Idea]:
    """Rounded: the only idea that fits the right gradient no better than the wrong one does."""
    if all(np.array_equal(case.derived, case.derived.astype(np.float32)) for case in cases):
        if all(distance(c.derived, c.numeric) <= 4e-7 * largest(c.derived) for c in cases):
            yield "it is rounded to float32", [c.numeric for c in cases], [c.numeric for c in cases]


def places(cases: Sequence[Case]) -> Iterator[Idea]:
    """Wrong here and there only: which elements, and what is wrong with those."""
    case = cases[0]
    wrong = [
        np.abs(c.derived - c.numeric) > FIT * largest(c.numeric[~np.isnan(c.numeric)]) for c in cases
    ]
    unknown = any(np.isnan(c.numeric).any() for c in cases)
    if unknown or not wrong[0].any() or wrong[0].all():
        return
    where = ""
    for name, value in [(case.name, "inputs"), ("g", "weights")]:
        signed = [c.inputs[c.k] if value == "inputs" else c.cotangent for c in cases]
        for word, test in (("<", np.less), (">", np.greater)):
            if all(s.shape == w.shape and np.array_equal(w, test(s, 0)) for s, w in zip(signed, wrong, strict=True)):
                where = where or f"where {name} {word} 0"
    if not where and all(np.array_equal(wrong[0], each) for each in wrong):
        where = named_places(wrong[0])
    if not where:
        return
    others = [np.where(w, c.derived, 0.0) for w, c in zip(wrong, cases, strict=True)]
    rights = [np.where(w, c.numeric, 0.0) for w, c in zip(wrong, cases, strict=True)]
    factor = float(np.sum(others[0] * rights[0]) / np.sum(rights[0] ** 2)) if rights[0].any() else np.nan
    mended = [np.where(w, c.numeric, c.derived) for w, c in zip(wrong, cases, strict=True)]
    truth = [c.numeric for c in cases]
    yield f"it is zero {where}, and should not be; the rest is right", [
        None if other.any() else m for other, m in zip(others, mended, strict=True)
    ], truth
    yield f"it is off by the factor {factor:.6g} {where}; the rest is right", [
        m if np.allclose(other, factor * right, rtol=FIT, atol=0.0) else None
        for other, right, m in zip(others, rights, mended, strict=True)
    ], truth
    yield f"it is wrong {where}; the rest is right", mended, truth


def named_places(wrong: np.ndarray) -> str:
    """In words, for a set of elements: one, a slice, the diagonal, a triangle; "" for any other set."""
    for mask, word in ((wrong, "at"), (~wrong, "everywhere but at")):
        if mask.sum() == 1:
            return f"{word} {[int(k) for k in np.argwhere(mask)[0]]}"
    for axis, size in enumerate(wrong.shape):
        inside = [bool(part.all()) for part in np.moveaxis(wrong, axis, 0)]
        if sum(inside) * (wrong.size // size) == wrong.sum():
            chosen = [k for k in range(size) if inside[k]]
            return f"at {', '.join(map(str, chosen))} along axis {axis}"
    if wrong.ndim == 2:
        for name, mask in (
            ("on the diagonal", np.eye(*wrong.shape) != 0),
            ("off the diagonal", np.eye(*wrong.shape) == 0),
            ("above the diagonal", np.triu(np.ones(wrong.shape, bool), 1)),
            ("below the diagonal", np.tril(np.ones(wrong.shape, bool), -1)),
        ):
            if np.array_equal(mask, wrong):
                return name
    return ""


def disorder(cases: Sequence[Case]) -> Iterator[Idea]:
    if all(c.derived.size > 2 and len(np.unique(c.derived)) > 2 and not np.isnan(c.numeric).any() for c in cases):
        yield "the numbers are right, but in the wrong places", [np.sort(c.derived, axis=None) for c in cases], [
            np.sort(c.numeric, axis=None) for c in cases
        ]


FAMILIES: tuple[Family, ...] = (
    nothing, signs, factors, owners, orders, sums, products, shares, powers, additions, precision, places, disorder,
)  # fmt: skip

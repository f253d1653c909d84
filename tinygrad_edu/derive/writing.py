"""An expression as LaTeX, and as text for a terminal, from one walk.

Powers, quotients and functions apply to each element; ⊙ multiplies element by element, with broadcasting, and what
stands side by side is a matrix product. rowsum and rowmean run over the last axis, Σ_N over the axis of size N.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tinygrad_edu.derive import algebra as al
from tinygrad_edu.derive.expressions import Expr, number, size_of
from tinygrad_edu.derive.names import name_in_latex, name_in_text, number_in_latex, number_in_text
from tinygrad_edu.derive.numbers import Letters, quotient

__all__ = ["Writer"]

SUM, HADAMARD, PRODUCT, POWER, ATOM = range(5)  # what binds more tightly comes later
SUPERSCRIPTS = {2.0: "²", 3.0: "³"}


class Written(NamedTuple):
    text: str
    binds: int


class Writer:
    """Writes expressions; latex or text. letters: what the sizes are called."""

    def __init__(self, latex: bool, letters: Letters | None = None) -> None:
        self.latex, self.letters = latex, letters or Letters()
        self.explicit = False  # write every axis of size 1 that comes or goes

    def __call__(self, expr: Expr) -> str:
        return self.write(expr).text

    def name(self, name: str) -> str:
        return name_in_latex(name) if self.latex else name_in_text(name)

    def write(self, x: Expr) -> Written:
        method = getattr(self, f"write_{x.op}", None)
        if x.op in ELEMENTWISE and not self.explicit and al.long_axes(visible(x)) != al.long_axes(x.shape):
            self.explicit = True
            try:
                return self.write(x)
            finally:
                self.explicit = False
        return self.function(x.op, *x.args) if method is None else method(x)

    def within(self, x: Expr, binds: int) -> str:
        """x, in parentheses if it binds less tightly than its place asks for."""
        text, own = self.write(x)
        return text if own >= binds else self.parentheses(text)

    def parentheses(self, text: str) -> str:
        return rf"\left({text}\right)" if self.latex and (r"\frac" in text or r"\sum" in text) else f"({text})"

    def function(self, name: str, *args: Expr) -> Written:
        return self.applied(name, ", ".join(self(arg) for arg in args))

    def applied(self, name: str, text: str, index: str = "") -> Written:
        if self.latex:
            known = {"exp": r"\exp", "log": r"\log", "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "sinh": r"\sinh",
                     "cosh": r"\cosh", "tanh": r"\tanh", "max": r"\max", "min": r"\min", "σ": r"\sigma",
                     "Φ": r"\Phi", "φ": r"\varphi"}  # fmt: skip
            word = known.get(name, r"\operatorname{" + name.replace("_", r"\_") + "}")
            return Written(f"{word}{index}{self.parentheses(text)}", ATOM)
        return Written(f"{name}{index}{self.parentheses(text)}", ATOM)

    # Leaves

    def write_symbol(self, x: Expr) -> Written:
        return Written(self.name(x.data), ATOM)

    def write_array(self, x: Expr) -> Written:
        return Written(self.name(x.data.name or "C"), ATOM)

    def write_number(self, x: Expr) -> Written:
        return self.product(x.data, [], [])

    def digits(self, text: str) -> str:
        return number_in_latex(text) if self.latex else number_in_text(text)

    # Sums and products

    def write_add(self, x: Expr) -> Written:
        parts = sorted(x.args, key=lambda term: al.coefficient(term)[0] < 0)  # what is taken away comes last
        text = ""
        for k, term in enumerate(parts):
            value, core = al.coefficient(term)
            if value < 0:
                sign = "-" if self.latex else "−"
                text += (f"{sign}" if not k else f" {sign} ") + self.within(al.mul(number(-value), core), HADAMARD)
            else:
                text += (" + " if k else "") + self.within(term, HADAMARD)
        return Written(text, SUM)

    def write_mul(self, x: Expr) -> Written:
        value, found = al.factors(x)
        above = [al.product(1.0, [(base, exponent)]) for base, exponent in found if exponent > 0]
        below = [al.product(1.0, [(base, -exponent)]) for base, exponent in found if exponent < 0]
        return self.product(value, above, below)

    def write_power(self, x: Expr) -> Written:
        base, exponent = x.args[0], x.data
        if exponent < 0:
            return self.product(1.0, [], [al.product(1.0, [(base, -exponent)])])
        if exponent == 0.5:
            text = self(base)
            return Written(rf"\sqrt{{{text}}}" if self.latex else f"√({text})" if len(text) > 1 else f"√{text}", ATOM)
        raised = f"{exponent:g}"
        inside = self.within(base, ATOM)
        if self.latex:
            return Written(f"{inside}^{{{raised}}}", POWER)
        return Written(inside + SUPERSCRIPTS.get(exponent, f"^{raised}"), POWER)

    def product(self, value: float, above: list[Expr], below: list[Expr]) -> Written:
        """value · above / below."""
        sign = "" if value >= 0 else "-" if self.latex else "−"
        value, means = self.means(abs(value), above)
        top, bottom = quotient(value, self.letters) if value != 1.0 else ("1", "")
        over = [] if top == "1" else [Written(self.digits(top), ATOM)]
        under = [Written(self.digits(bottom), ATOM)] if bottom else []
        over += [self.mean(x) if x in means else self.write(x) for x in order(above)]
        under += [self.write(x) for x in order(below)]
        scalars = len([x for x in above if not x.ndim]) + (top != "1")
        numerator = self.juxtaposed(over, scalars, alone=not under)
        if not under:
            return Written(sign + numerator.text, SUM if sign else numerator.binds)
        few = len([x for x in below if not x.ndim]) + bool(bottom)
        denominator = self.juxtaposed(under, few, alone=False)
        if self.latex:
            return Written(rf"{sign}\frac{{{numerator.text}}}{{{denominator.text}}}", SUM if sign else PRODUCT)
        up = numerator.text if numerator.binds >= HADAMARD else self.parentheses(numerator.text)
        down = denominator.text if denominator.binds >= POWER else self.parentheses(denominator.text)
        return Written(f"{sign}{up}/{down}", SUM if sign else HADAMARD)

    def juxtaposed(self, parts: list[Written], scalars: int, alone: bool) -> Written:
        """Numbers first, side by side; arrays joined by ⊙."""
        if not parts:
            return Written("1", ATOM)
        if len(parts) == 1:
            return parts[0]
        texts = [part.text if part.binds > PRODUCT else self.parentheses(part.text) for part in parts]
        join = r" \odot " if self.latex else " ⊙ "
        arrays = join.join(texts[scalars:])
        front = (r"\," if self.latex else " ").join(texts[:scalars])
        if not front or not arrays:
            return Written(front or arrays, PRODUCT if front else HADAMARD)
        binds = HADAMARD if scalars + 1 < len(texts) else PRODUCT
        return Written(front + (r"\," if self.latex else " ") + arrays, binds)

    def means(self, value: float, above: list[Expr]) -> tuple[float, list[Expr]]:
        """A sum over n elements with 1/n in front is a mean: the number that is left, and the sums meant."""
        for x in above:
            if x.op == "sum" or (x.op == "reshape" and x.args[0].op == "sum"):
                whole = x if x.op == "sum" else x.args[0]
                count = size_of(whole.args[0].shape[k] for k in whole.data)
                left = value * count
                if abs(left - round(left)) < 1e-9 and round(left) and value < 1:
                    return float(round(left)), [x]
        return value, []

    # Reductions and products

    def mean(self, x: Expr) -> Written:
        return self.reduction(x if x.op == "sum" else x.args[0], "mean")

    def write_sum(self, x: Expr) -> Written:
        return self.reduction(x, "sum")

    def reduction(self, x: Expr, kind: str) -> Written:
        inner, axes = x.args[0], x.data
        long = [k for k, n in enumerate(inner.shape) if n != 1]
        if axes == (inner.ndim - 1,) and long != list(axes):
            return self.applied(f"row{kind}", self(inner))
        if set(axes) >= set(long):
            if kind == "mean":
                return self.applied("mean", self(inner))
            text = self.within(inner, HADAMARD)
            return Written(rf"\sum {text}" if self.latex else f"Σ {text}", HADAMARD)
        names = [self.letters.of(inner.shape[k]) for k in axes]
        if kind == "sum" and inner.ndim == 2 and axes == (0,) and None in names:
            text = self.within(inner, PRODUCT)
            return Written(rf"\mathbf{{1}}^\top {text}" if self.latex else f"1ᵀ {text}", PRODUCT)
        index = ",".join(f"axis {k}" if name is None else "".join(name) for k, name in zip(axes, names, strict=True))
        if kind == "mean":
            return self.applied("mean", self(inner), f"_{{{index}}}" if self.latex else f"_{index}")
        text = self.within(inner, HADAMARD)
        index = index if not self.latex or None not in names else rf"\text{{{index}}}"
        return Written(rf"\sum_{{{index}}} {text}" if self.latex else f"Σ_{index} {text}", HADAMARD)

    def write_max(self, x: Expr) -> Written:
        return self.extreme(x)

    def write_min(self, x: Expr) -> Written:
        return self.extreme(x)

    def extreme(self, x: Expr) -> Written:
        if x.data == (x.args[0].ndim - 1,) and x.args[0].ndim > 1:
            return self.applied(f"row{x.op}", self(x.args[0]))
        if len(x.data) == x.args[0].ndim:
            return self.function(x.op, *x.args)
        index = ",".join(self.letters.dimension(x.args[0].shape[k]) for k in x.data)
        return self.applied(x.op, self(x.args[0]), f"_{{{index}}}" if self.latex else f"_{index}")

    def write_matmul(self, x: Expr) -> Written:
        left, right = (self.within(arg, PRODUCT) for arg in x.args)
        return Written(f"{left} {right}", PRODUCT)

    def write_softmax(self, x: Expr) -> Written:
        last = x.data % max(x.ndim, 1) == x.ndim - 1
        index = "" if last else f"_{{{x.data}}}" if self.latex else f"_{x.data}"
        return self.applied("softmax", self(x.args[0]), index)

    # Shapes

    def write_broadcast(self, x: Expr) -> Written:
        inner = x.args[0]
        one = r"\mathbf{1}" if self.latex else "𝟏"
        if is_one(inner):
            return Written(one, ATOM)
        if inner.op == "number" and inner.data in (0.0,):
            return Written(r"\mathbf{0}" if self.latex else "0", ATOM)
        text = self.within(inner, PRODUCT if inner.ndim == 0 else POWER)
        if inner.ndim == 0:
            return Written(rf"{text}\,{one}" if self.latex else f"{text} {one}", PRODUCT)
        return Written(rf"{one} \odot {text}" if self.latex else f"{one} ⊙ {text}", HADAMARD)

    def write_transpose(self, x: Expr) -> Written:
        inner = x.args[0]
        if x.data == al.turned(x.ndim) or (x.ndim == 1):
            text = self.within(inner, ATOM)
            return Written(rf"{text}^\top" if self.latex else f"{text}ᵀ", POWER)
        if splits_heads(inner) and x.data[:2] == (0, 2):
            whole = self.applied("heads", self(inner.args[0]))
            if x.data == (0, 2, 1, 3):
                return whole
            return Written(rf"{whole.text}^\top" if self.latex else f"{whole.text}ᵀ", POWER)
        order = ",".join(map(str, x.data))
        return self.applied("permute", self(inner), f"_{{{order}}}" if self.latex else f"_{order}")

    def write_reshape(self, x: Expr) -> Written:
        inner = x.args[0]
        leading = x.ndim >= inner.ndim and x.shape == (*(1,) * (x.ndim - inner.ndim), *inner.shape)
        if leading or (al.squeezed(x) and not self.explicit):
            return self.write(inner)
        if x.shape == (*inner.shape, 1):
            return self.applied("column", self(inner))
        if joins_heads(x):
            return self.applied("concat", self(inner.args[0]))
        if x.ndim == 2 and inner.shape[-1] == x.shape[-1]:
            return self.applied("flat", self(inner))
        if x.ndim == 1:
            return self.applied("vec", self(inner))
        sizes = (r" \times " if self.latex else "×").join(self.letters.dimension(n) for n in x.shape)
        return self.applied("reshape", self(inner), f"_{{{sizes}}}" if self.latex else f"_{sizes}")

    # Conditions

    def write_compare(self, x: Expr) -> Written:
        signs = {"≥": r"\ge", "≤": r"\le", "≠": r"\ne"}
        left, right = map(self, x.args)
        if self.latex:
            return Written(f"[{left} {signs.get(x.data, x.data)} {right}]", ATOM)
        return Written(f"[{left} {x.data} {right}]", ATOM)

    def write_not(self, x: Expr) -> Written:
        inner = self.within(x.args[0], HADAMARD)
        return Written(f"1 - {inner}" if self.latex else f"1 − {inner}", SUM)

    def write_onehot(self, x: Expr) -> Written:
        return self.function("onehot", *x.args)

    def write_where(self, x: Expr) -> Written:
        condition, yes, no = map(self, x.args)
        if self.latex:
            return Written(
                rf"\begin{{cases}} {yes} & \text{{where }} {condition} \\ {no} & \text{{else}} \end{{cases}}", ATOM
            )
        return Written(f"where({condition}, {yes}, {no})", ATOM)

    def write_call(self, x: Expr) -> Written:
        name, index = x.data.name, x.data.index.replace("_", r"\_") if self.latex else x.data.index
        if name == "getitem":
            text = self.within(x.args[0], ATOM)
            return Written(f"{text}_{{[{index}]}}" if self.latex else f"{text}[{index}]", ATOM)
        if name == "scatter":  # into zeros, at the index
            name, index = "put", index.rpartition(", ")[0] if "(" not in index else index.partition(", (")[0]
        if self.latex:
            index = index.replace("…", r"\dots").replace("->", r"\to ")
        index = index and (f"_{{{index}}}" if self.latex else f"[{index}]")
        return self.applied(name, ", ".join(map(self, x.args)), index)


ELEMENTWISE = ("add", "mul", "power", "where", "compare", "call")


def visible(x: Expr) -> tuple[int, ...]:
    """The shape as a reader sees it, to whom an axis of size 1 that comes or goes is not told; () if none fits."""
    if x.op == "reshape" and al.squeezed(x):
        return visible(x.args[0])
    if x.op in ELEMENTWISE and x.args and not (x.op == "call" and x.data.key != x.data.name):
        try:
            return tuple(np.broadcast_shapes(*map(visible, x.args)))
        except ValueError:
            return ()
    return x.shape


def is_one(x: Expr) -> bool:
    return x.op == "number" and x.data == 1.0


def order(parts: list[Expr]) -> list[Expr]:
    """Scalars first."""
    return sorted(parts, key=lambda x: x.ndim > 0)


def splits_heads(x: Expr) -> bool:
    """(B, T, D) as (B, T, H, d)."""
    return x.op == "reshape" and x.ndim == 4 and x.args[0].ndim == 3 and x.shape[:2] == x.args[0].shape[:2]


def joins_heads(x: Expr) -> bool:
    """(B, H, T, d) as (B, T, D)."""
    inner = x.args[0]
    swapped = inner.op == "transpose" and inner.data == (0, 2, 1, 3)
    return swapped and x.shape == (*inner.shape[:2], size_of(inner.shape[2:]))

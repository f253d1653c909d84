"""An expression as LaTeX, and as text for a terminal, from one walk.

Powers, quotients and functions apply to each element; ⊙ multiplies element by element, with broadcasting, and what
stands side by side is a matrix product. rowsum and rowmean run over the last axis, Σ_N over the axis of size N.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tinygrad_edu.formulas import algebra as al
from tinygrad_edu.formulas.appearance import (
    ELEMENTWISE,
    is_one,
    joins_heads,
    new_axes,
    order,
    plain_to_see,
    scaled,
    splits_heads,
)
from tinygrad_edu.formulas.expressions import Expr, number, size_of
from tinygrad_edu.formulas.names import name_in_latex, name_in_text, number_in_latex, number_in_text
from tinygrad_edu.formulas.numbers import Letters, length, quotient

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
        if x.op in (*ELEMENTWISE, "broadcast") and not self.explicit and not plain_to_see(x):
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

    def figure(self, text: str) -> Written:
        several = " " in re.sub(r"\([^()]*\)", "", text)
        return Written(self.digits(text), PRODUCT if several else ATOM)

    # Sums and products

    def write_add(self, x: Expr) -> Written:
        unit = self.unit_of(x)
        if unit != 1.0:
            return self.product(unit, [scaled(x, 1 / unit)], [])
        parts = sorted(x.args, key=lambda term: al.coefficient(term)[0] < 0)  # what is taken away comes last
        text = ""
        for term in parts:
            k = len(text)
            value, core = al.coefficient(term)
            if value < 0:
                sign = "-" if self.latex else "−"
                text += (f"{sign}" if not k else f" {sign} ") + self.within(al.mul(number(-value), core), HADAMARD)
            else:
                text += (" + " if k else "") + self.within(term, HADAMARD)
        return Written(text, SUM)

    def split(self, x: Expr) -> tuple[float, tuple[tuple[Expr, float], ...]]:
        """A number and factors; (a/2 + b/2) ⊙ c is (a + b) ⊙ c/2."""
        value, found = al.factors(x)
        parts = []
        for base, exponent in found:
            unit = self.unit_of(base) if base.op == "add" and exponent == 1.0 else 1.0
            value *= unit
            parts.append((scaled(base, 1 / unit) if unit != 1.0 else base, exponent))
        return value, tuple(parts)

    def unit_of(self, x: Expr) -> float:
        """What to take out of a sum, with the units of its parts taken out already."""
        values = []
        for term in x.args:
            value, found = self.split(term) if term.op == "mul" else (al.coefficient(term)[0], ())
            values.append(self.means(abs(value), *[base for base, exponent in found if exponent > 0])[0])
        return self.unit(values)

    def unit(self, values: list[float]) -> float:
        """The number that, taken out of a sum, leaves the shortest numbers: 1/N, of what was averaged."""

        def digits(unit: float) -> int:
            return sum(length(value / unit, self.letters) for value in values if abs(value / unit - 1) > 1e-12)

        costs = {unit: digits(unit) + 6 for unit in values}
        costs |= {1 / size: digits(1 / size) for size, _ in self.letters.words()}
        best = min(costs, key=lambda unit: costs[unit])
        return best if costs[best] + 3 < costs[1.0] else 1.0

    def write_mul(self, x: Expr) -> Written:
        value, found = self.split(x)
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
        value, means = self.means(abs(value), *above)
        top, bottom = quotient(value, self.letters) if value != 1.0 else ("1", "")
        over = [] if top == "1" else [self.figure(top)]
        under = [self.figure(bottom)] if bottom else []
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

    def means(self, value: float, *above: Expr) -> tuple[float, list[Expr]]:
        """A sum over n elements with 1/n in front is a mean: the number that is left, and the sums meant."""
        for x in [part for one in above for part in (one.args if one.op == "mul" else (one,))]:
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
        if None in names and axes == tuple(range(inner.ndim - 1)):
            index = "rows"
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
        names = [self.letters.of(x.args[0].shape[k]) for k in x.data]
        index = ",".join(f"axis {k}" if name is None else "".join(name) for k, name in zip(x.data, names, strict=True))
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
        if leading or not x.ndim or (al.squeezed(x) and not self.explicit):
            return self.write(inner)
        if al.squeezed(x) and x.ndim > inner.ndim:
            return Written(self.within(inner, ATOM) + self.below(f"[{new_axes(inner.shape, x.shape)}]"), ATOM)
        if joins_heads(x):
            return self.applied("concat", self(inner.args[0]))
        if x.ndim == 2 and inner.shape[-1] == x.shape[-1]:
            return self.applied("flat", self(inner))
        if x.ndim == 2 and inner.op == "transpose" and inner.ndim == 4:  # concat, then flat
            whole = Expr("reshape", (inner,), None, (*inner.shape[:2], size_of(inner.shape[2:])))
            if joins_heads(whole) and whole.shape[-1] == x.shape[-1]:
                return self.applied("flat", self(whole))
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
        name, index = x.data.name, x.data.index
        if name == "getitem":
            return Written(self.within(x.args[0], ATOM) + self.below(f"[{x.data.index}]"), ATOM)
        if name == "concatenate" and len(x.args) > 1 and index == str(x.ndim - 1):
            bar = r" \mid " if self.latex else " | "
            return Written(f"[{bar.join(map(self, x.args))}]", ATOM)
        name = "put" if name == "scatter" else name  # into zeros, at the index
        return self.applied(name, ", ".join(map(self, x.args)), index and self.below(f"[{index}]"))

    def below(self, text: str) -> str:
        """An index or an option, written below in LaTeX."""
        return rf"_{{\text{{{text}}}}}".replace("_", r"\_").replace(r"\_", "_", 1) if self.latex else text

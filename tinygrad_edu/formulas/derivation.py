"""`derive`: from a function to its forward and backward pass, as formulas."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_edu.formulas.expressions import Expr, evaluate
from tinygrad_edu.formulas.inputs import FIRST, SECOND, Inputs, draw_inputs, is_shape
from tinygrad_edu.formulas.lines import Line, Lines
from tinygrad_edu.formulas.names import COTANGENT, name_in_latex, name_in_text
from tinygrad_edu.formulas.numbers import Letters
from tinygrad_edu.formulas.tracing import trace
from tinygrad_edu.formulas.writing import Writer
from tinygrad_edu.graph import definitions

__all__ = ["Derivation", "derive"]


@dataclass(frozen=True)
class Derivation:
    """The forward and the backward pass of a function, line by line.

    output     the name of the result; its cotangent is given, and is 1 for a scalar
    inputs     the arrays that it was derived with, and the constants that were met; rest: what f was given besides
    gradients  argument → the expression of its gradient
    """

    forward: tuple[Line, ...]
    backward: tuple[Line, ...]
    output: str
    inputs: Mapping[str, np.ndarray]
    rest: Mapping[str, Any]
    letters: Letters

    @property
    def gradients(self) -> dict[str, Expr]:
        wanted = {line.name[1:]: line.expression for line in self.backward}
        return {name: wanted[name] for name in self.inputs if name in wanted}

    def latex_of(self, name: str) -> str:
        """One formula, `\\bar{W} = X^\\top \\bar{Y}`: of an intermediate result, or of a cotangent (∂W)."""
        return self.written(True)[name]

    def text_of(self, name: str) -> str:
        """One formula for a terminal: `dW = Xᵀ dY`."""
        return self.written(False)[name]

    def written(self, latex: bool) -> dict[str, str]:
        write, name = Writer(latex, self.letters), name_in_latex if latex else name_in_text
        return {
            line.name: f"{name(line.name)} = {write(line.expression)}" for line in (*self.forward, *self.backward)
        }

    @property
    def latex(self) -> str:
        """Both passes as one aligned block, ready for a page."""
        found = self.written(True)
        rows = [r"\text{forward} & \quad " + self.row(found[line.name]) for line in self.forward[:1]]
        rows += [r"& \quad " + self.row(found[line.name]) for line in self.forward[1:]]
        rows += [r"\text{backward} & \quad " + self.row(found[line.name]) for line in self.backward[:1]]
        rows += [r"& \quad " + self.row(found[line.name]) for line in self.backward[1:]]
        return "\\begin{aligned}\n" + " \\\\[3pt]\n".join(rows) + "\n\\end{aligned}"

    @staticmethod
    def row(formula: str) -> str:
        left, _, right = formula.partition(" = ")
        return rf"{left} = {right}"

    @property
    def text(self) -> str:
        found = self.written(False)
        rows = [("forward" if not k else "", found[line.name]) for k, line in enumerate(self.forward)]
        rows += [("backward" if not k else "", found[line.name]) for k, line in enumerate(self.backward)]
        return "\n".join(f"{head:<9} {row}" for head, row in rows)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex}\n$$"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/latex": self._repr_latex_(), "text/plain": self.text}

    def evaluate(self, cotangent: Any = None, **arrays: Any) -> dict[str, np.ndarray]:
        """Every line, computed: name → array. arrays: in the place of the examples, of the same shapes.

        cotangent: of the output; 1 if there is none. Raises TypeError for a name that is no argument.
        """
        for name in arrays:
            if name not in self.inputs:
                raise TypeError(f"{name} is no argument of the function; it has {', '.join(self.inputs)}")
        known: dict[str, Any] = {**self.inputs, **arrays}
        for line in self.forward:
            known[line.name] = evaluate(line.expression, known)
        shape = np.shape(known[self.output])
        g = np.ones(shape) if cotangent is None else np.asarray(cotangent)
        known[COTANGENT + self.output] = g
        for line in self.backward:
            known[line.name] = evaluate(line.expression, known)
        found = {line.name: np.asarray(known[line.name]) for line in self.forward}
        scale = 1.0 if shape else g  # the formulas of a scalar are written for 1, and what they say is linear
        return found | {line.name: np.asarray(known[line.name] * scale) for line in self.backward}


def derive(
    f: Callable[..., Any],
    wrt: str | tuple[str, ...] | None = None,
    sizes: Mapping[str, int] | None = None,
    output: str | None = None,
    kernels: bool = False,
    **inputs: Any,
) -> Derivation:
    """The forward and the backward pass of f as formulas, by running f on Tensors and its rules on symbols.

        derive(lambda X, W, b: X @ W + b, X="N D", W="D E", b="E")

    inputs: one for each argument of f, by name: its shape in letters ("N D"; integers below V: "N < V", positive
    numbers "N > 0", truth values "N D bool"; "" for a scalar), a shape of numbers, an example array, or anything else,
    which f is given as it is. wrt: the arguments to differentiate by; if None, all float arrays, and a module's
    parameters. sizes: those of some letters, where f needs them ({"D": 8, "H": 2}). output: the name of the result; L
    for a scalar, else Y. kernels: read the rules of the kernels that stand for softmax, the norms, GELU, ... instead of
    their definitions.

    X̄ (dX in text) is the cotangent ∂L/∂X of whatever loss L comes after. Powers, quotients and functions apply element
    by element, ⊙ multiplies so; formulas hold for finite numbers. Every line was computed on the example, and is the
    engine's value there; an operation without a symbolic form appears as a function of its name.
    Raises NotTrackedError if f returns no Tensor that depends on `wrt`, UnsupportedError where a rule has to look at
    numbers one by one.
    """
    known = list(inspect.signature(f).parameters)
    unknown = [name for name in inputs if name not in known]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(f).parameters.values()):
        raise TypeError(f"derive: the function has no argument {unknown[0]!r}; it has {', '.join(known)}")
    run = f if kernels else defined(f)
    first = derived(run, wrt, draw_inputs(inputs, sizes or {}, FIRST, 0), output)
    if not any(map(is_shape, inputs.values())):
        return first
    # A size might be a number of the formula by chance. With other sizes, it is another number.
    second = derived(run, wrt, draw_inputs(inputs, sizes or {}, SECOND, 1), output)
    if first.text == second.text:
        return first
    return replace(first, letters=Letters({}, first.letters.scalars))


def defined(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, with the forward code that defines an operation in the place of its kernel."""

    def run(**given: Any) -> Any:
        with definitions():
            return f(**given)

    return run


def derived(f: Callable[..., Any], wrt: str | tuple[str, ...] | None, inputs: Inputs, output: str | None) -> Derivation:
    wanted = inputs.floats if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
    for name in wanted:
        if name not in inputs.floats:
            raise TypeError(f"derive: wrt={name!r} is no array of floats, as {', '.join(inputs.floats) or 'none'} is")
    traced = trace(f, inputs.arrays, wanted, {**inputs.rest})
    for name, one in traced.arrays.items():  # a module's parameters, met on the way
        if name not in inputs.arrays:
            inputs.arrays[name] = np.asarray(one.value)
            wanted += [] if wrt is not None else [name]
    lines = Lines(traced, inputs)
    forward = lines.go_forward(output)
    forward, backward = lines.shorten(forward, lines.go_backward(wanted))
    constants = {expr.data.name: expr.data.value for expr in lines.constants.values()}
    arrays = {**inputs.arrays, **constants}
    found = Derivation(tuple(forward), tuple(backward), lines.output, arrays, inputs.rest, inputs.letters)
    lines.check([*forward, *backward], found.evaluate(lines.trace.seed.value))
    return found

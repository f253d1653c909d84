"""python -m tinygrad_edu.testing module:function: check a gradient from the command line."""

from __future__ import annotations

import argparse
import importlib
import inspect
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu.operation import Primitive
from tinygrad_edu.primitive import ABOVE_ONE, NONZERO, POSITIVE, REAL, UNIT, registry
from tinygrad_edu.testing.check import gradcheck
from tinygrad_edu.testing.decimals import from_seed
from tinygrad_edu.testing.pullbacks import by_hand
from tinygrad_edu.testing.report import GradReport

__all__ = ["main"]

DOMAINS = {"real": REAL, "nonzero": NONZERO, "positive": POSITIVE, "unit": UNIT, "above_one": ABOVE_ONE}
EXAMPLE = """\
examples:
  python -m tinygrad_edu.testing mymodule:softplus
  python -m tinygrad_edu.testing mymodule:layer --shape 4,3 --shape 3,2 --order 2
  python -m tinygrad_edu.testing mymodule:entropy --shape 5 --domain positive --html report.html
  python -m tinygrad_edu.testing mymodule:layer --backward mymodule:layer_backward

The function is written with NumPy functions, for this engine; or, with --backward, for plain arrays: then
backward(cotangent, *inputs) returns one gradient for each input.
The exit code is 0 if no gradient is wrong, 1 if one is, 2 if the call makes no sense or the function raises, 3 if
nothing could be told."""
LARGEST = 10**8  # elements of a drawn array


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tinygrad_edu.testing", description="Check the gradient of a function against differences.",
        epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument("function", help="module:function")
    made.add_argument("--shape", action="append", type=shape_of, help="of each argument in turn: 4,3 or ()")
    made.add_argument("--domain", action="append", choices=sorted(DOMAINS), help="of each argument in turn")
    made.add_argument("--backward", help="module:function, a backward pass written by hand")
    made.add_argument("--order", type=int, choices=(1, 2), default=1, help="2: second derivatives too")
    made.add_argument("--points", type=at_least(1), default=3, help="at how many drawn points (3)")
    made.add_argument("--seed", type=at_least(0), default=0, help="of the first point (0)")
    made.add_argument("--html", type=Path, help="write the last report there")
    return made


def shape_of(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(size) for size in text.strip("()").split(",") if size.strip())
    except ValueError:
        shape = (-1,)
    if min(shape, default=0) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no shape; write 4,3 or () for a number")
    if math.prod(shape) > LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is {math.prod(shape):,} numbers; {LARGEST:,} at most")
    return shape


def at_least(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)

    return whole


def load(name: str) -> Callable[..., Any]:
    """module:function, looked for in the working directory too. Raises ValueError with the reason."""
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise ValueError(f"{name!r} names no function; write module:function")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        if isinstance(error, AttributeError) and module in sys.modules:
            raise ValueError(f"{module} has no {attribute}") from None
        raise ValueError(f"cannot import {module}: {told(error)}") from None
    finally:
        sys.path.pop(0)
    if not callable(found):
        raise ValueError(f"{name} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def told(error: BaseException) -> str:
    """One line on what was raised, and the last line of the user's own that had a part in it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == Path.cwd()]
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def arguments_of(f: Callable[..., Any]) -> int:
    """How many arguments have to be passed."""
    operation = registry().get(f)
    if isinstance(operation, Primitive):
        return len(operation.rules)
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        raise ValueError("the function hides its signature: give a --shape for each argument") from None
    needed = [p for p in parameters if p.default is p.empty]
    names = [p.name for p in needed if p.kind is p.KEYWORD_ONLY]
    if names:
        raise ValueError(f"the function needs the keyword {names[0]}: check one that fills it in")
    count = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in needed)
    if not count:
        raise ValueError("the function needs no arguments: give a --shape for each that is to be differentiated")
    return count


def points(f: Callable[..., Any], options: argparse.Namespace) -> Iterator[list[np.ndarray]]:
    """Drawn inputs. Without shapes: square matrices, or vectors, or numbers, whichever the function takes."""
    count = len(options.shape) if options.shape else arguments_of(f)
    operation = registry().get(f)
    domains = list(operation.domain) if isinstance(operation, Primitive) else [REAL] * count
    for k, name in enumerate((options.domain or [])[:count]):
        domains[k] = DOMAINS[name]

    def drawn(shapes: Sequence[tuple[int, ...]], seed: int) -> list[np.ndarray]:
        return [from_seed(seed * 100 + k, s, d) for k, (s, d) in enumerate(zip(shapes, domains, strict=True))]

    shapes, raised = options.shape, []
    for candidate in ([(3, 3)] * count, [(3,)] * count, [()] * count):
        if shapes:
            break
        try:
            f(*drawn(candidate, options.seed))
            shapes = candidate
        except Exception as error:
            raised.append(told(error))
    if not shapes:
        raise ValueError(
            "the function takes neither square matrices nor vectors nor numbers: give a --shape for each argument; "
            f"of numbers it says {raised[-1]}"
        )
    for seed in range(options.seed, options.seed + options.points):
        yield drawn(shapes, seed)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    reports: list[GradReport] = []
    try:
        f = load(options.function)
        vjp = None if options.backward is None else by_hand(load(options.backward))
        for k, inputs in enumerate(points(f, options)):
            reports.append(gradcheck(f, *inputs, order=options.order, seed=options.seed + k, vjp=vjp))
            print(reports[-1])
            if reports[-1].verdict == "wrong":
                break
        if options.html is not None:
            page = f"<!doctype html><meta charset='utf-8'>{reports[-1]._repr_html_()}"
            options.html.write_text(page, encoding="utf-8")
    except (Exception, SystemExit) as error:  # not 1, which means that a gradient is wrong
        print(told(error), file=sys.stderr)
        return 2
    verdicts = {report.verdict for report in reports}
    return 1 if "wrong" in verdicts else 3 if "unreliable" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())

"""The page that sets gradient checkers side by side, from a run: `python tests/crosscheck/checkers_page.py`.

It takes some minutes, many of them PyTorch's slow mode on 100,000 elements, and writes docs/gradient_checkers.md.
"""

import datetime
import importlib.metadata
import os
import platform
import sys
import warnings
from collections import Counter
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
from checkers import ACCEPTS, CANNOT_TELL, OURS, PEERS, REJECTS, RULED_OUT  # noqa: E402
from planted_gradients import PLANTED, RIGHT  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gradient_checkers.md"
CHECKERS = (*PEERS, *OURS)
DRAWS = 10
SUM = "*sum, without controls*"
VERSIONS = ("numpy", "torch", "jax", "autograd", "tinygrad_edu")

HEADER = """# Gradient checkers, head to head

Does a checker notice an error, and does it leave alone what is right? Each library checks a function of its own
(`torch.autograd.Function`, `jax.custom_vjp`, autograd's `defvjp`, our `@primitive`) that wraps the same NumPy forward
and backward pass, with the steps and tolerances it ships with, in float64 unless the column says otherwise. Ours is
asked twice: about an operation of this engine, and, by its `vjp=` argument, about the other libraries' own functions.

- PyTorch: `torch.autograd.gradcheck`, which compares the whole Jacobian, or with `fast_mode=True` one random
  projection of it. JAX: `jax.test_util.check_grads` in reverse mode, one random direction; float32 is JAX's default.
  autograd: `autograd.test_util.check_grads` in reverse mode, likewise. All three take one step of a fixed length and
  leave it to the user to choose inputs of size 1 away from kinks: the second table asks what happens to those who do
  not. With a step and tolerances chosen by hand for the case, some of its cells can be mended.
- Ours: `tinygrad_edu.testing.gradcheck`; how it chooses steps and tolerances is told on the
  [page about checking gradients](checking_gradients.md). *cannot tell* is its third answer: differences are too coarse
  for a verdict, and `assert_gradients` raises.

The cases were chosen because they are hard: the sums below compare checkers, and say nothing of how often one errs in
everyday use. {draws} draws of the inputs for every cell, the same for everyone; 3 of 10 means that the answer depended
on the draw. Measured on {date} with {versions}; `python tests/crosscheck/checkers_page.py` measures again.
"""


def answers(checker, case, draws=DRAWS):
    """Counter of what the checker said of so many drawn inputs."""
    if case.draw(np.random.default_rng(0)).size > 10_000 and checker.name == "PyTorch":
        draws = 1
    found = Counter()
    for seed in range(draws):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found[checker.ask(case, case.draw(np.random.default_rng(seed)), seed)] += 1
    return found


def cell(found, bad, words):
    """In bold how often the answer was `bad`; `words` are for all and for none of the draws."""
    whole, none = words
    total = found.total()
    if found[RULED_OUT]:
        return RULED_OUT
    parts = []
    if found[bad]:
        parts.append(f"**{whole}**" if found[bad] == total > 1 else f"**{whole}, {found[bad]} of {total}**")
    if found[CANNOT_TELL]:
        parts.append(CANNOT_TELL if found[CANNOT_TELL] == total else f"{CANNOT_TELL}, {found[CANNOT_TELL]} of {total}")
    return "; ".join(parts) or (none if total > 1 else f"{none}, 1 of 1")


def table(cases, results, bad, words):
    """A row for each case, and the sum over those that are neither controls nor right in spite of the plant."""
    heads = ["", *[checker.name for checker in CHECKERS]]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    sums = [Counter() for _ in CHECKERS]
    for case in cases:
        found = [results[checker.name, case.name] for checker in CHECKERS]
        for one, addition in zip(sums, found, strict=True):
            if not (case.hidden or case.control):
                one.update(addition)
        yield f"| {case.name} | {' | '.join(cell(one, bad, words) for one in found)} |"
    shares = [f"{one[bad]} of {one.total() - one[RULED_OUT]}" for one in sums]
    yield f"| {SUM} | {' | '.join(shares)} |"
    yield ""
    yield from (f"- *{case.name}*: {case.note}" for case in cases if case.note)
    yield ""


def page(results, date, versions):
    lines = [HEADER.format(draws=DRAWS, date=date, versions=versions)]
    lines += ["## Wrong gradients that were accepted", ""]
    lines += [*table(PLANTED, results, ACCEPTS, ("accepts", "rejects"))]
    lines += ["## Right gradients that raised an alarm", ""]
    lines += [*table(RIGHT, results, REJECTS, ("alarm", "passes"))]
    lines += [FOOTER]
    return "\n".join(lines)


FOOTER = """In float32 a few functions of the second table cannot be computed well enough by anyone (10⁸ + sin(x) is
constant): that column is there because it is what JAX checks in by default.
"""


def main():
    results = {}
    for case in (*PLANTED, *RIGHT):
        for checker in CHECKERS:
            results[checker.name, case.name] = answers(checker, case)
            print(case.name, checker.name, dict(results[checker.name, case.name]), sep=" | ", flush=True)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
    versions += f", Python {platform.python_version()}"
    PAGE.write_text(page(results, datetime.date.today().isoformat(), versions), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    sys.exit(main())

"""The page of subgradients: every kink and extreme, ours beside the peers', computed when the page is built.

`python docs/subgradients_page.py` prints it. A peer that is not installed is shown as such.
"""

import importlib.metadata
import math
import warnings
from typing import NamedTuple

import numpy as np
from subgradients_cases import SECTIONS

from tinygrad_edu import Tensor, functional, gradients

HEADER = """# Subgradients

Where a function has a kink, a tie or an infinite slope, there is more than one answer, or none, and libraries choose
differently. This is what they say, computed when this page was built{versions}.

*one-sided* is what NumPy's values say: the quotient of differences from below and from above, one number where both
agree, for one argument or element at a time; where the value jumps, infinite. In bold, what differs from ours. –: no
such function there; *error*: it raises. Ours is held to this by `tests/test_rules_conventions.py`.
"""
RULES = """
## What ours follows

- A slope lies between those from below and from above, for elements that move alone and for those that move together.
- What ties shares equally, so that the order of the arguments and of the elements does not matter, and
  `maximum(x, x)` has slope 1 like x.
- An infinite slope is infinite: clipping it would be a wrong number. Where lengths are rooted (norm, std, hypot) the
  slope at 0 is 0, for 0 lies between the sides.
- What was not selected does not leak: a NaN or inf behind the other branch of `where` changes nothing.
- The engine sees operations, not intentions: `relu(x) - relu(-x)` is x, and each term says 0 at 0.
"""


class Absent(Exception):
    """No such function, or no such library."""


class Names:
    """The functions of a peer under NumPy's names: first those given, then those of the modules, in order."""

    def __init__(self, *modules, **given):
        self.__dict__.update(given)
        self._modules = modules

    def __getattr__(self, name):
        for module in self._modules:
            if hasattr(module, name):
                return getattr(module, name)
        raise Absent(name)


class Peer(NamedTuple):
    """What a peer calls NumPy's functions, and the gradients of Σ weights · f(names, *arrays)."""

    names: Names
    slopes: object


def ours():
    composites = {name: getattr(functional, name) for name in ("relu", "sigmoid", "softmax", "logsumexp")}
    names = Names(np, norm=np.linalg.norm, **composites)

    def slopes(f, arrays, weights):
        xs = [Tensor(array, requires_grad=True) for array in arrays]
        found = gradients(np.sum(f(names, *xs) * weights), xs, allow_unused=True)
        return [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(found, xs, strict=True)]

    return Peer(names, slopes)


def pytorch():
    import torch

    names = Names(
        torch, absolute=torch.abs, max=torch.amax, min=torch.amin, fabs=torch.abs, sort=lambda x: torch.sort(x).values,
        std=lambda x: torch.std(x, correction=0), norm=torch.linalg.vector_norm, arcsin=torch.asin, arccosh=torch.acosh,
        softmax=lambda x: torch.softmax(x, -1), logsumexp=lambda x: torch.logsumexp(x, -1), clip=torch.clamp,
        cumprod=lambda x: torch.cumprod(x, 0), arctan2=torch.atan2, ptp=lambda x: torch.amax(x) - torch.amin(x),
        power=torch.pow, mod=torch.remainder,
    )  # fmt: skip

    def slopes(f, arrays, weights):
        xs = [torch.tensor(array, requires_grad=True) for array in arrays]
        y = (f(names, *xs) * torch.tensor(weights)).sum()
        found = torch.autograd.grad(y, xs, allow_unused=True)
        return [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(found, xs, strict=True)]

    return Peer(names, slopes)


def jax():
    import jax

    jax.config.update("jax_enable_x64", True)
    names = Names(jax.numpy, jax.nn, norm=jax.numpy.linalg.norm, logsumexp=jax.nn.logsumexp)

    def slopes(f, arrays, weights):
        gradient = jax.grad(lambda *xs: jax.numpy.sum(f(names, *xs) * weights), tuple(range(len(arrays))))
        return [np.asarray(g) for g in gradient(*arrays)]

    return Peer(names, slopes)


def autograd():
    import autograd.numpy as anp
    from autograd import grad
    from autograd.scipy.special import logsumexp

    names = Names(anp, norm=anp.linalg.norm, logsumexp=logsumexp)

    def slopes(f, arrays, weights):
        gradient = grad(lambda *xs: anp.sum(f(names, *xs) * weights), tuple(range(len(arrays))))
        return [np.asarray(g) for g in gradient(*arrays)]

    return Peer(names, slopes)


def mygrad():
    import mygrad as mg
    from mygrad.nnet.activations import relu, sigmoid, softmax

    names = Names(mg, norm=mg.linalg.norm, relu=relu, sigmoid=sigmoid, softmax=softmax)

    def slopes(f, arrays, weights):
        xs = [mg.tensor(array) for array in arrays]
        (f(names, *xs) * weights).sum().backward()
        return [np.zeros(x.shape) if x.grad is None else x.grad for x in xs]

    return Peer(names, slopes)


PEERS = {"PyTorch": pytorch, "JAX": jax, "autograd": autograd, "MyGrad": mygrad}
DISTRIBUTIONS = {"PyTorch": "torch"}


def one_sided(f, arrays, weights, side):
    """The slopes from one side, by quotients that halve: one element of one argument at a time."""
    names, result = ours().names, []
    at = total(f(names, *arrays), weights)
    for k, array in enumerate(arrays):
        slopes = np.full(array.shape, np.nan)
        for place in filter(lambda place: np.isfinite(array[place]), np.ndindex(array.shape)):
            quotients = []
            for h in (2.0**-18, 2.0**-20, 2.0**-22):
                moved = [np.array(a) for a in arrays]
                moved[k][place] += side * h
                quotients.append(side * (total(f(names, *moved), weights) - at) / h)
            slopes[place] = limit(*quotients)
        result.append(slopes)
    return result


def total(values, weights):
    return np.sum(np.where(weights == 0, 0.0, values * weights))


def limit(first, second, third):
    """Where quotients on quartered steps tend to: infinity if they double, as √'s, or grow steadily, as log's."""
    if not math.isfinite(third):
        return third
    steps = abs(second - first), abs(third - second)
    if steps[1] > 0.5 and steps[1] > 0.9 * steps[0]:
        return math.copysign(math.inf, third - second)
    return (4.0 * third - second) / 3.0


# Writing ------------------------------------------------------------------------------------------


def number(value):
    return "0" if abs(value) < 1e-8 else f"{value:.4g}".replace("-", "−")


def shown(values):
    """x and y as `0, 1`; arrays in brackets."""
    return ", ".join(
        f"[{', '.join(number(v) for v in value.tolist())}]" if value.ndim else number(value.item()) for value in values
    )


def both_sides(below, above):
    """One number where both sides agree, else `below … above`."""
    nested = []
    for low, high in zip(below, above, strict=True):
        pairs = zip(np.ravel(low), np.ravel(high), strict=True)
        texts = [number(b) if same(b, a) else f"{number(b)} … {number(a)}" for b, a in pairs]
        nested.append(f"[{', '.join(texts)}]" if low.ndim else texts[0])
    return ", ".join(nested)


def same(a, b):
    return bool(np.all(np.isclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)))


def weights_of(case):
    like = np.asarray(case.f(ours().names, *case.arrays))
    return np.ones(like.shape) if case.weights is None else np.array(case.weights)


def slopes_of(peer, case):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [np.asarray(g, np.float64) for g in peer.slopes(case.f, case.arrays, weights_of(case))]


def answer(peer, case, reference):
    """Its gradients, in bold where they differ from the reference; or why there are none."""
    if peer is None:
        return "not installed"
    try:
        slopes = slopes_of(peer, case)
    except Absent:
        return "–"
    except Exception:
        return "*error*"
    agree = all(a.shape == b.shape and same(a, b) for a, b in zip(slopes, reference, strict=True))
    return shown(slopes) if agree else f"**{shown(slopes)}**"


def found(make):
    """The peer, or None where it is not installed."""
    try:
        return make()
    except ImportError:
        return None


def row(case, peers):
    with np.errstate(all="ignore"):
        sides = [one_sided(case.f, case.arrays, weights_of(case), side) for side in (-1.0, 1.0)]
    reference = slopes_of(ours(), case)
    answers = [answer(peer, case, reference) for peer in peers]
    return [f"`{case.name}`", shown(case.arrays), both_sides(*sides), shown(reference), *answers]


def versions(peers):
    """`, with NumPy 2.4, ...`: of those that are here."""
    here = [("NumPy", "numpy")] + [(n, DISTRIBUTIONS.get(n, n.lower())) for n in peers if peers[n] is not None]
    return ", with " + ", ".join(f"{name} {importlib.metadata.version(package)}" for name, package in here)


def page():
    peers = {name: found(make) for name, make in PEERS.items()}
    lines, answers = [HEADER.format(versions=versions(peers))], {name: [] for name in peers}
    for title, cases in SECTIONS.items():
        rows = [row(case, peers.values()) for case in cases]
        columns = ["", "at", "one-sided", "ours", *peers]
        lines += [f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [f"| {' | '.join(cells)} |" for cells in rows]
        lines += ["", *[f"- `{case.name}`: {case.note}" for case in cases if case.note], ""]
        for number_of, name in enumerate(peers, start=4):
            answers[name] += [cells[number_of] for cells in rows]
    return "\n".join([*lines, *agreement(answers), RULES])


def agreement(answers):
    """How many of the places that a peer answers it answers as we do."""
    for name, texts in answers.items():
        given = [text for text in texts if text not in ("–", "*error*", "not installed")]
        if given:
            alike = sum(not text.startswith("**") for text in given)
            yield f"- {name} says the same in {alike} of the {len(given)} places where it has an answer."


if __name__ == "__main__":
    print(page())

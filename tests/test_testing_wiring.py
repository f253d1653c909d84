"""Where every rule is right, and shares are put together wrongly, or the gradient is cut: which value, whose share."""

import inspect
import textwrap
from contextlib import contextmanager

import numpy as np
import pytest

from tinygrad_edu import Tensor, backward, checkpoint, no_grad, recompute, scope, transforms
from tinygrad_edu.testing import gradcheck

RNG = np.random.default_rng(7)
X, W = RNG.standard_normal((3, 3)), RNG.standard_normal((3, 3))


def program(call):
    """A program of about ten operations around one; every value is used twice."""

    def model(x, w):
        h = np.tanh(x @ w) + 0.5 * x
        with scope("block"):
            y = call(h, w)
        return np.sum(np.sin(y) * np.exp(0.1 * y)) + np.mean(h * w)

    return model


@contextmanager
def edited(function, *changes):
    """Within it, the function runs with each old replaced by its new in its source."""
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    namespace = dict(function.__globals__)
    exec(compile(source, function.__code__.co_filename, "exec"), namespace)
    right, function.__code__ = function.__code__, namespace[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = right


def biased(x, w):
    return np.sum(np.tanh(x @ w + x[0]) * w)


def twice_used(x, w):
    h = np.sin(x)
    return np.sum(np.exp(0.3 * h) + h @ w)


def adding(how):
    """reverse(), with another way to add shares up."""
    return backward.reverse, ("sys.getrefcount(cotangents[target]) == 3", "False"), ("held + share", how)


WIRING = {
    "broadcast, first": (
        (backward.unbroadcast, ("    extra = ", "    return g.reshape(-1, *shape)[0]\n    extra = ")), biased,
        "the cotangent of getitem at test_testing_wiring.py:", "has to be summed over axis 0; only the first of it is"),
    "broadcast, averaged": (
        (backward.unbroadcast, ("np.sum(g, axis=tuple(range(extra)))", "np.mean(g, axis=0)")), biased,
        "the cotangent of getitem at test_testing_wiring.py:", "(3, 3), has to be summed over axis 0; it is averaged."),
    "overwritten": (adding("share"), twice_used,
        "the cotangent of sin at test_testing_wiring.py:", "Of 2 shares only that of multiply is there: it overwrites"),
    "lost": (adding("held"), twice_used,
        "the cotangent of sin at test_testing_wiring.py:", "Of 2 shares only that of matmul is there"),
    "counted twice": (adding("held + share + share"), twice_used,
        "the cotangent of sin at test_testing_wiring.py:", "The share of multiply is counted twice."),
    "averaged": (adding("(held + share) / 2"), twice_used,
        "the cotangent of sin at test_testing_wiring.py:", "The shares are averaged, where they must be added."),
    "subtracted": (adding("held - share"), twice_used,
        "the cotangent of sin at test_testing_wiring.py:", "It is not the sum of their shares."),
    "scaled": (adding("3 * (held + share)"), twice_used,
        "the cotangent of sin at test_testing_wiring.py:", "It is 3 times the sum of their shares."),
    "seed": (
        (transforms.cotangent_of, ("        return value\n", "        return np.ones(output.shape)[()]\n")), twice_used,
        "the cotangent of sum at test_testing_wiring.py:", "does not start from the cotangent that it was given"),
    "pullback": (
        (transforms.Traced.pull, ("return filled if keep else [self.give(g)", "return [2 * self.give(g)")),
        twice_used, "the gradient that reaches inputs[0] is right", "not what the pullback returns"),
    "checkpoint": (
        (recompute.pull_through, ("found[source] if", "2 * found[source] if")),
        lambda x, w: np.sum(checkpoint(lambda h: np.sin(h) * h)(x @ w) * w),
        "Every rule is right by itself, and so are the cotangents that reach checkpoint(<lambda>)", "hands on is not"),
}  # fmt: skip


@pytest.mark.parametrize("name", WIRING)
def test_shares_that_are_put_together_wrongly_are_told_by_place_and_kind(name):
    fault, model, place, words = WIRING[name]
    with edited(*fault):
        report = gradcheck(model, X, W, manners=False)
    assert report.verdict == "wrong"
    assert "Every rule is right by itself" in report.explanation
    assert place in report.explanation
    assert words in report.explanation
    assert "The rule of" not in report.explanation


def in_numpy(h):
    return Tensor(np.exp(h.detach().numpy()))


def without_recording(h):
    with no_grad():
        return np.exp(h)


CUTS = {
    "it came in as a plain array": in_numpy,
    "it was cut off by no_grad() at test_testing_wiring.py:": without_recording,
    "it was cut off by detach() at test_testing_wiring.py:": lambda h: np.exp(h).detach(),
}


@pytest.mark.parametrize("words", CUTS)
def test_a_gradient_that_is_cut_is_told_where(words):
    report = gradcheck(program(lambda h, w: h * w * CUTS[words](h)), X, W, manners=False)
    assert "Every rule is right by itself; the gradient is cut. The argument y of multiply, " in report.explanation
    assert "depends on inputs[0], but no gradient flows back from it" in report.explanation
    assert words in report.explanation
    assert "[multiply]" in report.explanation and "#c00000" in report.dot


def test_an_output_that_depends_on_nothing_is_explained():
    report = gradcheck(lambda x: np.sum(np.exp(x.detach())), X, manners=False)
    assert "but the output depends on no input: " in report.explanation
    assert "detach() at test_testing_wiring.py:" in report.explanation

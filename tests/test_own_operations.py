"""Operations of a user's own that are wrong: what is no rule, what is no result, and a broadcast that does not fit."""

import functools

import numpy as np
import pytest

from tinygrad_edu import Tensor, grad, primitive
from tinygrad_edu.errors import RuleError, UnsupportedError


def with_stars(*everything):
    return everything[0]


def by_keyword(g, *, x):
    return g * x


@pytest.mark.parametrize("rule", [3, np.cos, functools.partial(by_keyword, x=2.0), lambda: 1.0, with_stars, by_keyword])
def test_what_cannot_say_what_it_needs_is_no_rule(rule):
    with pytest.raises(UnsupportedError, match="is no rule: write a function of g"):
        primitive(rule)(lambda x: x * x)


@pytest.mark.parametrize("returned", [(3,), (2, 2), (3, 2), (3, 1), (1, 2)], ids=str)
def test_broadcast_that_is_none_of_the_outputs_is_refused(returned):
    """Summed back it would have been a number, or a gradient of a shape that is not the argument's."""
    own = primitive(lambda g: np.ones(returned), broadcasts=True)(lambda x: x * 2.0)
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(RuleError, match=r"its argument has \(2,\), the output \(2,\). Mend the rule. Recorded at"):
        np.sum(own(x)).backward()
    assert x.grad is None


def test_share_smaller_than_the_output_counts_once_for_each_element():
    own = primitive(lambda g: np.float64(1.0), lambda g: g, broadcasts=True)(lambda x, y: x + y)
    assert grad(lambda x: np.sum(own(x, np.zeros((4, 3)))))(np.zeros(3)).tolist() == [4.0, 4.0, 4.0]


@pytest.mark.parametrize("result", [[1.0, 2.0], None, "text", (np.ones(2), None)], ids=str)
def test_result_that_is_no_array_is_refused(result):
    own = primitive(lambda g: g)(lambda x: result)
    with pytest.raises(RuleError, match=r"returned \w+, not an array: return np.asarray.*Called at test_own"):
        own(Tensor([1.0, 2.0], requires_grad=True))


def test_plain_number_is_a_result():
    own = primitive(lambda g, x: 2.0 * g * x)(lambda x: float(x) ** 2)
    assert grad(own)(3.0) == 6.0
    assert own(Tensor(3.0)).shape == ()

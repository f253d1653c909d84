"""The pytest plugin: a `gradcheck` fixture, a marker, and how hard to look.

    def test_my_layer(gradcheck):
        gradcheck(my_layer, x, w)

    @pytest.mark.gradcheck(order=2, wrt=0)       # options for every call in this test
    def test_my_loss(gradcheck): ...

    pytest --gradcheck thorough                  # fast (the default), ci or thorough

It is installed with the package. A failure shows the whole report: element, error bar, the rule that is wrong.

pytest loads it at the start of every run, whatever is tested. Hence it stands beside the package, whose import brings
NumPy: that waits for the first test that asks for the fixture.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tinygrad_edu.testing import GradReport

__all__ = ["gradcheck", "pytest_addoption", "pytest_configure"]

DEPTHS = ("fast", "ci", "thorough")  # tinygrad_edu.testing.profiles says what each of them means


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("gradcheck", "gradients against differences (tinygrad_edu)")
    group.addoption(
        "--gradcheck", choices=DEPTHS, default="fast", help="how hard to look at gradients (default: fast)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gradcheck(**options): options for the calls of the gradcheck fixture")
    depth = config.getoption("--gradcheck")
    if depth != DEPTHS[0] or "tinygrad_edu.testing.profiles" in sys.modules:
        from tinygrad_edu.testing.profiles import choose

        choose(depth)


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Callable[..., GradReport]:
    """assert_gradients under several drawn cotangents, as many and as deep as --gradcheck says."""
    from tinygrad_edu.testing import assert_gradients
    from tinygrad_edu.testing.profiles import PROFILES

    profile = PROFILES[request.config.getoption("--gradcheck")]
    marker = request.node.get_closest_marker("gradcheck")
    if marker is not None and marker.args:
        said = ", ".join(map(repr, marker.args))
        pytest.fail(f"@pytest.mark.gradcheck({said}): options go by name, such as order=2", pytrace=False)
    defaults = {} if marker is None else dict(marker.kwargs)

    def check(f: Callable[..., Any], *inputs: Any, **options: Any) -> GradReport:
        __tracebackhide__ = True
        asked = {**defaults, **options}
        asked.setdefault("order", 1 if asked.get("vjp") is not None else profile.order)
        first = asked.pop("seed", 0)
        for seed in range(first, first + profile.points):
            report = assert_gradients(f, *inputs, seed=seed, **asked)
        return report

    return check

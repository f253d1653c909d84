"""The plugin as a user's own test run sees it: in a folder of its own, by pytest's own machinery."""

import pytest

pytest_plugins = ["pytester"]

RIGHT = """
import numpy as np, pytest
X = np.array([0.5, -1.0, 2.0])

def test_right(gradcheck):
    assert gradcheck(np.tanh, X).verdict == "ok"
"""
WRONG = """
import numpy as np
from tinygrad_edu import primitive

@primitive(lambda g, x: g * np.sin(x), broadcasts=True)
def sine(x):
    return np.sin(x)

def test_wrong(gradcheck):
    gradcheck(sine, np.array([0.5, -1.0]))
"""
MARKED = """
import numpy as np, pytest

@pytest.mark.gradcheck(wrt=1, order=1)
def test_marked(gradcheck):
    report = gradcheck(np.multiply, np.ones(2), np.ones(2))
    assert {check.path for check in report.checks} == {"inputs[1]"}
"""


def test_a_right_gradient_passes_and_a_wrong_one_shows_its_report(pytester):
    pytester.makepyfile(test_right=RIGHT, test_wrong=WRONG)
    result = pytester.runpytest_subprocess("--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*GradientError: gradcheck of sine: wrong*", "*inputs[[]0[]]*wrong: derived*"])


def test_a_marker_gives_options(pytester):
    pytester.makepyfile(MARKED)
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=1)


def test_the_profile_is_chosen_on_the_command_line(pytester):
    pytester.makepyfile("""
        import numpy as np
        def test_depth(gradcheck):
            assert {check.order for check in gradcheck(np.tanh, np.ones(2)).checks} == {1, 2}
    """)
    pytester.runpytest_subprocess("--gradcheck", "fast").assert_outcomes(failed=1)
    pytester.runpytest_subprocess("--gradcheck", "ci").assert_outcomes(passed=1)
    assert pytester.runpytest_subprocess("--gradcheck", "lazy").ret == pytest.ExitCode.USAGE_ERROR

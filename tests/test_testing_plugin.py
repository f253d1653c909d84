"""The plugin as a user's own test run sees it: in a folder of its own, by pytest's own machinery."""

import subprocess
import sys
from pathlib import Path

import pytest

from tinygrad_edu.testing import profiles

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def from_here(monkeypatch):
    """The tree that is tested, not what else may be installed; and the profile of this run is the same after it."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    mine = profiles.current()
    yield
    profiles.choose(next(name for name, profile in profiles.PROFILES.items() if profile is mine))


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
    pytester.runpytest_inprocess("--strict-markers").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("mark", "call", "told"),
    [
        ("2", "np.tanh, np.ones(2)", "*mark.gradcheck(2): options go by name, such as order=2*"),
        ("ordr=2", "np.tanh, np.ones(2)", "*unexpected keyword argument 'ordr'*"),
        ("order=3", "np.tanh, np.ones(2)", "*order=3; it is 1 or 2*"),
        ("wrt=5", "np.tanh, np.ones(2)", "*wrt=5, but there are 1 inputs*"),
        ("", "0.5, np.ones(2)", "*f is float, where a function belongs*"),
        ("", "np.tanh", "*no input is a float array (inputs: none)*"),
    ],
)
def test_a_mistake_in_a_marker_or_a_call_is_one_clear_error(pytester, mark, call, told):
    pytester.makepyfile(f"""
        import numpy as np, pytest
        @pytest.mark.gradcheck({mark})
        def test_it(gradcheck):
            gradcheck({call})
    """)
    result = pytester.runpytest_inprocess("--strict-markers")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([told])


def test_the_profile_is_chosen_on_the_command_line(pytester):
    pytester.makepyfile("""
        import numpy as np
        def test_depth(gradcheck):
            assert {check.order for check in gradcheck(np.tanh, np.ones(2)).checks} == {1, 2}
    """)
    pytester.runpytest_inprocess("--gradcheck", "fast").assert_outcomes(failed=1)
    pytester.runpytest_inprocess("--gradcheck", "ci").assert_outcomes(passed=1)
    assert pytester.runpytest_inprocess("--gradcheck", "lazy").ret == pytest.ExitCode.USAGE_ERROR


def test_a_run_that_checks_no_gradient_does_not_import_numpy():
    """The plugin is loaded by every pytest run on a machine where the package is installed."""
    asked = "import sys, tinygrad_edu_pytest as p; print(p.DEPTHS, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == f"{tuple(profiles.PROFILES)} False"

"""The battery and the command: right operations pass, wrong ones fail with a report, senseless calls say why."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu import primitive
from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.primitive import NONZERO, POSITIVE
from tinygrad_edu.testing import GradientError, arrays, by_hand, gradient_test, shapes
from tinygrad_edu.testing.__main__ import main
from tinygrad_edu.testing.profiles import PROFILES, choose, current


@primitive(
    lambda g, x, y: g / (x + y), lambda g, x, y: g / (x + y), broadcasts=True, domain=(POSITIVE, POSITIVE)
)  # fmt: skip
def log_of_sum(x, y):
    return np.log(x + y)


@primitive(lambda g, x: g * (x > 0), broadcasts=True, domain=(NONZERO,), kinks=lambda x: x > 0)
def ramp(x):
    return np.maximum(x, 0.0)


@primitive(lambda g, x: g * np.where(x == 0, 2.0, x > 0), broadcasts=True, domain=(NONZERO,), kinks=lambda x: x > 0)
def ramp_wrong_at_zero(x):
    return np.maximum(x, 0.0)


@primitive(lambda g, x: 0.5 * g, lambda g: g, broadcasts=True)
def half_a_sum(x, y):
    return x + y


def detached(value):
    return value.detach() if hasattr(value, "detach") else value


@primitive(lambda g, x: g * detached(2 * x), broadcasts=True)
def square_off_the_graph(x):
    return x * x


test_log_of_sum = gradient_test()(log_of_sum)
test_ramp = gradient_test()(ramp)


@gradient_test(arrays(shapes(1)), arrays((3,)), examples=10)
def test_a_function_of_several_operations(x, weights):
    """Its docstring stays its own."""
    return np.sum(np.tanh(x)) * weights


def test_the_battery_makes_tests_that_pytest_knows():
    assert test_log_of_sum.__name__ == "test_log_of_sum"
    assert test_a_function_of_several_operations.__doc__ == "Its docstring stays its own."


@pytest.mark.parametrize("wrong", [half_a_sum, ramp_wrong_at_zero], ids=lambda f: f.__name__)
def test_a_wrong_rule_fails_its_battery(wrong):
    with pytest.raises(GradientError, match=f"gradcheck of {wrong.__name__}: wrong"):
        gradient_test()(wrong)()


@pytest.mark.parametrize("input", [half_a_sum, np.ones(2)], ids=["a function", "an array"])
def test_a_decorator_without_its_brackets_makes_no_test_that_nobody_runs(input):
    with pytest.raises(UnsupportedError, match=r"is no strategy\. It takes one for each argument.*@gradient_test\(\)"):
        gradient_test(input)


def test_deeper_profiles_find_what_only_the_second_order_shows():
    gradient_test(order=1)(square_off_the_graph)()
    with pytest.raises(GradientError, match="second order"):
        gradient_test(order=2)(square_off_the_graph)()


def test_profiles_set_the_depth_of_every_battery():
    before = next(name for name, profile in PROFILES.items() if profile is current())
    try:
        choose("ci")
        with pytest.raises(GradientError, match="second order"):
            gradient_test()(square_off_the_graph)()
    finally:
        choose(before)


def test_a_backward_pass_by_hand_has_a_battery_too():
    right, wrong = (by_hand(lambda g, x, slope=slope: g[0] * slope(x)) for slope in (np.cos, np.sin))
    gradient_test(arrays((2, 2)), vjp=right)(np.sin)()
    with pytest.raises(GradientError, match="gradcheck of sin: wrong"):
        gradient_test(arrays((2, 2)), vjp=wrong)(np.sin)()


def test_what_can_never_be_judged_is_no_pass():
    with pytest.raises(GradientError, match="unreliable"):
        gradient_test(arrays(()))(lambda x: 1e17 + np.sin(x))()


# The command

MODULE = """
import numpy as np
from tinygrad_edu import primitive

@primitive(lambda g, x: g * np.cos(x), broadcasts=True)
def sine(x):
    return np.sin(x)

def layer(x, w):
    return np.tanh(x @ w)

def layer_backward(g, x, w):
    d = g * (1 - np.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d

def wrong_backward(g, x, w):
    return g @ w.T, x.T @ g

def picky(x):
    return x.reshape(2, 5) * 2.0

def nothing_to_move():
    return 1.0

def wants(x, *, k):
    return k * x

def whole(x):
    return 3

def leaves(x):
    raise SystemExit(0)

def breaks(g, x):
    raise RuntimeError("broken")

NUMBER = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "lesson_module.py").write_text(MODULE)
    (tmp_path / "unclosed_module.py").write_text("def f(x:")
    (tmp_path / "leaving_module.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(tmp_path)
    yield "lesson_module"
    sys.modules.pop("lesson_module", None)


def test_right_functions_exit_with_0_and_print_their_reports(module, capsys):
    assert main([f"{module}:sine"]) == 0
    assert main([f"{module}:layer", "--shape", "4,3", "--shape", "3,2", "--order", "2", "--points", "1"]) == 0
    assert main([f"{module}:layer", "--backward", f"{module}:layer_backward"]) == 0
    assert main([f"{module}:picky", "--shape", "10", "--domain", "positive"]) == 0
    assert capsys.readouterr().out.count("ok") >= 8


def test_a_wrong_backward_pass_exits_with_1_and_writes_its_page(module, capsys, tmp_path):
    page = tmp_path / "report.html"
    assert main([f"{module}:layer", "--backward", f"{module}:wrong_backward", "--html", str(page)]) == 1
    assert "inputs[0] (3, 3): wrong" in capsys.readouterr().out
    assert "<table class=gradcheck>" in page.read_text() and "<b>wrong</b>" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["lesson_module"], "write module:function"),
        (["nowhere_module:f"], "cannot import nowhere_module"),
        (["lesson_module:nothing"], "lesson_module has no nothing"),
        (["lesson_module:NUMBER"], "is a int, not a function"),
        (["lesson_module:picky"], "give a --shape for each argument; of numbers it says "),
        (["lesson_module:nothing_to_move"], "needs no arguments"),
        (["lesson_module:wants"], "needs the keyword k"),
        (["lesson_module:leaves"], "SystemExit: 0 (lesson_module.py:"),
        (["lesson_module:sine", "--backward", "lesson_module:breaks"], "RuntimeError: broken (lesson_module.py:"),
        (["unclosed_module:f"], "cannot import unclosed_module: SyntaxError: "),
        (["leaving_module:f"], "cannot import leaving_module: SystemExit: 0 (leaving_module.py:1)"),
        (["lesson_module:whole", "--html", "nowhere/report.html"], "No such file or directory: 'nowhere/report.html'"),
    ],
)
def test_senseless_calls_exit_with_2_and_one_line(module, capsys, arguments, told):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--shape", "3,x", "'3,x' is no shape"),
        ("--shape", "100000,100000", "is 10,000,000,000 numbers"),
        ("--points", "0", "'0' is no whole number from 1 on"),
        ("--seed", "-1", "'-1' is no whole number from 0 on"),
    ],
)
def test_senseless_numbers_are_usage_errors(module, capsys, option, value, told):
    with pytest.raises(SystemExit) as caught:
        main([f"{module}:sine", option, value])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_the_command_runs_as_a_module(module):
    command = [sys.executable, "-m", "tinygrad_edu.testing", f"{module}:sine", "--points", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path.cwd())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("gradcheck of sine: ok")

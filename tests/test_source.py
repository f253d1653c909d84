"""The text of a rule, found again in its file."""

import inspect

from tinygrad_edu.operation import Primitive
from tinygrad_edu.primitive import registry
from tinygrad_edu.source import remark, source_line, source_text

RULES = [rule for one in registry().values() if isinstance(one, Primitive) for rule in one.rules if rule is not None]
pair = (lambda g, x: g * x, lambda g, x: g + x)
said = [
    lambda g: -g,  # ∂z/∂x = -1
]


def outer():
    def inner(g):
        """Twice.

        More about it.
        """
        return 2 * g

    return inner


def vocabulary(code):
    """What a function says, apart from the order: its parameters and variables, the names and numbers that it uses."""
    return code.co_varnames, code.co_names, [each for each in code.co_consts if not inspect.iscode(each)]


def test_the_text_of_every_rule_is_found_and_is_the_function_that_runs():
    assert len(RULES) > 100
    for rule in RULES:
        code = compile(source_text(rule), "again", "exec")
        again = [each for each in code.co_consts if inspect.iscode(each) and each.co_name == rule.__code__.co_name]
        assert vocabulary(rule.__code__) in map(vocabulary, again), rule


def test_of_two_lambdas_on_one_line_each_finds_its_own():
    assert [source_text(rule) for rule in pair] == ["lambda g, x: g * x", "lambda g, x: g + x"]


def test_what_is_said_behind_a_lambda_or_first_in_a_def_goes_with_it():
    assert remark(said[0]) == "∂z/∂x = -1"
    assert remark(pair[0]) is None
    assert remark(outer()) == "Twice."
    assert source_text(outer()).startswith("def inner(g):\n    ")
    assert source_line(said[0]).startswith("test_source.py:")


def test_a_function_without_a_file_has_no_text():
    assert source_text(eval("lambda g: g")) is None

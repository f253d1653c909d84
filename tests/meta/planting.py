"""Plant a wrong rule, or a wrong line, into the running engine, and take it out again whatever happens between."""

import inspect
import textwrap
from contextlib import contextmanager

__all__ = ["edited", "planted_rule"]


@contextmanager
def planted_rule(operation, argument, wrong):
    """Within it, the operation's rule for that argument is wrong(the right rule)."""
    rules, plans, foreign = operation.rules, operation.plans, operation.foreign
    forget_plans()
    operation.rules = (*rules[:argument], wrong(rules[argument]), *rules[argument + 1 :])
    operation.plans = [None] * len(plans)  # made again when they are needed, as the engine does
    try:
        yield
    finally:
        operation.rules, operation.plans, operation.foreign = rules, plans, foreign
        forget_plans()


def forget_plans():
    """Plans that were made once, for so many elements or such a form of call, know the rule of their time."""
    import tinygrad_edu.forms as forms
    import tinygrad_edu.operation as operations

    for module in (operations, forms):
        for thing in vars(module).values():
            if hasattr(thing, "cache_clear"):
                thing.cache_clear()


def like(right, body):
    """A rule that asks for the same names as the right one; body(share, g, needs) says what it returns."""
    code = right.__code__
    names = code.co_varnames[: code.co_argcount]
    needs = "".join(f"{name}, " for name in names[1:])
    source = f"lambda {', '.join(names)}: body(right({', '.join(names)}), g, ({needs}))"
    rule = eval(source, {"right": right, "body": body})
    rule.__defaults__, rule.__module__ = right.__defaults__, right.__module__
    return rule


@contextmanager
def edited(function, old, new):
    """Within it, the function runs with `old` replaced by `new` in its source, wherever it was imported to."""
    source = textwrap.dedent(inspect.getsource(function))
    if old not in source:
        raise LookupError(f"{function.__qualname__} does not contain {old!r}: the plant is out of date")
    lines = source.replace(old, new)
    body = lines[lines.index("def ") :]  # without decorators
    namespace = dict(function.__globals__)
    exec(compile(body, f"<{function.__qualname__} with a planted fault>", "exec"), namespace)
    right, planted = function.__code__, namespace[function.__name__].__code__
    function.__code__ = planted
    try:
        yield
    finally:
        function.__code__ = right

"""One decorator gives an operation the whole battery: drawn calls, both orders, kinks, all around the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tinygrad_edu.errors import UnsupportedError
from tinygrad_edu.operation import Primitive
from tinygrad_edu.primitive import registry
from tinygrad_edu.testing.call import Call
from tinygrad_edu.testing.check import assert_gradients, gradcheck
from tinygrad_edu.testing.profiles import current
from tinygrad_edu.testing.report import GradientError, GradReport
from tinygrad_edu.testing.strategies import calls, tied

__all__ = ["gradient_test"]

# All but `explain`, which calls a failing test some hundred times more to say less than the report does.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


def gradient_test(
    *inputs: st.SearchStrategy[Any], examples: int | None = None, **options: Any
) -> Callable[[Callable[..., Any]], Callable[[], None]]:
    """Make a test of a function: its gradients at drawn inputs, one strategy for each argument.

    With no strategies, calls are derived from what the function declares (`calls`): a @primitive's domains, whether it
    broadcasts; and if it declares kinks, it is also called with ties, exactly on them. examples: how many calls; by the
    profile if None. options: for gradcheck; order is the profile's, or 1 with a vjp of your own. Where more than one
    call in ten cannot be judged, that is an error too.

        test_huber = gradient_test()(huber)

        @gradient_test(arrays(shapes(1), POSITIVE), arrays(()))
        def test_scaled_logarithm(x, scale):
            return scale * np.log(x)
    """

    for each in inputs:
        if not isinstance(each, st.SearchStrategy):
            name = getattr(each, "__name__", type(each).__name__)
            raise UnsupportedError(
                f"gradient_test: {name} is no strategy. It takes one for each argument, such as arrays(()), or none: "
                "gradient_test()(f), or @gradient_test() above f"
            )

    def decorate(f: Callable[..., Any]) -> Callable[[], None]:
        drawn = st.tuples(*inputs).map(lambda args: Call(f, args)) if inputs else derived(f)

        def test() -> None:
            __tracebackhide__ = True
            profile = current()
            count = profile.examples if examples is None else examples
            asked = {"order": 1 if options.get("vjp") is not None else profile.order, **options}
            vague: list[GradReport] = []
            failed: list[tuple[Call, int]] = []

            @settings(max_examples=count, deadline=None, phases=PHASES, suppress_health_check=[HealthCheck.too_slow])
            @given(drawn, st.integers(0, 2**16))
            def judge(call: Call, seed: int) -> None:
                __tracebackhide__ = True
                failed[:] = [(call, seed)]
                report = assert_gradients(call, *call.arrays, seed=seed, unreliable="ignore", exhaustive=False, **asked)
                if report.verdict == "unreliable":
                    vague.append(report)

            try:
                judge()
            except GradientError as error:
                raise in_full(error, *failed[0], asked) from None
            if len(vague) > count // 10:
                raise GradientError(vague[0])

        name = getattr(f, "__name__", type(f).__name__)
        test.__name__ = test.__qualname__ = name if name.startswith("test") else f"test_{name}"
        test.__doc__ = getattr(f, "__doc__", None)
        test.__module__ = f.__module__
        return test

    return decorate


def in_full(error: GradientError, call: Call, seed: int, asked: dict[str, Any]) -> GradientError:
    """The last call is the one that Hypothesis shrank to: checked once more, to the end, with whose fault it is."""
    full = GradientError(gradcheck(call, *call.arrays, seed=seed, **asked))
    for note in getattr(error, "__notes__", ()):
        full.add_note(note)
    return full if full.report.verdict == "wrong" else error


def derived(f: Callable[..., Any]) -> st.SearchStrategy[Call]:
    """Calls as declared; of what has kinks, with ties as well."""
    plain, operation = calls(f), registry().get(f)
    if not isinstance(operation, Primitive) or operation.kinks is None:
        return plain
    return st.one_of(plain, plain.flatmap(on_ties))


def on_ties(call: Call) -> st.SearchStrategy[Call]:
    """The same call with values that tie, in the same shapes."""
    return st.tuples(*[tied(array.shape) for array in call.arrays]).map(lambda values: replaced(call, values))


def replaced(call: Call, values: tuple[Any, ...]) -> Call:
    leaves = list(call.leaves)
    for place, value in zip(call.places, values, strict=True):
        leaves[place] = value
    args, kwargs = call.rebuild(leaves)
    return Call(call.function, tuple(args), kwargs)

"""How inputs are drawn, and the table into which each formula enters itself."""

import numpy as np

CASES = {}


def case(draw):
    """Enter `run` into the table, under its own name."""

    def enter(run):
        CASES[run.__name__] = draw, run
        return run

    return enter


def also(draw, **constants):
    """`draw`, and more constants, each from a function of the same arguments."""

    def both(rng, *sizes):
        inputs, first = draw(rng, *sizes)
        return inputs, first | {name: one(rng, *sizes) for name, one in constants.items()}

    return both


def normal(rng, *shape):
    return rng.normal(size=shape)


def apart(rng, *shape):
    """Numbers at least 0.04 from each other and 0.02 from 0: no difference quotient crosses a kink or a tie."""
    size = int(np.prod(shape))
    return (rng.permutation(2 * size)[:size].reshape(shape) - size + 0.5) * max(0.04, 2.0 / size)

"""How two gradients are compared, and the differences that judge the formulas themselves."""

import numpy as np

TINY = 1e-4


def assert_close(ours, theirs, rtol=1e-9, name=""):
    """max |ours − theirs| ≤ rtol · max(max |theirs|, TINY); shapes equal, all finite.

    Relative to the largest element, for an element may be small by cancellation alone. TINY serves gradients
    that are zero in exact arithmetic (a softmax over one score, a layer norm of one number): what is drawn
    here is of order one, some hundred terms of it cancel to a remainder of 1e-15 to 1e-14, and 1e-9 · TINY =
    1e-13 is just above. A gradient that size carries no digits to compare; one above TINY must have nine.
    """
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"{name}: shape {ours.shape} against {theirs.shape}"
    assert np.isfinite(ours).all() and np.isfinite(theirs).all(), f"{name}: not finite\n{ours}\n{theirs}"
    error = np.abs(ours - theirs).max(initial=0.0)
    scale = max(np.abs(theirs).max(initial=0.0), TINY)
    assert error <= rtol * scale, f"{name}: off by {error / scale:.2e}, over {rtol:.0e}\n{ours}\n{theirs}"


def differences(f, inputs, steps=(2.0**-8, 2.0**-11, 2.0**-14)):
    """The gradient of scalar f(*inputs) by central differences at ±h and ±2h, element by element.

    f(x + h) − f(x − h) = 2h f' + h³f‴/3 + ..., and with 2h for h eight times that cubic term; (8·first −
    second)/12h is f' + O(h⁴). Rounding adds 1e-16/h. A large step suits a smooth f, a small one a norm of
    numbers near zero: of two neighbouring steps that agree best, the smaller one's slope is taken.
    """
    inputs = [np.array(x, float) for x in inputs]
    found = []
    for x in inputs:
        gradient = np.zeros_like(x)
        for place in np.ndindex(x.shape):
            start = x[place]

            def at(move, x=x, place=place, start=start):
                x[place] = start + move
                return f(*inputs)

            slopes = [(8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h) for h in steps]
            x[place] = start
            gradient[place] = slopes[1 + np.argmin(np.abs(np.diff(slopes)))]
        found.append(gradient)
    return found

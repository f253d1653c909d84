"""Seven: how to know that a gradient is right, and how a check can be blind.

The slope of the output along a direction can be measured by moving the input a little both ways; a gradient has to
predict it. What is multiplied with the output before it is summed, the cotangent, decides what the check can see.
"""

import numpy as np

from tinygrad_edu import functional, vjp

rng = np.random.default_rng(0)
x, direction = rng.normal(size=(2, 5))


def measured(f, cotangent, h=1e-5):
    return cotangent @ (f(x + h * direction) - f(x - h * direction)) / (2 * h)


def complaint(gradient, cotangent):
    slope = measured(functional.softmax, cotangent)
    return "wrong" if abs(gradient @ direction - slope) > 1e-7 else "fine"


softmax, pullback = vjp(functional.softmax, x)
ones, drawn = np.ones(5), rng.normal(size=5)

# The derived gradient stands both checks.
print(complaint(*pullback(ones), ones), complaint(*pullback(drawn), drawn))  # -> fine fine

# Seven times too large it still stands the first: softmax sums to one, so with a cotangent of ones the true gradient
# is zero, and seven times zero is zero.
print(complaint(7 * pullback(ones)[0], ones), complaint(7 * pullback(drawn)[0], drawn))  # -> fine wrong

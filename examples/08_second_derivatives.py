"""Eight: rules run on Tensors too, so a gradient can be differentiated like anything else."""

import numpy as np

from tinygrad_edu import grad, hessian, hvp


def f(x):
    """Rosenbrock's valley: its minimum, at (1, 1), is easy to see and hard to walk to."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


start = np.array([-1.2, 1.0])
print(hessian(f)(start).round(6).tolist())  # -> [[1330.0, 480.0], [480.0, 200.0]]

# One column of it costs as much as two gradients, however long x is.
_, (column,) = hvp(f, [start], [np.array([1.0, 0.0])])
print(column.round(6).tolist())  # -> [1330.0, 480.0]

# Newton's method: gradient descent needs thousands of steps here.
x = start
for _ in range(6):
    x = x - np.linalg.solve(hessian(f)(x), grad(f)(x))
print(x.round(6).tolist())  # -> [1.0, 1.0]

# And on: sin, cos, -sin, -cos.
derivative = np.sin
for _ in range(4):
    print(round(float(derivative(0.5)), 4))
    derivative = grad(derivative)
# -> 0.4794
# -> 0.8776
# -> -0.4794
# -> -0.8776

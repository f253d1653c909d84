"""Nine: teach the engine an operation. The rule is a plain NumPy function; it names what it needs.

softplus(x) = log(1 + eˣ) overflows for large x if it is written like that. Written safely its derivative is still
1 / (1 + e⁻ˣ), and saying so is one line.
"""

import numpy as np

from tinygrad_edu import Tensor, grad, primitive


@primitive(lambda g, x: g / (1 + np.exp(-x)))
def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


x = Tensor([-2.0, 0.0, 2.0, 500.0], requires_grad=True)
y = softplus(x)
print(y.numpy().round(4).tolist())  # -> [0.1269, 0.6931, 2.1269, 500.0]
y.sum().backward()
print(x.grad.numpy().round(4).tolist())  # -> [0.1192, 0.5, 0.8808, 1.0]

# The rule is made of operations the engine knows, so the second derivative comes with it.
print(round(float(grad(grad(softplus))(0.0)), 4))  # -> 0.25

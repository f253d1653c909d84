"""Two: arrays in place of numbers. The slopes become rules: a function from the output's gradient to the argument's.

One multiplication of matrices replaces a million scalar nodes. New is what broadcasting asks for: a bias that was
added to each row has used each of its numbers once a row, so its gradient is the sum over the rows.
"""

import numpy as np


class Array:
    def __init__(self, data, made_of=(), rules=()):
        self.data, self.grad = np.asarray(data, float), 0.0
        self.made_of, self.rules = made_of, rules

    def __add__(self, other):
        return Array(self.data + other.data, (self, other), (lambda g: g, lambda g: g))

    def __mul__(self, other):
        x, y = self.data, other.data
        return Array(x * y, (self, other), (lambda g: g * y, lambda g: g * x))

    def __matmul__(self, other):
        x, y = self.data, other.data
        return Array(x @ y, (self, other), (lambda g: g @ y.T, lambda g: x.T @ g))

    def tanh(self):
        z = np.tanh(self.data)
        return Array(z, (self,), (lambda g: g * (1 - z * z),))

    def sum(self):
        shape = self.data.shape
        return Array(self.data.sum(), (self,), (lambda g: np.broadcast_to(g, shape),))

    def backward(self):
        order, seen = [], set()

        def visit(array):
            if array not in seen:
                seen.add(array)
                for source in array.made_of:
                    visit(source)
                order.append(array)

        visit(self)
        self.grad = np.ones_like(self.data)
        for array in reversed(order):
            for source, rule in zip(array.made_of, array.rules, strict=True):
                source.grad = source.grad + unbroadcast(rule(array.grad), source.data.shape)


def unbroadcast(g, shape):
    """Sum over the axes along which the argument was repeated: once, here, and in no rule."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(k for k, size in enumerate(shape) if size == 1), keepdims=True)


rng = np.random.default_rng(0)
x, W, b = Array(rng.normal(size=(4, 3))), Array(rng.normal(size=(3, 2))), Array([0.1, -0.2])
loss = (x @ W + b).tanh().sum()
loss.backward()
print(W.grad.shape, b.grad.shape)  # -> (3, 2) (2,)


# b has been added to four rows. The finite difference agrees with the sum over them.
def at(bias):
    return np.tanh(x.data @ W.data + bias).sum()


h = np.array([1e-6, 0.0])
print(round(float(at(b.data + h) - at(b.data - h)) / 2e-6, 6) == round(float(b.grad[0]), 6))  # -> True

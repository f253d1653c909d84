"""One: a whole engine for scalars, in sixty lines.

A Value is a number that remembers what it was made of, and how fast it changes with each of these: the local slopes.
Backward, a value's gradient goes to what it was made of, times the slope; where two ways meet, they add up.
"""

import math


class Value:
    def __init__(self, data, made_of=(), slopes=()):
        self.data, self.grad = data, 0.0
        self.made_of, self.slopes = made_of, slopes

    def __add__(self, other):
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def tanh(self):
        t = math.tanh(self.data)
        return Value(t, (self,), (1.0 - t * t,))

    def backward(self):
        """Every value waits for all its users before it passes its gradient on: hence the order."""
        order, seen = [], set()

        def visit(value):
            if value not in seen:
                seen.add(value)
                for source in value.made_of:
                    visit(source)
                order.append(value)

        visit(self)
        self.grad = 1.0
        for value in reversed(order):
            for source, slope in zip(value.made_of, value.slopes, strict=True):
                source.grad += slope * value.grad  # +=, for it may be used more than once


# A neuron, tanh(w1 x1 + w2 x2 + b).
x1, x2 = Value(2.0), Value(1.0)
w1, w2, b = Value(0.5), Value(0.2), Value(0.1)
out = (w1 * x1 + w2 * x2 + b).tanh()
out.backward()
print(round(out.data, 4), [round(v.grad, 4) for v in (w1, w2, b)])  # -> 0.8617 [0.5149, 0.2574, 0.2574]

# Is it right? Move w1 a little both ways and look.
h = 1e-6
up, down = ((Value(0.5 + s) * x1 + w2 * x2 + b).tanh().data for s in (h, -h))
print(round((up - down) / (2 * h), 4))  # -> 0.5149

# Where two ways meet: b = a + a, c = b + b, so c is 4 a. Without the order it would come out as 8.
a = Value(3.0)
b = a + a
(b + b).backward()
print(a.grad)  # -> 4.0

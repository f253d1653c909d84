"""Three: the rules move into a table, and NumPy's own functions are what is differentiated.

A rule names what it needs: the output z, or an argument x or y. So one entry says how an operation is differentiated
and what it has to keep, and adding an operation is adding a line. NumPy asks each operand's __array_ufunc__ what to
do: with one method, np.tanh(x * w) records itself.
"""

import numpy as np

RULES = {
    np.add: (lambda g: g, lambda g: g),
    np.multiply: (lambda g, y: g * y, lambda g, x: g * x),
    np.divide: (lambda g, y: g / y, lambda g, z, y: -g * z / y),
    np.tanh: (lambda g, z: g * (1 - z * z),),
    np.exp: (lambda g, z: g * z,),
    np.log: (lambda g, x: g / x,),
}


def needs(rule):
    return rule.__code__.co_varnames[1 : rule.__code__.co_argcount]


class Array(np.lib.mixins.NDArrayOperatorsMixin):  # its + calls np.add, its * np.multiply, and so on
    __hash__ = object.__hash__  # the mixin's == compares numbers; here each array is itself

    def __init__(self, data, node=None):
        self.data, self.grad, self.node = np.asarray(data, float), 0.0, node

    def __array_ufunc__(self, function, method, *inputs):
        values = [each.data if isinstance(each, Array) else each for each in inputs]
        z = function(*values)
        known = {"z": z, **dict(zip("xy", values, strict=False))}
        kept = {name: known[name] for rule in RULES[function] for name in needs(rule)}
        return Array(z, (function, inputs, kept))

    def backward(self):
        order, seen = [], set()

        def visit(array):
            if isinstance(array, Array) and array not in seen:
                seen.add(array)
                for source in array.node[1] if array.node else ():
                    visit(source)
                order.append(array)

        visit(self)
        self.grad = np.ones_like(self.data)
        for array in reversed(order):
            function, inputs, kept = array.node or (None, (), {})
            for source, rule in zip(inputs, RULES[function] if inputs else (), strict=True):
                if isinstance(source, Array):
                    source.grad = source.grad + rule(array.grad, *[kept[name] for name in needs(rule)])


# The code is plain NumPy; nothing in it knows of gradients.
def sigmoid(x):
    return 1 / (1 + np.exp(x * -1))


x = Array([0.0, 2.0])
y = sigmoid(x)
y.backward()
print(y.data.round(4).tolist(), x.grad.round(4).tolist())  # -> [0.5, 0.8808] [0.25, 0.105]

# What each step keeps for the way back is what its rules have named.
x = Array([0.0, 2.0])
for f in (np.tanh, np.log1p):
    try:
        print(f(x).node[2])
    except KeyError as error:
        print("no rule for", error.args[0].__name__)
# -> {'z': array([0.        , 0.96402758])}
# -> no rule for log1p

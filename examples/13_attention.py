"""Thirteen: attention is a lookup in which every entry answers a little.

A query is compared with all keys; the softmax of the scores says how much of each value comes out. Six lines of
NumPy, and the gradient through the softmax, which is where hand-written ones go wrong, is derived.
"""

import math

import numpy as np

from tinygrad_edu import Tensor, functional


def attention(q, k, v, mask):  # (T, d), (S, d), (S, e), (T, S)
    scores = q @ k.mT / math.sqrt(q.shape[-1])  # (T, S)
    weights = functional.softmax(np.where(mask, scores, -np.inf))  # each row sums to 1
    return weights @ v, weights  # (T, e), (T, S)


q = Tensor([[4.0, 0.0], [0.0, 4.0]], requires_grad=True)
k = Tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 2.0]], requires_grad=True)
v = Tensor([[10.0], [20.0], [30.0]], requires_grad=True)
mask = np.array([[True, True, False], [True, True, True]])  # the first query may not see the third entry

out, weights = attention(q, k, v, mask)
print(weights.numpy().round(3).tolist())  # -> [[0.997, 0.003, 0.0], [0.002, 0.499, 0.499]]
print(out.numpy().round(2).tolist())  # -> [[10.03], [24.97]]

# What the first answer depends on. The third entry is masked: exactly nothing.
out[0, 0].backward()
print(v.grad.numpy().round(3)[:, 0].tolist())  # -> [0.997, 0.003, 0.0]
print((k.grad.numpy().round(3) + 0).tolist())  # -> [[-0.098, 0.0], [0.098, 0.0], [0.0, 0.0]]

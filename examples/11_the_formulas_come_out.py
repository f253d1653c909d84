"""Eleven: the rules are NumPy functions, so on symbols they write their formulas.

Nobody wrote "p - y" down. It is what comes out when the rules of exp, sum, log and an index run one after the other
on symbols, and the result is tidied up as a person would.
"""

import numpy as np

from tinygrad_edu import derive, expand
from tinygrad_edu import functional as F

print(derive(lambda X, W, b: X @ W + b, X="N D", W="D E", b="E").text_of("∂W"))  # -> dW = Xᵀ dY

loss = derive(lambda Z, t: F.cross_entropy(Z, t), Z="N V", t="N < V")
print(loss.text_of("∂Z"))  # -> dZ = (P − Y)/N
print(loss.latex_of("∂Z"))  # -> \bar{Z} = \frac{P - Y}{N}


def attention(Q, K, V):
    Z = Q @ K.mT / np.sqrt(K.shape[-1])
    A = F.softmax(Z)
    return A @ V


found = derive(attention, Q="T d", K="S d", V="S e")
print(found.text_of("∂Z"))  # -> dZ = A ⊙ (dA − rowsum(dA ⊙ A))
print(found.text_of("∂Q"))  # -> dQ = dZ K/√d

# A formula is a program, too. This one computes what the engine computes, on any numbers of these shapes.
print(sorted(found.evaluate(np.ones(found.evaluate()["Y"].shape)))[-3:])  # -> ['∂Q', '∂V', '∂Z']

# And an operation on arrays is a graph of scalars: one element of a product is two products and their sum.
element = expand(np.matmul, np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), element=(0, 0))
print(element.item(), element)  # -> 11.0 Tensor(11., from=add)

print()
print(found)

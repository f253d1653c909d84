"""Five: from here on the engine of this project: the same idea, complete. NumPy in, gradients out."""

import numpy as np

from tinygrad_edu import Tensor

W = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True)
x = np.array([2.0, 1.0])
loss = np.mean(np.tanh(x @ W) ** 2)  # plain NumPy functions; the tensor remembers them
loss.backward()
print(W.grad.numpy().round(3).tolist())  # -> [[0.509, -0.379], [0.254, -0.19]]

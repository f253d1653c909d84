"""Six: what backward() does, done by hand on the exercise network of Lesson 7.

x = [2, 1] goes through two ReLU units to one output; the loss is half the squared error against 1.5.
Each line of the second part takes one step back, from a result to what it was made of: the chain rule, and no more.
"""

import numpy as np

from tinygrad_edu import Tensor, functional

x = np.array([2.0, 1.0])
W1 = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True, name="W1")
b1 = Tensor([0.1, -0.1], requires_grad=True, name="b1")
W2 = Tensor([0.6, 0.3], requires_grad=True, name="W2")
b2 = Tensor(0.2, requires_grad=True, name="b2")

# Forward
h = x @ W1 + b1
a = functional.relu(h)
out = a @ W2 + b2
loss = 0.5 * (out - 1.5) ** 2
print(h.numpy().round(2).tolist())  # -> [1.3, -0.3]
print(round(out.item(), 2), round(loss.item(), 4))  # -> 0.98 0.1352

# Backward, by hand: d stands for "the loss changes by so much if this changes by one"
d_out = out.numpy() - 1.5
d_W2 = d_out * a.numpy()
d_a = d_out * W2.numpy()
d_h = d_a * (h.numpy() > 0)
d_W1 = np.outer(x, d_h)
print((d_W2.round(3) + 0).tolist())  # -> [-0.676, 0.0]
print((d_W1.round(3) + 0).tolist())  # -> [[-0.624, 0.0], [-0.312, 0.0]]

# Backward, derived
loss.backward()
for tensor, by_hand in ((W1, d_W1), (b1, d_h), (W2, d_W2), (b2, d_out)):
    assert np.allclose(tensor.grad.numpy(), by_hand, rtol=1e-12)
print((b1.grad.numpy().round(3) + 0).tolist(), round(b2.grad.item(), 2))  # -> [-0.312, 0.0] -0.52

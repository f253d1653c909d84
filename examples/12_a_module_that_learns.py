"""Twelve: parameters in a module, an optimiser, a loop. That is all a training is.

Exclusive or is the smallest task that needs a hidden layer: no straight line parts its answers.
"""

import numpy as np

from tinygrad_edu import functional, nn, no_grad, optim


class Network(nn.Module):
    def __init__(self, rng):
        self.hidden = nn.Linear(2, 8, rng=rng)
        self.output = nn.Linear(8, 1, rng=rng)

    def forward(self, x):  # (B, 2)
        return self.output(np.tanh(self.hidden(x)))  # (B, 1)


x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
y = np.array([[0], [1], [1], [0]], np.float32)
network = Network(np.random.default_rng(0))
optimizer = optim.Adam(network.named_parameters(), lr=0.05)
print([name for name, _ in network.named_parameters()])
# -> ['hidden.weight', 'hidden.bias', 'output.weight', 'output.bias']

for _ in range(200):
    loss = functional.mse(network(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()

with no_grad():  # nothing is remembered where nothing will be differentiated
    print((network(x).numpy().round(1)[:, 0] + 0).tolist())  # -> [0.0, 1.0, 1.0, 0.0]

"""Ten: watch a backward pass: what arrives at each node, what goes along each edge, and what it adds up to."""

import tempfile
from pathlib import Path

import numpy as np

from tinygrad_edu import Tensor, contributions, draw_passes, lifetimes, memory_report, replay, trace_backward

# A layer, and a penalty on its weights: W is used three times.
W = Tensor([[0.5, -0.25], [0.25, 0.5]], requires_grad=True, name="W")
loss = np.sum(np.tanh(np.array([[1.0, 2.0]]) @ W)) + np.sum(W * W)

# In words, step by step: from the loss down to W.
words = trace_backward(loss)
print(words.splitlines()[0])  # -> The backward pass from node 7, add: 6 steps, 8 shares, 1 leaf.

# The ledger at its end: W's gradient is the sum of three shares.
print("\n".join(words.splitlines()[-4:]))
# ->     step 3  multiply(W, W)    [[0.5, -0.25], [0.25, 0.5]]
# ->     step 3  multiply(W, W)    [[0.5, -0.25], [0.25, 0.5]]
# ->     step 6  matmul(array, W)  [[0.42, 0.5966], [0.8399, 1.193]]
# ->     sum: [[1.42, 0.09659], [1.34, 2.193]]

# Which use makes how much of it? And by how many ways does the gradient come?
for use in contributions(loss, W).uses:
    print(f"{use.fraction:6.1%}  {use.call}")
# ->  24.5%  multiply(W, W)
# ->  24.5%  multiply(W, W)
# ->  50.9%  matmul(array, W)

# What the forward pass saved for it lives until its turn.
kept = lifetimes(loss)
print(kept.total == memory_report(loss).total, kept.peak == memory_report(loss).peak)  # -> True True
print(kept)

# The same as a page to step through, and both passes in one drawing; any browser shows them.
folder = Path(tempfile.mkdtemp())
replay(loss, folder / "replay.html")
(folder / "passes.dot").write_text(draw_passes(loss, format="dot"), encoding="utf-8")
print(f"see {folder}")

"""The pictures that the README shows, drawn again: `.venv/bin/python docs/make_pictures.py`; needs Graphviz.

They are kept in the repository, because a README is read where nothing can be run.
"""

from pathlib import Path

import numpy as np

from tinygrad_edu import Tensor, draw

HERE = Path(__file__).parent


def affine_tanh() -> Tensor:
    """tanh(x W + b) summed, after its backward pass: three leaves with their gradients' norms."""
    x = Tensor([[2.0, 1.0], [-1.0, 0.5]], requires_grad=True, name="x")
    W = Tensor([[0.5, -0.3, 0.8], [0.2, 0.4, -0.6]], requires_grad=True, name="W")
    b = Tensor([0.1, -0.1, 0.0], requires_grad=True, name="b")
    loss = np.tanh(x @ W + b).sum()
    loss.backward()
    return loss


if __name__ == "__main__":
    draw(affine_tanh(), path=HERE / "graph.svg")

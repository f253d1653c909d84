"""The pictures of the README and the docs, drawn again: `.venv/bin/python docs/make_pictures.py`; needs Graphviz.

They are kept in the repository, because a README is read where nothing can be run.
"""

from pathlib import Path

import numpy as np

from tinygrad_edu import Tensor, draw, draw_passes, functional
from transformer import Transformer, TransformerConfig

HERE = Path(__file__).parent


def example() -> Tensor:
    """The README's example, after its backward pass: the leaf shows its gradient's norm."""
    W = Tensor([[0.5, -0.3], [0.2, 0.4]], requires_grad=True, name="W")
    loss = np.mean(np.tanh(np.array([2.0, 1.0]) @ W) ** 2)
    loss.backward()
    return loss


def attention() -> Tensor:
    """What functional.attention records."""
    rng = np.random.default_rng(0)
    q, k, v = (Tensor(rng.standard_normal((8, 16)), requires_grad=True, name=name) for name in "QKV")
    return functional.attention(q, k, v)


def model() -> tuple[Transformer, list[list[int]]]:
    """The README's transformer, at the question Max(1,6,2)."""
    return Transformer(TransformerConfig(vocab_size=20, num_layers=6), seed=0), [[15, 17, 3, 19, 8, 19, 4, 18]]


def layer() -> Tensor:
    """The page on the backward pass: a layer, and a penalty on its weights."""
    W = Tensor([[0.5, -0.25], [0.25, 0.5]], requires_grad=True, name="W")
    return np.sum(np.tanh(np.array([[1.0, 2.0]]) @ W)) + np.sum(W * W)


if __name__ == "__main__":
    for picture in (example, attention):
        draw(picture(), path=HERE / f"{picture.__name__}.svg")
    draw(*model(), depth=0, path=HERE / "model.svg")
    draw_passes(layer(), HERE / "passes.svg")

"""W1: one training step of the lessons' encoder: batch 32, 20 tokens, width 64, 2 layers; 102,036 weights."""

import math
from typing import Any

import numpy as np

from benchmarks.workload import OURS, Run, Workload

BATCH, T, D, H, F, V, LAYERS = 32, 20, 64, 4, 256, 20, 2
RATE, EPS = 1e-3, 1e-5


def weights() -> dict[str, Any]:
    """By their dotted names, float32."""
    draw = np.random.default_rng(0)
    shapes = {"embedding.weight": (V, D)}
    for i in range(LAYERS):
        block = f"blocks.{i}."
        shapes |= {block + "attention.qkv.weight": (D, 3 * D), block + "attention.output.weight": (D, D)}
        shapes |= {block + f"norm{k}.{name}": (D,) for k in (1, 2) for name in ("weight", "bias")}
        shapes |= {block + "feed_forward.up.weight": (D, F), block + "feed_forward.up.bias": (F,)}
        shapes |= {block + "feed_forward.down.weight": (F, D), block + "feed_forward.down.bias": (D,)}
    shapes |= {"output.weight": (D, V), "output.bias": (V,)}
    made = {}
    for name, shape in shapes.items():
        scale = 1.0 if name.startswith("embedding") else 1.0 / math.sqrt(shape[0])
        made[name] = (draw.standard_normal(shape) * scale).astype(np.float32)
        if len(shape) == 1:
            made[name] = np.full(shape, float("norm" in name and name.endswith("weight")), np.float32)
    return made


def batch() -> tuple[Any, Any]:
    """Tokens with padding at the end of each row, and the digits to answer."""
    draw = np.random.default_rng(1)
    tokens = draw.integers(2, V, (BATCH, T))
    tokens[np.arange(T) >= draw.integers(8, T + 1, BATCH)[:, None]] = 0
    return tokens, draw.integers(2, 12, BATCH)


def training(forward: Any, backward: Any, update: Any) -> Run:
    """forward() gives the loss, backward(loss) the gradients, update() the step."""

    def check() -> list[float]:
        losses = []
        for _ in range(3):
            loss = forward()
            losses.append(float(loss.item()))
            backward(loss)
            update()
        return losses

    phases = {"forward": lambda _: forward(), "backward": backward, "Adam": lambda _: update()}
    return Run(phases, check)


def ours(case: str) -> Run:
    from tinygrad_edu import functional, optim
    from transformer import Transformer, TransformerConfig

    model = Transformer(TransformerConfig(V, D, H, LAYERS, F, pooling="first", norm_eps=EPS))
    model.load_state_dict(weights())
    optimizer = optim.Adam(model.parameters(), lr=RATE)
    tokens, targets = batch()

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return training(lambda: functional.cross_entropy(model(tokens), targets), lambda loss: loss.backward(), update)


def pytorch(case: str) -> Run:
    """Its own fused kernels: scaled_dot_product_attention, layer_norm, cross_entropy, Adam."""
    import torch
    from torch.nn import functional as f

    torch.set_num_threads(1)
    w = {name: torch.tensor(array, requires_grad=True) for name, array in weights().items()}
    optimizer = torch.optim.Adam(w.values(), lr=RATE, fused=True)
    tokens, targets = map(torch.tensor, batch())
    angles = np.arange(T)[:, None] / 10000.0 ** (np.arange(0, D, 2) / D)
    positions = torch.tensor(np.stack([np.sin(angles), np.cos(angles)], -1).reshape(T, D), dtype=torch.float32)

    def heads(x: Any) -> Any:                                                       # (B, T, 3D)
        return x.view(BATCH, T, 3, H, D // H).permute(2, 0, 3, 1, 4)                # (3, B, H, T, D/H)

    def forward() -> Any:
        mask = (tokens != 0)[:, None, None, :]
        x = w["embedding.weight"][tokens] + positions                               # (B, T, D)
        for i in range(LAYERS):
            b = {name.removeprefix(f"blocks.{i}."): value for name, value in w.items()}
            q, k, v = heads(x @ b["attention.qkv.weight"])
            a = f.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            a = a.transpose(1, 2).reshape(BATCH, T, D) @ b["attention.output.weight"]
            x = f.layer_norm(x + a, (D,), b["norm1.weight"], b["norm1.bias"], EPS)
            h = torch.relu(x @ b["feed_forward.up.weight"] + b["feed_forward.up.bias"])
            h = h @ b["feed_forward.down.weight"] + b["feed_forward.down.bias"]
            x = f.layer_norm(x + h, (D,), b["norm2.weight"], b["norm2.bias"], EPS)
        return f.cross_entropy(x[:, 0] @ w["output.weight"] + w["output.bias"], targets)

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return training(forward, lambda loss: loss.backward(), update)


WORKLOAD = Workload(
    title="W1, the lessons' encoder",
    about="Forward, backward and Adam of one training step in float32: batch 32, 20 tokens (some padding), width 64, "
    "4 heads, 2 layers. The same weights; three losses in a row agreed before anything was timed.",
    cases=["W1"],
    peers={OURS: ours, "PyTorch": pytorch},
    unit="ms",
    agree=2e-5,
)

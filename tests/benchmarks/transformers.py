"""One training step of a transformer, for each peer: the same weights, the same data, Adam."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.adam import BETAS, TINY, Adam
from benchmarks.workload import Run, Skipped

RATE, EPS = 1e-3, 1e-5


@dataclass(frozen=True)
class Size:
    """A workload: an encoder that answers for its first token, or a decoder that answers for every one."""

    batch: int
    T: int
    D: int
    H: int
    F: int
    V: int
    layers: int
    decoder: bool = False
    pre: bool = False
    activation: str = "relu"

    def weights(self) -> dict[str, Any]:
        """By their dotted names, float32."""
        draw = np.random.default_rng(0)
        D, F, V = self.D, self.F, self.V
        shapes = {"embedding.weight": (V, D)}
        for i in range(self.layers):
            block = f"blocks.{i}."
            shapes |= {block + "attention.qkv.weight": (D, 3 * D), block + "attention.output.weight": (D, D)}
            shapes |= {block + f"norm{k}.{name}": (D,) for k in (1, 2) for name in ("weight", "bias")}
            shapes |= {block + "feed_forward.up.weight": (D, F), block + "feed_forward.up.bias": (F,)}
            shapes |= {block + "feed_forward.down.weight": (F, D), block + "feed_forward.down.bias": (D,)}
        if self.pre:
            shapes |= {"norm.weight": (D,), "norm.bias": (D,)}
        shapes |= {"output.weight": (D, V), "output.bias": (V,)}
        made = {}
        for name, shape in shapes.items():
            scale = 1.0 if name.startswith("embedding") else 1.0 / math.sqrt(shape[0])
            made[name] = (draw.standard_normal(shape) * scale).astype(np.float32)
            if len(shape) == 1:
                made[name] = np.full(shape, float("norm" in name and name.endswith("weight")), np.float32)
        return made

    def data(self) -> tuple[Any, Any, Any]:
        """Tokens (B, T), targets (B,) or (B, T), and who may be attended to, (B, 1, 1, T) or (T, T)."""
        draw = np.random.default_rng(1)
        tokens = draw.integers(2, self.V, (self.batch, self.T))
        if self.decoder:
            return tokens, draw.integers(2, self.V, tokens.shape), np.tri(self.T, dtype=bool)
        tokens[np.arange(self.T) >= draw.integers(8, self.T + 1, self.batch)[:, None]] = 0
        return tokens, draw.integers(2, 12, self.batch), (tokens != 0)[:, None, None, :]

    def positions(self) -> Any:
        """sin and cos in turns, (T, D)."""
        angles = np.arange(self.T)[:, None] / 10000.0 ** (np.arange(0, self.D, 2) / self.D)
        return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(self.T, self.D).astype(np.float32)

    def products(self) -> float:
        """Floating-point operations of one step in matrix products; the way back takes twice those of the way there."""
        rows, D, F = self.batch * self.T, self.D, self.F
        block = rows * (4 * D * D + 2 * D * F) + 2 * rows * self.T * D
        answers = rows if self.decoder else self.batch
        return 3 * 2.0 * (self.layers * block + answers * D * self.V)


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


def model_of(size: Size) -> Any:
    """Our encoder or decoder."""
    from transformer import Transformer, TransformerConfig

    model = Transformer(TransformerConfig(
        size.V, size.D, size.H, size.layers, size.F, max_seq_len=max(size.T, 50), causal=size.decoder,
        norm="pre" if size.pre else "post", activation=size.activation, pooling=None if size.decoder else "first",
        norm_eps=EPS, pad_id=None if size.decoder else 0,
    ))  # fmt: skip
    model.load_state_dict(size.weights())
    return model


def ours(size: Size) -> Run:
    from tinygrad_edu import functional, optim

    model = model_of(size)
    optimizer = optim.Adam(model.parameters(), lr=RATE)
    tokens, targets, _ = size.data()

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return training(lambda: functional.cross_entropy(model(tokens), targets), lambda loss: loss.backward(), update)


def captured(size: Size, kernels: bool = False, every_row: bool = True, threads: int = 1) -> Run:
    """Ours, recorded once and replayed: there are no phases of forward and backward to tell apart."""
    from tinygrad_edu import capture, compile_kernels, functional, optim
    from transformer.troubles import set_blas_threads

    set_blas_threads(threads)
    if kernels:
        compile_kernels()
    model = model_of(size)
    optimizer = optim.Adam(model.parameters(), lr=RATE)
    tokens, targets, _ = size.data()

    @capture(exact=every_row)
    def gradient(tokens: Any, targets: Any) -> Any:
        loss = functional.cross_entropy(model(tokens), targets)
        loss.backward()
        return loss

    def update(_: Any = None) -> None:
        optimizer.step()
        optimizer.zero_grad()

    def check() -> list[float]:
        losses = []
        for _ in range(3):
            losses.append(gradient(tokens, targets).item())
            update()
        return losses

    return Run({"backward": lambda _: gradient(tokens, targets), "Adam": update}, check)


def compiled(size: Size) -> Run:
    """Ours, with the kernels that numba translates."""
    from tinygrad_edu import compile_kernels

    compile_kernels()
    return ours(size)


def pytorch(size: Size, threads: int = 1) -> Run:
    """Its own fused kernels: scaled_dot_product_attention, layer_norm, cross_entropy, Adam."""
    import torch
    from torch.nn import functional as f

    torch.set_num_threads(threads)
    w = {name: torch.tensor(array, requires_grad=True) for name, array in size.weights().items()}
    optimizer = torch.optim.Adam(w.values(), lr=RATE, fused=True)
    tokens, targets, mask = map(torch.tensor, size.data())
    positions = torch.tensor(size.positions())
    B, T, D, H = size.batch, size.T, size.D, size.H
    masked = {"is_causal": True} if size.decoder else {"attn_mask": mask}
    activation = {"relu": torch.relu, "gelu": f.gelu}[size.activation]

    def norm(x: Any, name: str) -> Any:
        return f.layer_norm(x, (D,), w[f"{name}.weight"], w[f"{name}.bias"], EPS)

    def attention(x: Any, name: str) -> Any:
        q, k, v = (x @ w[f"{name}.qkv.weight"]).view(B, T, 3, H, D // H).permute(2, 0, 3, 1, 4)
        a = f.scaled_dot_product_attention(q, k, v, **masked)
        return a.transpose(1, 2).reshape(B, T, D) @ w[f"{name}.output.weight"]

    def feed_forward(x: Any, name: str) -> Any:
        h = activation(x @ w[f"{name}.up.weight"] + w[f"{name}.up.bias"])
        return h @ w[f"{name}.down.weight"] + w[f"{name}.down.bias"]

    def forward() -> Any:
        x = w["embedding.weight"][tokens] + positions                               # (B, T, D)
        for i in range(size.layers):
            block = f"blocks.{i}"
            if size.pre:
                x = x + attention(norm(x, f"{block}.norm1"), f"{block}.attention")
                x = x + feed_forward(norm(x, f"{block}.norm2"), f"{block}.feed_forward")
            else:
                x = norm(x + attention(x, f"{block}.attention"), f"{block}.norm1")
                x = norm(x + feed_forward(x, f"{block}.feed_forward"), f"{block}.norm2")
        x = norm(x, "norm") if size.pre else x
        x = x.reshape(-1, D) if size.decoder else x[:, 0]
        return f.cross_entropy(x @ w["output.weight"] + w["output.bias"], targets.reshape(-1))

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return training(forward, lambda loss: loss.backward(), update)


def loss_of(F: Any, w: Any, size: Size, data: tuple[Any, Any, Any], constant: Any = np.asarray) -> Any:
    """As one writes it for a NumPy-like engine without kernels of its own. Post-norm and ReLU.

    F: the engine's functions. constant: makes an array of the engine of one of NumPy.
    """
    if size.pre or size.activation != "relu":
        raise Skipped("not written for it")
    tokens, targets, mask = data
    B, T, D, H = size.batch, size.T, size.D, size.H
    f32 = np.float32
    hidden = constant(np.where(mask, f32(0), f32(-1e9)))

    def norm(x: Any, name: str) -> Any:
        c = x - F.mean(x, axis=-1, keepdims=True)
        n = c / F.sqrt(F.mean(c * c, axis=-1, keepdims=True) + f32(EPS))
        return n * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(x: Any, name: str) -> Any:
        qkv = F.transpose(F.reshape(F.matmul(x, w[f"{name}.qkv.weight"]), (B, T, 3, H, D // H)), (2, 0, 3, 1, 4))
        q, k, v = qkv[0], qkv[1], qkv[2]
        s = F.matmul(q * f32((D // H) ** -0.5), F.transpose(k, (0, 1, 3, 2))) + hidden
        e = F.exp(s - F.max(s, axis=-1, keepdims=True))
        a = F.matmul(e / F.sum(e, axis=-1, keepdims=True), v)
        return F.matmul(F.reshape(F.transpose(a, (0, 2, 1, 3)), (B, T, D)), w[f"{name}.output.weight"])

    def feed_forward(x: Any, name: str) -> Any:
        h = F.maximum(F.matmul(x, w[f"{name}.up.weight"]) + w[f"{name}.up.bias"], f32(0))
        return F.matmul(h, w[f"{name}.down.weight"]) + w[f"{name}.down.bias"]

    x = w["embedding.weight"][constant(tokens)] + constant(size.positions())        # (B, T, D)
    for i in range(size.layers):
        x = norm(x + attention(x, f"blocks.{i}.attention"), f"blocks.{i}.norm1")
        x = norm(x + feed_forward(x, f"blocks.{i}.feed_forward"), f"blocks.{i}.norm2")
    x = F.reshape(x, (B * T, D)) if size.decoder else x[:, 0]
    z = F.matmul(x, w["output.weight"]) + w["output.bias"]
    z = z - F.max(z, axis=-1, keepdims=True)
    wanted = constant(np.eye(size.V, dtype=f32)[targets.reshape(-1)] / f32(targets.size))
    return F.sum(F.log(F.sum(F.exp(z), axis=-1))) / f32(targets.size) - F.sum(z * wanted)


def mygrad(size: Size) -> Run:
    import mygrad

    w = {name: mygrad.tensor(array) for name, array in size.weights().items()}
    adam, data = Adam({name: tensor.data for name, tensor in w.items()}, RATE), size.data()

    def update() -> None:
        adam.step({name: tensor.grad for name, tensor in w.items()})
        for tensor in w.values():
            tensor.null_grad()

    return training(lambda: loss_of(mygrad, w, size, data), lambda loss: loss.backward() and None, update)


def autograd(size: Size) -> Run:
    import autograd.numpy as anp
    from autograd import make_vjp

    w, data = size.weights(), size.data()
    adam, held = Adam(w, RATE), {}

    def forward() -> Any:
        held["pullback"], loss = make_vjp(lambda w: loss_of(anp, w, size, data))(w)
        return loss

    def backward(loss: Any) -> None:
        held["gradients"] = held.pop("pullback")(np.float32(1.0))

    return training(forward, backward, lambda: adam.step(held.pop("gradients")))


def jax_jit(size: Size) -> Run:
    """Forward, backward and Adam in one compiled function: there are no phases to tell apart."""
    import jax
    import jax.numpy as jnp

    data = size.data()
    gradient = jax.value_and_grad(lambda w: loss_of(jnp, w, size, data))

    @jax.jit
    def step(w: Any, m: Any, v: Any, t: Any) -> Any:
        loss, g = gradient(w)
        (b1, b2), t = BETAS, t + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, g)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, g)
        w = jax.tree.map(
            lambda w, m, v: w - RATE / (1 - b1**t) * m / (jnp.sqrt(v / (1 - b2**t)) + TINY), w, m, v
        )  # fmt: skip
        return loss, (w, m, v, t)

    w = {name: jnp.asarray(array) for name, array in size.weights().items()}
    state = [(w, jax.tree.map(jnp.zeros_like, w), jax.tree.map(jnp.zeros_like, w), jnp.float32(0))]

    def once(_: Any = None) -> float:
        loss, state[0] = step(*state[0])
        jax.block_until_ready(state[0])
        return float(loss)

    return Run({"step": lambda _: once() and None}, lambda: [once() for _ in range(3)])

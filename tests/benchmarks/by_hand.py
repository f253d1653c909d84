"""A training step without an engine: NumPy, every derivative worked out and written by hand. The practical limit.

It keeps what it needs again, writes into what it no longer needs, and goes through attention a few sequences at a time.
"""

from typing import Any

import numpy as np

from benchmarks.adam import Adam
from benchmarks.transformers import EPS, RATE, Size, training
from benchmarks.workload import Run
from tinygrad_edu.rules.special import erf_value

CACHE = 1 << 17  # numbers that are worked on at a time


def norm(x: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    n = x - x.mean(-1, keepdims=True)
    r = 1.0 / np.sqrt(np.vecdot(n, n)[:, None] / x.shape[-1] + np.float32(EPS))
    n *= r
    y = n * weight
    y += bias
    return y, (n, r)


def norm_back(g: Any, weight: Any, kept: Any) -> tuple[Any, Any, Any]:
    n, r = kept
    h = g * weight
    dx = h - h.mean(-1, keepdims=True)
    dx -= n * (np.vecdot(h, n)[:, None] / n.shape[-1])
    dx *= r
    return dx, np.vecdot(g.T, n.T), np.ones(len(g), np.float32) @ g


def gelu(x: Any) -> tuple[Any, Any]:
    """x Φ(x), and its slope."""
    y, slope = np.empty_like(x), np.empty_like(x)
    rows = max(1, CACHE // 4 // x.shape[-1])
    for start in range(0, len(x), rows):
        part = x[start : start + rows]
        share = erf_value(part * np.float32(0.5**0.5))
        share += 1
        share *= np.float32(0.5)
        density = part * part
        density *= np.float32(-0.5)
        np.exp(density, out=density)
        density *= part
        density *= np.float32((2 * np.pi) ** -0.5)
        density += share
        slope[start : start + rows] = density
        share *= part
        y[start : start + rows] = share
    return y, slope


class Network:
    """size, and weights w by name. loss() runs forward; gradients() back, through what loss() kept."""

    def __init__(self, size: Size) -> None:
        self.size, self.w = size, size.weights()
        self.tokens, self.targets, self.mask = size.data()
        self.allowed = np.where(self.mask, np.float32(0), np.float32(-np.inf))
        self.positions = size.positions()
        self.at_once = max(1, CACHE // (size.H * size.T * size.T))  # sequences

    def heads(self, x: Any) -> Any:
        """(B · T, n · D) as n × (B, H, T, D/H)."""
        s = self.size
        return x.reshape(s.batch, s.T, -1, s.H, s.D // s.H).transpose(2, 0, 3, 1, 4)

    def attention(self, x: Any, name: str) -> tuple[Any, Any]:
        s, w = self.size, self.w
        q, k, v = self.heads(x @ w[f"{name}.qkv.weight"])
        q = q * np.float32((s.D // s.H) ** -0.5)
        a = np.empty((s.batch, s.H, s.T, s.T), np.float32)
        joined = np.empty((len(x), s.D), np.float32)
        (out,) = self.heads(joined)
        for start in range(0, s.batch, self.at_once):
            part = slice(start, start + self.at_once)
            e = np.matmul(q[part], k[part].mT, out=a[part])
            e += self.allowed if s.decoder else self.allowed[part]
            e -= e.max(-1, keepdims=True)
            np.exp(e, out=e)
            e /= (e @ np.ones(s.T, np.float32))[..., None]
            out[part] = e @ v[part]
        return joined @ w[f"{name}.output.weight"], (x, q, k, v, a, joined)

    def attention_back(self, g: Any, name: str, kept: Any, found: dict[str, Any]) -> Any:
        s, w = self.size, self.w
        x, q, k, v, a, joined = kept
        found[f"{name}.output.weight"] = joined.T @ g
        (do,) = self.heads(g @ w[f"{name}.output.weight"].T)
        dqkv = np.empty((len(x), 3 * s.D), np.float32)
        dq, dk, dv = self.heads(dqkv)
        for start in range(0, s.batch, self.at_once):
            part = slice(start, start + self.at_once)
            dv[part] = a[part].mT @ do[part]
            d = do[part] @ v[part].mT
            d *= a[part]
            d -= a[part] * (d @ np.ones(s.T, np.float32))[..., None]
            dq[part] = d @ k[part]
            dk[part] = d.mT @ q[part]
        dq *= np.float32((s.D // s.H) ** -0.5)
        found[f"{name}.qkv.weight"] = x.T @ dqkv
        return dqkv @ w[f"{name}.qkv.weight"].T

    def feed_forward(self, x: Any, name: str) -> tuple[Any, Any]:
        w = self.w
        h = x @ w[f"{name}.up.weight"]
        h += w[f"{name}.up.bias"]
        h, slope = gelu(h) if self.size.activation == "gelu" else (np.maximum(h, 0, out=h), None)
        y = h @ w[f"{name}.down.weight"]
        y += w[f"{name}.down.bias"]
        return y, (x, h, slope)

    def feed_forward_back(self, g: Any, name: str, kept: Any, found: dict[str, Any]) -> Any:
        w, ones = self.w, np.ones(len(g), np.float32)
        x, h, slope = kept
        found[f"{name}.down.weight"], found[f"{name}.down.bias"] = h.T @ g, ones @ g
        d = g @ w[f"{name}.down.weight"].T
        d *= (h > 0).astype(np.float32) if slope is None else slope
        found[f"{name}.up.weight"], found[f"{name}.up.bias"] = x.T @ d, ones @ d
        return d @ w[f"{name}.up.weight"].T

    def loss(self) -> Any:
        s, w = self.size, self.w
        x = (w["embedding.weight"][self.tokens] + self.positions).reshape(-1, s.D)
        self.kept: list[Any] = []
        for i in range(s.layers):
            for k, (layer, name) in enumerate(((self.attention, "attention"), (self.feed_forward, "feed_forward")), 1):
                into = f"blocks.{i}.norm{k}"
                table = w[f"{into}.weight"], w[f"{into}.bias"]
                if s.pre:
                    n, of_norm = norm(x, *table)
                    y, of_layer = layer(n, f"blocks.{i}.{name}")
                    x = x + y
                else:
                    y, of_layer = layer(x, f"blocks.{i}.{name}")
                    y += x
                    x, of_norm = norm(y, *table)
                self.kept.append((of_norm, of_layer))
        last = None
        if s.pre:
            x, last = norm(x, w["norm.weight"], w["norm.bias"])
        if not s.decoder:
            x = x.reshape(s.batch, s.T, s.D)[:, 0]
        p = x @ w["output.weight"]
        p += w["output.bias"]
        p -= p.max(-1, keepdims=True)
        rows, targets = np.arange(len(p)), self.targets.reshape(-1)
        wanted = p[rows, targets]
        np.exp(p, out=p)
        total = p.sum(-1)
        p /= total[:, None]
        self.ends = last, x, p
        return np.mean(np.log(total) - wanted)

    def gradients(self, _: Any = None) -> None:
        s, w = self.size, self.w
        found: dict[str, Any] = {}
        last, x, p = self.ends
        p[np.arange(len(p)), self.targets.reshape(-1)] -= 1
        p /= np.float32(len(p))
        found["output.weight"], found["output.bias"] = x.T @ p, p.sum(0)
        g = p @ w["output.weight"].T
        if not s.decoder:
            first, g = g, np.zeros((s.batch, s.T, s.D), np.float32)
            g[:, 0] = first
            g = g.reshape(-1, s.D)
        if s.pre:
            g, found["norm.weight"], found["norm.bias"] = norm_back(g, w["norm.weight"], last)
        for i in reversed(range(s.layers)):
            for k, layer, name in (
                (2, self.feed_forward_back, "feed_forward"), (1, self.attention_back, "attention"),
            ):  # fmt: skip
                of_norm, of_layer = self.kept.pop()
                into = f"blocks.{i}.norm{k}"
                if s.pre:
                    d = layer(g, f"blocks.{i}.{name}", of_layer, found)
                    d, *tables = norm_back(d, w[f"{into}.weight"], of_norm)
                else:
                    g, *tables = norm_back(g, w[f"{into}.weight"], of_norm)
                    d = layer(g, f"blocks.{i}.{name}", of_layer, found)
                found[f"{into}.weight"], found[f"{into}.bias"] = tables
                g += d
        one_hot = (self.tokens.reshape(-1, 1) == np.arange(s.V)).astype(np.float32)
        found["embedding.weight"] = one_hot.T @ g
        self.found = found


def by_hand(size: Size) -> Run:
    network = Network(size)
    adam = Adam(network.w, RATE)
    return training(network.loss, network.gradients, lambda: adam.step(network.found))

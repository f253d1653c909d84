"""Adam in NumPy, in place over one flat buffer, for the peers that bring no optimiser."""

from typing import Any

import numpy as np

BETAS, TINY = (0.9, 0.999), 1e-8


class Adam:
    """w: arrays by name, changed in place. step(gradients): one update."""

    def __init__(self, w: dict[str, Any], rate: float) -> None:
        self.w, self.rate, self.t = w, rate, 0
        size = sum(array.size for array in w.values())
        self.flat, self.g = np.empty(size, np.float32), np.empty(size, np.float32)
        self.m, self.v = np.zeros(size, np.float32), np.zeros(size, np.float32)

    def step(self, gradients: dict[str, Any]) -> None:
        (b1, b2), self.t = BETAS, self.t + 1
        g, m, v = self.g, self.m, self.v
        np.concatenate([gradients[name].reshape(-1) for name in self.w], out=g)
        m *= b1
        m += (1 - b1) * g
        v *= b2
        g *= g
        g *= 1 - b2
        v += g
        np.sqrt(v, out=g)
        g *= (1 - b2**self.t) ** -0.5
        g += TINY
        np.divide(m, g, out=g)
        g *= self.rate / (1 - b1**self.t)
        start = 0
        for array in self.w.values():
            array -= g[start : start + array.size].reshape(array.shape)
            start += array.size

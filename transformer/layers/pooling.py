"""From one vector for each position to one for the sequence; padding counts for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import Tensor

__all__ = ["pool"]


def pool(x: Tensor, valid: NDArray[np.bool], how: str | None) -> Any:
    """x (B, T, D), valid (B, T), how as in TransformerConfig.pooling; returns (B, D), or x itself for None.

    "last", "mean" and "max" of a sequence that is nothing but padding are zeros.
    """
    B, T, _ = x.shape
    if how is None:
        return x
    if how == "first":
        return x[:, 0]                                                      # (B, D)
    count = valid.sum(axis=1, keepdims=True)                                # (B, 1)
    if how == "mean":
        shares = (valid / np.maximum(count, 1)).astype(x.dtype)             # (B, T)
        return (np.asarray(shares, like=x)[:, None, :] @ x).reshape(B, -1)                      # (B, D)
    if how == "max":
        pooled = np.max(np.where(valid[:, :, None], x, -np.inf), axis=1)    # (B, D)
    else:
        last = T - 1 - np.argmax(valid[:, ::-1], axis=1)                    # (B,)
        pooled = x[np.arange(B), last]                                      # (B, D)
    return pooled if count.all() else np.where(count > 0, pooled, 0.0)

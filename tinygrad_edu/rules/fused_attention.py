"""A kernel: the attention of a sequence to itself, from queries, keys and values in one array to the heads, joined.

All three are slices of one argument, so one rule gives their cotangents together, each in its place: nothing is copied
apart and together again, and what they share is worked out once. The formulas run on whole Tensors, for the second
derivative, and on ndarrays a few sequences or queries at a time, while their scores are in the cache.

It is held to its definition, in functional.py, by tests; `with definitions():` runs that instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.primitive import primitive
from tinygrad_edu.rules import pieces
from tinygrad_edu.rules.fused_rows import softmax, softmax_slope, weights_of
from tinygrad_edu.rules.pieces import inner
from tinygrad_edu.rules.products import mT

__all__ = ["join_heads", "self_attention", "split_heads"]


def apart(x: Any, heads: int) -> Any:
    """(..., T, D) as (..., H, T, D/H)."""
    return np.swapaxes(x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads), -3, -2)


def join_heads(x: Any) -> Any:
    """(..., H, T, D/H) as (..., T, D)."""
    x = np.swapaxes(x, -3, -2)
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def split_heads(qkv: Any, heads: int) -> Any:
    """(..., T, 3 D), which is [Q | K | V], as three times (..., H, T, D/H)."""
    first = qkv.ndim - 2
    slices = qkv.reshape(*qkv.shape[:-1], 3, heads, qkv.shape[-1] // (3 * heads))
    slices = np.transpose(slices, (first + 1, *range(first), first + 2, first, first + 3))
    return tuple(slices if type(slices) is np.ndarray else np.unstack(slices))


def per_score(width: int) -> float:
    """What the product of a query and a key of this width is multiplied by."""
    return 1 / math.sqrt(width)


def scaled_heads(qkv: Any, heads: int) -> tuple[Any, Any, Any]:
    """split_heads, and the queries scaled; those of an ndarray while their rows are long, which is faster."""
    q, k, v = split_heads(qkv, heads)
    per, width = per_score(q.shape[-1]), qkv.shape[-1] // 3
    return apart(qkv[..., :width] * per, heads) if type(qkv) is np.ndarray else q * per, k, v


def of_scores(g: Any, more: Any, y: Any, a: Any, v: Any) -> Any:
    """With dA = dY Vᵀ + more, the scores' dZ = A ⊙ (dA − rowsum(dA ⊙ A)).

    more comes for the weights themselves; without, rowsum(dA ⊙ A) = dY · Y.
    """
    d = g @ mT(v)
    if hasattr(d, "run_whole"):
        return softmax_slope(d if more is None else d + more, a)
    s = inner(g, y)
    if more is not None:
        d = d + more
        s = s + inner(more, a)
    d -= s
    d *= a
    return d


def is_nothing(g: Any) -> bool:
    """A zero for all, which stands for an output that nobody used."""
    return type(g) is np.ndarray and not any(g.strides) and not (g.size and g.item(0))


def cotangent(g: Any, z: Any, qkv: Any, heads: int, mask: Any = None) -> Any:
    """dQ = dZ K, dK = dZᵀ Q, dV = Aᵀ dY, where Q, and so dQ, is scaled."""
    (g, more), (y, a) = g, z
    more = None if is_nothing(more) else more
    g, y, (q, k, v) = apart(g, heads), apart(y, heads), scaled_heads(qkv, heads)
    per = per_score(q.shape[-1])
    if not type(g) is type(y) is type(qkv) is np.ndarray:
        d = of_scores(g, more, y, a, v)
        return np.concatenate([join_heads(each) for each in ((d @ k) * per, mT(d) @ q, mT(a) @ g)], axis=-1)
    several = queries_at_once(a) < a.shape[2]  # then a key's cotangent comes in parts
    out = np.zeros(qkv.shape, qkv.dtype) if several else np.empty(qkv.shape, qkv.dtype)
    of_q, of_k, of_v = split_heads(out, heads)
    for here, keys, both in pieces_of(a, mask):
        d = of_scores(g[here], None if more is None else more[both], y[here], a[both], v[keys])
        np.multiply(d @ k[keys], per, out=of_q[here])
        if several:
            of_k[keys] += mT(d) @ q[here]
            of_v[keys] += mT(a[both]) @ g[here]
        else:
            np.matmul(mT(d), q[here], out=of_k[keys])
            np.matmul(mT(a[both]), g[here], out=of_v[keys])
    return out


def pieces_of(a: np.ndarray, mask: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Indices of pieces whose weights, of a (B, H, T, T), fit in the cache: of queries, of keys, of their weights.

    Keys behind the last query of a piece are left out if the mask, (B, H, T, T) or 1 for any of them, hides them from
    all of it. That is asked of no other piece: which keys another sequence may look at changes no bit in this one.
    """
    B, H, T, _ = a.shape
    rows = queries_at_once(a)
    sequences = max(1, 4 * pieces.PIECE // (H * T * T * a.itemsize or 1))
    for start in range(0, B, sequences):
        some = slice(start, start + sequences), slice(None)
        for first in range(0, T, rows):
            queries, reach = slice(first, first + rows), T
            if mask is not None and first + rows < T == mask.shape[3]:
                ahead = piece_of(mask, (*some, queries, slice(first + rows, T)))
                reach = T if ahead.any() else first + rows
            keys = slice(reach)
            yield (*some, queries), (*some, keys), (*some, queries, keys)


def queries_at_once(a: np.ndarray) -> int:
    """How many queries of a sequence go into a piece of a (B, H, T, T)."""
    _, H, T, _ = a.shape
    rows: int = min(T, max(1, 4 * pieces.PIECE // (H * T * a.itemsize or 1)))
    return rows or 1


def piece_of(mask: Any, where: tuple[slice, ...]) -> Any:
    """A mask's part of a piece: where it has size 1, it is the same for all."""
    chosen = [each if size > 1 else slice(None) for each, size in zip(where, mask.shape, strict=True)]
    return mask[tuple(chosen)]


@primitive(lambda g, z, qkv, heads, mask=None: cotangent(g, z, qkv, heads, mask))
def self_attention(qkv: Any, heads: int, mask: Any = None) -> Any:
    """softmax(Q Kᵀ / √d) V of each head, joined (B, T, D), and the weights (B, H, T, T).

    qkv (B, T, 3 D) is [Q | K | V]; mask boolean with 4 axes, True = may attend, or None.
    """
    q, k, v = scaled_heads(qkv, heads)
    if type(qkv) is not np.ndarray:
        weights = softmax(q @ mT(k), mask)
        return join_heads(weights @ v), weights
    B, T, width = qkv.shape
    out, a = np.empty((B, T, width // 3), qkv.dtype), np.zeros((B, heads, T, T), qkv.dtype)
    y = apart(out, heads)
    allowed = None if mask is None else mask.astype(qkv.dtype)
    whole = queries_at_once(a) == T  # then pieces of `a` lie in one stretch, and are worked out where they belong
    for here, keys, both in pieces_of(a, mask):
        scores = np.matmul(q[here], mT(k[keys]), out=a[both] if whole else None)
        weights_of(scores, None if allowed is None else piece_of(allowed, both), out=scores)
        if not whole:
            a[both] = scores
        np.matmul(scores, v[keys], out=y[here])
    return out, a

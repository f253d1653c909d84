"""Cases of the formulas that see a sequence: attention, embeddings, positions, pooling, blocks; see `cases`."""

import numpy as np

from . import activations, attention, blocks, embedding, pooling
from .drawing import CASES, apart, case, normal

# 10, 11: attention


def draw_attention(rng, B, T, D):
    S = B + 1  # not T: a transpose must show
    return [normal(rng, 2, B, T, D), normal(rng, 2, B, S, D), normal(rng, 2, B, S, D + 1)], {}


def draw_masked_attention(rng, B, T, D):
    (Q, K, V), _ = draw_attention(rng, B, T, D)
    mask = rng.random((B, T, K.shape[-2])) < 0.6
    mask[-1, -1] = False  # a query that may attend to nothing
    return [Q, K, V], {"mask": mask}


@case(draw_attention)
def scaled_attention(Q, K, V, mask=None):
    O, A = attention.attention_forward(Q, K, V, mask)
    return O, lambda g: attention.attention_backward(g, Q, K, V, A)


@case(draw_masked_attention)
def masked_attention(Q, K, V, mask):
    return scaled_attention(Q, K, V, mask)


@case(lambda rng, B, T, D: ([normal(rng, B, T, 2 * D)], {"H": rng.choice([1, 2, D])}))
def split_heads(x, H):
    return attention.split_heads(x, H), lambda g: (attention.join_heads(g),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, 2, D)], {}))
def join_heads(x):
    return attention.join_heads(x), lambda g: (attention.split_heads(g, x.shape[1]),)


@case(lambda rng, B, T, D: ([normal(rng, B, 2, T, 2 * D)], {}))
def rotary(x):
    return attention.rotary_forward(x), lambda g: (attention.rotary_backward(g),)


def draw_multi_head(rng, B, T, D):
    H, D = D, 2 * D
    names = {"qkv.weight": (D, 3 * D), "output.weight": (D, D), "qkv.bias": (3 * D,), "output.bias": (D,)}
    names = dict(list(names.items())[: rng.choice([2, 4])])
    mask = np.tri(T, dtype=bool) if rng.integers(2) else None
    arrays = [normal(rng, B, T, D), *(normal(rng, *shape) for shape in names.values())]
    return arrays, {"names": tuple(names), "H": H, "mask": mask, "rotary": bool(rng.integers(2))}


@case(draw_multi_head)
def multi_head(x, *arrays, names, H, mask, rotary):
    p = dict(zip(names, arrays, strict=True))
    y, saved = attention.multi_head_forward(x, p, H, mask, rotary)

    def pullback(g):
        dx, grads = attention.multi_head_backward(g, p, saved)
        return dx, *grads.values()

    return y, pullback


# 12, 13, 17: embeddings, positions, tied weights


@case(lambda rng, B, T, D: ([normal(rng, D + 1, D)], {"ids": rng.integers(D + 1, size=(B, T))}))
def embedding_lookup(E, ids):
    return embedding.embedding_forward(E, ids), lambda g: (embedding.embedding_backward(g, E, ids),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D)], {"table": embedding.sinusoidal(T + 2, D)}))
def fixed_positions(x, table):
    return embedding.fixed_positions_forward(x, table), lambda g: (embedding.fixed_positions_backward(g),)


@case(lambda rng, B, T, D: ([normal(rng, B, T, D), normal(rng, T + 2, D)], {}))
def learned_positions(x, P):
    return embedding.learned_positions_forward(x, P), lambda g: embedding.learned_positions_backward(g, P)


@case(lambda rng, B, T, D: ([normal(rng, T + 1, D), normal(rng, T + 1)], {"ids": rng.integers(T + 1, size=(B, T))}))
def weight_tying(E, b, ids):
    """z = silu(E[ids]) Eᵀ + b: the smallest network that uses E at both ends."""
    x = embedding.embedding_forward(E, ids)
    h = activations.silu_forward(x)

    def pullback(g):
        dh, dE, db = embedding.tied_output_backward(g, h, E)
        return dE + embedding.embedding_backward(activations.silu_backward(dh, x), E, ids), db

    return embedding.tied_output_forward(h, E, b), pullback


# 14: pooling


def draw_pool(how):
    def draw(rng, B, T, D):
        valid = rng.random((B, T)) < 0.7
        return [apart(rng, B, T, D)], {"valid": valid, "how": how}

    return draw


def pool(x, valid, how):
    return pooling.pool_forward(x, valid, how), lambda g: (pooling.pool_backward(g, x, valid, how),)


CASES |= {f"pool_{how}": (draw_pool(how), pool) for how in ("first", "last", "mean", "max")}


# 15: blocks


def draw_block(norm):
    def draw(rng, B, T, D):
        H = min(D, 2)
        D, F = 2 * H, D + 1
        shapes = {
            "attention.qkv.weight": (D, 3 * D), "attention.output.weight": (D, D),
            "norm1.weight": (D,), "norm1.bias": (D,), "norm2.weight": (D,), "norm2.bias": (D,),
            "feed_forward.up.weight": (D, F), "feed_forward.up.bias": (F,),
            "feed_forward.down.weight": (F, D), "feed_forward.down.bias": (D,),
        }  # fmt: skip
        arrays = [normal(rng, B, T, D), *(normal(rng, *shape) for shape in shapes.values())]
        return arrays, {"names": tuple(shapes), "H": H, "norm": norm, "activation": "silu", "eps": 0.01}

    return draw


def block(x, *arrays, names, H, norm, activation, eps):
    p = dict(zip(names, arrays, strict=True))
    y, saved = blocks.block_forward(x, p, H, None, norm, activation, eps=eps)

    def pullback(g):
        dx, grads = blocks.block_backward(g, p, saved)
        return dx, *grads.values()

    return y, pullback


CASES |= {f"block_{norm}_norm": (draw_block(norm), block) for norm in ("post", "pre")}

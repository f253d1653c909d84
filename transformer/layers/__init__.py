"""The parts of a transformer: forward code with the shapes at the margin, in the paper's letters.

B batch, T time, S keys (T, and what a cache holds), D embed_dim, H heads, F ffn_dim, V vocabulary.
"""

from transformer.layers.attention import Attention
from transformer.layers.block import Block
from transformer.layers.cache import Cache, Memory
from transformer.layers.feed_forward import FeedForward
from transformer.layers.norm import make_norm
from transformer.layers.output import Output
from transformer.layers.pooling import pool
from transformer.layers.positions import Alibi, LearnedPositions, Rotary, SinusoidalPositions, make_positions

__all__ = [
    "Alibi",
    "Attention",
    "Block",
    "Cache",
    "FeedForward",
    "LearnedPositions",
    "Memory",
    "Output",
    "Rotary",
    "SinusoidalPositions",
    "make_norm",
    "make_positions",
    "pool",
]

"""The parts of a transformer: forward code with the shapes at the margin, in the paper's letters.

B batch, T time, D embed_dim, H heads, F ffn_dim, V vocabulary.
"""

from transformer.layers.attention import Attention
from transformer.layers.block import Block
from transformer.layers.feed_forward import FeedForward
from transformer.layers.output import Output
from transformer.layers.pooling import pool
from transformer.layers.positions import LearnedPositions, Rotary, SinusoidalPositions, make_positions

__all__ = [
    "Attention",
    "Block",
    "FeedForward",
    "LearnedPositions",
    "Output",
    "Rotary",
    "SinusoidalPositions",
    "make_positions",
    "pool",
]

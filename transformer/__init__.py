"""A transformer written as forward code alone; every gradient is derived by tinygrad_edu."""

from transformer.config import TransformerConfig
from transformer.model import Transformer

__all__ = ["Transformer", "TransformerConfig"]

"""Modules with named parameters, and the layers every network has."""

from tinygrad_edu.nn.layers import Dropout, Embedding, LayerNorm, Linear, RMSNorm
from tinygrad_edu.nn.module import Module, ModuleList, Parameter

__all__ = ["Dropout", "Embedding", "LayerNorm", "Linear", "Module", "ModuleList", "Parameter", "RMSNorm"]

"""Graphs as ONNX models: a function is run, what it did is written down in ONNX's operations, and others run it.

    to_onnx(f, *inputs)     an onnx.ModelProto of f: its forward graph; of a gradient of f: a backward graph
    counterparts()          operation → what ONNX has for it, or why nothing
"""

from tinygrad_edu.onnx.export import to_onnx
from tinygrad_edu.onnx.table import counterparts

__all__ = ["counterparts", "to_onnx"]

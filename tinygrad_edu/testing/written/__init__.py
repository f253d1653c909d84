"""Calls of operations that declare too little to derive one: NumPy's reductions, indices, products, decompositions.

Each is a function from a Draw to a Call: which axes, shapes, places and keywords it may take, at values where it is
smooth and well away from where it is not. Where a result is fixed only up to signs, the call multiplies them out.
"""

from tinygrad_edu.testing.written import elementwise, fused, indexing, linalg, parts, reductions, sequences, shapes
from tinygrad_edu.testing.written.draw import Draw

__all__ = ["WRITTEN", "Draw"]

WRITTEN = {
    **elementwise.CALLS, **reductions.CALLS, **shapes.CALLS, **indexing.CALLS, **linalg.CALLS, **sequences.CALLS,
    **fused.CALLS, **parts.CALLS,
}  # fmt: skip

"""W3: one training step of a decoder of characters: batch 16, 256 tokens, width 256, 6 layers; 4.8 million weights."""

from benchmarks.sizes import W3, steps

WORKLOAD = steps(
    W3,
    title="W3, a decoder of characters",
    about="As W2: batch 16, 256 characters of 65 kinds, width 256, 8 heads, 6 layers with the norm before, and GELU. "
    "Few rounds of one step each.",
    long=True,
    quick=(),
)

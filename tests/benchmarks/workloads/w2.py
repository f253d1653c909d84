"""W2: one training step of a decoder: batch 64, 16 tokens, width 128, 4 layers; 0.8 million weights."""

from benchmarks.sizes import W2, steps

WORKLOAD = steps(
    W2,
    title="W2, a decoder",
    about="As W1, for a decoder that answers at every position: batch 64, 16 tokens, width 128, 4 heads, 4 layers.",
    quick=(),
    agree=1e-4,  # of two million inputs to a ReLU some lie within rounding of its kink: engines differ in which side
)

"""W1: one training step of the lessons' encoder: batch 32, 20 tokens, width 64, 2 layers; 102,036 weights."""

from benchmarks.sizes import W1, steps

WORKLOAD = steps(
    W1,
    title="W1, the lessons' encoder",
    about="Forward, backward and Adam of one training step in float32: batch 32, 20 tokens (some padding), width 64, "
    "4 heads, 2 layers. The same weights; three losses in a row agreed before anything was timed.",
)

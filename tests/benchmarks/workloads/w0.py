"""W0: one training step of an encoder so small that what it costs is the Python around NumPy."""

from benchmarks.sizes import W0, steps

WORKLOAD = steps(
    W0,
    title="W0, hardly anything to compute",
    about="The graph of W1 on next to no numbers (batch 4, 8 tokens, width 8): what recording, dispatch and the walk "
    "back cost, which a large model does not notice and a small one does.",
    counted=False,
    quick=(),
)

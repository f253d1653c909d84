"""PyTorch as a second opinion. Without it nothing here means anything, so its absence is an error, not a skip."""

import pytest
import torch

torch.set_num_threads(1)
TALLY: dict[str, int] = {}


@pytest.fixture
def tally():
    """Count what was compared: tally("operations") adds one; the sums stand at the end of the run."""

    def add(what: str, number: int = 1) -> None:
        TALLY[what] = TALLY.get(what, 0) + number

    return add


def pytest_terminal_summary(terminalreporter):
    if TALLY:
        counts = ", ".join(f"{number} {what}" for what, number in TALLY.items())
        terminalreporter.write_line(f"compared with PyTorch {torch.__version__}: {counts}")

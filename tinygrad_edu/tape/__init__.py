"""What a function did, recorded once and replayed: see `capture`."""

from tinygrad_edu.tape.captured import Captured, capture

__all__ = ["Captured", "capture"]

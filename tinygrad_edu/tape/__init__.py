"""What a function did, recorded once and replayed: see `capture`."""

from tinygrad_edu.tape.captured import Captured, CaptureWarning, capture

__all__ = ["CaptureWarning", "Captured", "capture"]

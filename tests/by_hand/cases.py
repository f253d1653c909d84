"""For each formula: how an input is drawn, and its value with its pullback, the way by hand.

CASES[name] = (draw, run). draw(rng, B, T, D) returns the arrays to differentiate by, and a dict of constants;
run(*arrays, **constants) returns the value and its pullback, from a cotangent to a tuple of cotangents.
"""

from . import cases_rows, cases_sequences
from .drawing import CASES

__all__ = ["CASES", "cases_rows", "cases_sequences"]

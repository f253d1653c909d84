"""Formulas: the rules of the engine, run on symbols.

    derive(f, X="N D", W="D E")   the forward and the backward pass of a function, as LaTeX and as text
    local_rule(node)              the rule of one recorded operation: for each tracked argument its source, its formula
                                  as LaTeX and as text, and the algebra of its shapes

A rule is a plain NumPy function; handed an array-like that remembers how it came about, it writes its own formula.
There is no second table of derivatives.

    f ──tracing──> symbols ──reading──> expressions ──simplifier──> expressions ──writing──> LaTeX, text
                                                      rewriting: the argued rules; algebra: normal form
"""

from tinygrad_edu.formulas.derivation import Derivation, derive
from tinygrad_edu.formulas.lines import Line
from tinygrad_edu.formulas.local import LocalRule, local_rule

__all__ = ["Derivation", "Line", "LocalRule", "derive", "local_rule"]

"""Formulas: the rules of the engine, run on symbols.

    symbols      an array-like that remembers how it came about     expressions  the vocabulary, as plain data
    reading      from one to the other                              algebra      normal form
    rewriting    the argued rules of simplification                 writing      LaTeX and text
    local        the rule of one recorded operation: `local_rule(node)`

`local_rule(node)` gives, for each tracked argument of a recorded operation, its rule's source, its formula as LaTeX
and as text, and the algebra of its shapes.
"""

from tinygrad_edu.derive.local import LocalRule, local_rule

__all__ = ["LocalRule", "local_rule"]

"""Lesson 7's formulas, derived by hand: what automatic differentiation replaces, and what it is judged by.

NumPy alone. Nothing here is shared with the engine: the duplication is the evidence. A function
`name_forward` gives the value, `name_backward` pulls a cotangent g of that value back to the arguments;
where the forward returns a second thing, `saved`, it is what the pullback needs. Each derivation stands
beside its formula, in the lesson's letters:

    g cotangent of the output (from above), dx cotangent of x (to below), ⊙ elementwise, δ_ij = [i = j]
    B batch, T time, D width, H heads, F inner width, V vocabulary, N rows; flat: batch and time merged

Bottom up: activations, linear, normalization, loss, embedding, pooling, attention, blocks, model, then
encoder and decoder; optimisers and regularization stand aside. `cases` draws an input for each formula,
`judge` compares.
"""

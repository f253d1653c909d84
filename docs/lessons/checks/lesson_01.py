"""Lesson 1, embeddings and positional encoding: what holds for a right answer, and wrong ones that must be noticed."""

import numpy as np
from judging import Exercise, call, close, drawn, shaped, that

IDS = np.array([15, 17, 3, 19, 8, 19, 4, 18])  # Max(1,6,2)


# Checks --------------------------------------------------------------------------------------------


def check_one_hot(module):
    rng = drawn(1)
    for V, ids in ((20, IDS), (6, rng.integers(0, 6, 4)), (3, np.array([2]))):
        found = np.asarray(call(module.one_hot, ids, V))
        shaped(found, (len(ids), V), f"the shape for {len(ids)} ids and V = {V}")
        close(found.sum(axis=1), np.ones(len(ids)), "the sum of each row", "Each row holds a single 1.")
        E = rng.normal(size=(V, 5))
        close(found @ E, E[ids], "one_hot(ids, V) @ E", "It has to pick row `id` of E for each id.")


def check_wavelength_factors(module):
    for D in (2, 8, 64):
        found = np.asarray(call(module.wavelength_factors, D))
        shaped(found, (D // 2,), f"the shape for D = {D}", "One factor for each pair of dimensions.")
        close(found[0], 1.0, "the first factor", "At i = 0 the exponent is 0.")
        wanted = [np.exp(np.log(10000) * 2 * i / D) for i in range(D // 2)]
        close(found, wanted, f"the factors for D = {D}", "The exponent is 2i/D, and the last stays below 10000.")


def check_embedding_gradient(module):
    rng = drawn(2)
    for V, ids in ((20, IDS), (5, np.array([3, 3, 3, 0])), (4, np.array([1]))):
        g = rng.normal(size=(len(ids), 3))
        found = np.asarray(call(module.embedding_gradient, g, ids, V))
        shaped(found, (V, 3), "the shape", "It is the shape of the table, (V, D), not that of g.")
        for token in range(V):
            count = int((ids == token).sum())
            hint = {0: "It does not occur: no gradient.", 1: "It occurs once."}.get(
                count, f"It occurs {count} times, and each occurrence adds its row of g: `+=` with a repeated index "
                "keeps the last alone.",
            )  # fmt: skip
            close(found[token], g[ids == token].sum(axis=0), f"the row of token {token} for ids {ids.tolist()}", hint)


def check_sinusoidal(module):
    for T, D in ((8, 64), (5, 4), (60, 6)):
        found = np.asarray(call(module.sinusoidal, T, D))
        shaped(found, (T, D), f"the shape for T = {T}, D = {D}")
        close(found[0], np.tile([0.0, 1.0], D // 2), "position 0", "sin and cos alternate: 0, 1, 0, 1, ...")
        for pos in range(1, T):
            for i in range(D // 2):
                angle = pos * np.exp(-np.log(10000) * 2 * i / D)
                close(found[pos, 2 * i], np.sin(angle), f"PE[{pos}, {2 * i}] for D = {D}", "sin in even columns.")
                close(found[pos, 2 * i + 1], np.cos(angle), f"PE[{pos}, {2 * i + 1}] for D = {D}",
                      "cos of the same angle as its neighbour on the left.")  # fmt: skip


def check_shift(module):
    for D in (2, 6, 64):
        for k in (0, 1, 5, -3):
            M = np.asarray(call(module.shift, k, D))
            shaped(M, (D, D), f"the shape for D = {D}")
            for pos in (0, 3, 10.5, 31):
                hint = "Use sin(a + b) = cos b sin a + sin b cos a on each pair (sin, cos) alone."
                close(M @ encoding(pos, D), encoding(pos + k, D), f"M @ PE[{pos}] for k = {k}, D = {D}", hint)
            close(M @ M.T, np.eye(D), f"M @ M.T for k = {k}", "Turning back undoes it: M is a rotation.")


def check_rotary(module):
    rng = drawn(3)
    for T, D in ((3, 2), (7, 8)):
        x, positions = rng.normal(size=(T, D)), rng.integers(0, 40, T)
        found = np.asarray(call(module.rotary, x, positions))
        shaped(found, x.shape, "the shape")
        close(np.hypot(found[:, 0::2], found[:, 1::2]), np.hypot(x[:, 0::2], x[:, 1::2]), "the length of each pair",
              "To turn a pair does not change its length.")  # fmt: skip
        close(call(module.rotary, x, np.zeros(T, int)), x, "all at position 0", "There the angle is 0.")
        q, k = rng.normal(size=(1, D)), rng.normal(size=(1, D))
        products = [
            float((module.rotary(q, np.array([at + 4])) @ module.rotary(k, np.array([at])).T).item())
            for at in (0, 7, 30)
        ]
        close(products, [products[0]] * 3, "query · key, four apart at 0, 7 and 30", "It may depend on the 4 alone.")
    one = call(module.rotary, np.array([[1.0, 0.0]]), np.array([1]))
    that(one[0, 1] > 0, "a positive angle turns (1, 0) towards (0, 1), not away: look at the signs")
    close(one, [[np.cos(1), np.sin(1)]], "(1, 0) turned at position 1", "In the pair i = 0 the angle is the position.")
    two = call(module.rotary, np.array([[0.0, 0.0, 1.0, 0.0]]), np.array([300]))
    close(two, [[0, 0, np.cos(3), np.sin(3)]], "the second of two pairs, at position 300", "300 / 10000^(2/4) = 3.")


def encoding(pos, D):
    """PE at any position, also between the whole ones, by the formula."""
    angles = [pos * np.exp(-np.log(10000) * 2 * i / D) for i in range(D // 2)]
    return np.array([f(angle) for angle in angles for f in (np.sin, np.cos)])


# Wrong answers -------------------------------------------------------------------------------------


def one_hot_lies_on_its_side(ids, V):
    return np.eye(V)[:, ids]


def one_hot_counts_from_one(ids, V):
    return np.eye(V)[np.asarray(ids) - 1]


def exponent_without_the_two(D):
    return 10000.0 ** (np.arange(D // 2) / D)


def wavelengths_with_two_pi(D):
    return 2 * np.pi * 10000.0 ** (np.arange(0, D, 2) / D)


def keeps_the_last_occurrence(g, ids, V):
    dE = np.zeros((V, g.shape[1]))
    dE[ids] += g
    return dE


def shaped_like_the_rows(g, ids, V):
    return g.copy()


def all_sines_first(T, D):
    turns = np.arange(T)[:, None] / 10000.0 ** (np.arange(0, D, 2) / D)
    return np.concatenate([np.sin(turns), np.cos(turns)], axis=1)


def every_column_its_own_angle(T, D):
    turns = np.arange(T)[:, None] / 10000.0 ** (np.arange(D) / D)
    return np.where(np.arange(D) % 2 == 0, np.sin(turns), np.cos(turns))


def turns_the_other_way(k, D):
    M = np.zeros((D, D))
    for i in range(D // 2):
        c, s = np.cos(k / 10000.0 ** (2 * i / D)), np.sin(k / 10000.0 ** (2 * i / D))
        M[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
    return M


def adds_the_shift(k, D):
    return np.eye(D) + k


def turns_all_pairs_alike(x, positions):
    angle = np.asarray(positions)[:, None]
    a, b = x[:, 0::2], x[:, 1::2]
    return np.stack([a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)], -1).reshape(x.shape)


def adds_instead_of_turning(x, positions):
    D = x.shape[1]
    return x + np.stack([encoding(pos, D) for pos in positions])


EXERCISES = {
    "one_hot": Exercise(1, (
        "Compare each id with every number below V: what shapes must the two have, so that they broadcast to (T, V)?",
        "`ids[:, None]` has shape (T, 1), and `np.arange(V)` has shape (V,). `==` gives truth values: make floats of "
        "them.",
    ), (one_hot_lies_on_its_side, one_hot_counts_from_one)),
    "wavelength_factors": Exercise(1, (
        "Make an array of all `i` first, and compute the exponent for all of them at once.",
        "`10000.0 ** (...)` takes an array as its exponent.",
    ), (exponent_without_the_two, wavelengths_with_two_pi)),
    "embedding_gradient": Exercise(2, (
        "Start from zeros of the shape of the table. Walk over the occurrences, and let each add its row.",
        "`dE[ids] += g` does not add twice where an id stands twice in `ids`: NumPy reads, adds and writes once for "
        "each. A loop does, and so do `np.add.at` and `one_hot(ids, V).T @ g`.",
    ), (keeps_the_last_occurrence, shaped_like_the_rows)),
    "sinusoidal": Exercise(2, (
        "First the angles, for all positions and all pairs: a column of positions over a row of factors, (T, D/2).",
        "`table[:, 0::2]` are the even columns, `table[:, 1::2]` the odd ones.",
    ), (all_sines_first, every_column_its_own_angle)),
    "shift": Exercise(3, (
        "Each pair (sin a, cos a) becomes (sin(a + b), cos(a + b)), whatever the other pairs do: M has D/2 blocks of "
        "2 × 2 along its diagonal, and zeros elsewhere.",
        "sin(a + b) = cos b · sin a + sin b · cos a, and cos(a + b) = −sin b · sin a + cos b · cos a. Read the four "
        "entries of the block off these.",
    ), (turns_the_other_way, adds_the_shift)),
    "rotary": Exercise(3, (
        "Take the even columns as a, the odd ones as b: a turned pair is (a cos θ − b sin θ, a sin θ + b cos θ).",
        "The angles are those of the sinusoidal table: positions as a column, over one factor for each pair.",
    ), (turns_all_pairs_alike, adds_instead_of_turning)),
}  # fmt: skip

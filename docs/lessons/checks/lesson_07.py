"""Lesson 7, backpropagation: what holds for a right answer, and wrong ones that must be noticed."""

import numpy as np
from judging import Exercise, call, close, differences, drawn, that

# Checks --------------------------------------------------------------------------------------------


def check_accumulate(module):
    found = call(module.accumulate, [("s", [("x", 3.0), ("x", 1.0)]), ("L", [("s", 2.0), ("x", 5.0)])])
    that(isinstance(found, dict), f"a dictionary is wanted, not {type(found).__name__}")
    that(set(found) == {"s", "x", "L"}, f"there must be an entry for each of s, x and L, and there are {sorted(found)}")
    close(found["L"], 1.0, "the derivative of the last value by itself")
    close(found["s"], 2.0, "dL/ds")
    close(found["x"], 13.0, "dL/dx", "x is used three times: 2 · 3 + 2 · 1 + 5. Uses add.")
    rng = drawn(1)
    for size in (3, 12):
        names = [f"v{k}" for k in range(size + 2)]
        steps, matrix = [], np.eye(size + 2)  # row k: derivatives of value k by all values before it, each way counted
        for k in range(2, size + 2):
            inputs = [(names[int(rng.integers(k))], float(rng.normal())) for _ in range(rng.integers(1, 4))]
            steps.append((names[k], inputs))
            for name, derivative in inputs:
                matrix[k] += derivative * matrix[names.index(name)]
        found = call(module.accumulate, steps)
        for k, name in enumerate(names):
            if name in found:
                close(found[name], matrix[-1, k], f"the derivative by {name} in {steps}",
                      "Go through the steps from the last to the first, and add at each input.")  # fmt: skip


def check_softmax_backward(module):
    rng = drawn(2)
    for shape in ((4,), (3, 5), (2, 3, 4)):
        z, g = rng.normal(size=shape), rng.normal(size=shape)
        found = call(module.softmax_backward, g, softmax(z))
        close(found, differences(softmax, z, g), f"dz for p of shape {shape}",
              "Each row by itself: the last axis is the one that sums to 1.", 1e-8)  # fmt: skip
    close(module.softmax_backward(np.full((2, 3), 7.0), softmax(rng.normal(size=(2, 3)))), np.zeros((2, 3)),
          "dz for a constant g", "The probabilities sum to 1 whatever the logits are.")  # fmt: skip


def check_linear_backward(module):
    rng = drawn(3)
    for B, T, D, E in ((2, 3, 4, 5), (1, 4, 3, 3)):
        x, W, g = rng.normal(size=(B, T, D)), rng.normal(size=(D, E)), rng.normal(size=(B, T, E))
        dx, dW, db = unpacked(call(module.linear_backward, g, x, W), 3, "dx, dW, db")
        close(dx, differences(lambda x, W=W: x @ W, x, g), "dx", "It is g Wᵀ.", 1e-8)
        close(dW, differences(lambda W, x=x: x @ W, W, g), "dW", "Merge batch and time first: every row counts.", 1e-8)
        close(db, g.reshape(-1, E).sum(axis=0), "db", "b was added to every row.")


def check_layer_norm_backward(module):
    rng = drawn(4)
    for eps in (1e-5, 0.5):
        x, gamma, g = rng.normal(size=(3, 5)), rng.normal(size=5), rng.normal(size=(3, 5))
        results = call(module.layer_norm_backward, g, x, gamma, eps)
        dx, dgamma, dbeta = unpacked(results, 3, "dx, dgamma, dbeta")
        close(dgamma, np.sum(g * norm(x, np.ones(5), eps), axis=0), "dgamma")
        close(dbeta, g.sum(axis=0), "dbeta")
        wanted = differences(lambda x, gamma=gamma, eps=eps: norm(x, gamma, eps), x, g)
        close(dx, wanted, f"dx for eps = {eps}", "x acts directly, through the mean, and through the variance.", 1e-7)


def check_attention_backward(module):
    rng = drawn(5)
    for T, S, d, e in ((3, 4, 2, 5), (4, 4, 4, 4)):
        Q, K, V = rng.normal(size=(T, d)), rng.normal(size=(S, d)), rng.normal(size=(S, e))
        dO, mask = rng.normal(size=(T, e)), rng.random((T, S)) < 0.6
        mask[:, 0] = True
        mask[:, -1] = False
        dQ, dK, dV = unpacked(call(module.attention_backward, dO, Q, K, V, mask), 3, "dQ, dK, dV")
        close(dV, differences(lambda V, Q=Q, K=K, m=mask: attend(Q, K, V, m), V, dO), "dV", "It is Aᵀ dO.", 1e-8)
        hint = "dZ = A ⊙ (dA − rowsum(dA ⊙ A)); and there is a √d."
        close(dQ, differences(lambda Q, K=K, V=V, m=mask: attend(Q, K, V, m), Q, dO), "dQ", hint, 1e-8)
        close(dK, differences(lambda K, Q=Q, V=V, m=mask: attend(Q, K, V, m), K, dO), "dK", hint, 1e-8)
        that(not np.any(dK[-1]) and not np.any(dV[-1]), "no query may attend to the last key, so it gets exactly 0")


def check_clip(module):
    rng = drawn(6)
    gradients = {"a": rng.normal(size=(3, 2)), "b": rng.normal(size=4)}
    norm = np.sqrt(sum(np.sum(g * g) for g in gradients.values()))
    for c in (norm / 3, norm * 3):
        found = call(module.clip, gradients, c)
        that(set(found) == set(gradients), "there must be a gradient for each name")
        factor = min(1.0, c / (norm + 1e-6))
        for name, g in gradients.items():
            hint = "One norm over all tensors, 1e-6 added to it; and never longer than before."
            close(found[name], factor * g, f"{name} for c = {c:.3g}, the norm being {norm:.3g}", hint)
    found = module.clip({"a": np.array([1.5]), "b": np.array([2.0])}, 1.0)
    close(found["b"], [0.8], "2.0, where the norm is 2.5 and c is 1", "The factor is 0.4.", 1e-6)


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def norm(x, gamma, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    return gamma * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)


def attend(Q, K, V, mask):
    return softmax(np.where(mask, Q @ K.T / np.sqrt(Q.shape[1]), -1e300)) @ V


def unpacked(results, count, names):
    that(isinstance(results, tuple | list) and len(results) == count, f"return {names}, {count} arrays")
    return results


# Wrong answers -------------------------------------------------------------------------------------


def overwrites(steps):
    found = {name: 0.0 for _, inputs in steps for name, _ in inputs} | {steps[-1][0]: 1.0}
    for name, inputs in reversed(steps):
        for each, derivative in inputs:
            found[each] = found.get(name, 0.0) * derivative
    return found


def goes_forward(steps):
    found = {name: 0.0 for name, inputs in steps for name in (name, *(each for each, _ in inputs))}
    found[steps[-1][0]] = 1.0
    for name, inputs in steps:
        for each, derivative in inputs:
            found[each] += found[name] * derivative
    return found


def the_diagonal_alone(g, p):
    return g * p * (1 - p)


def sums_everything(g, p):
    return p * (g - np.sum(g * p))


def no_transpose(g, x, W):
    return g @ (W if W.shape[0] == W.shape[1] else W.T), np.einsum("btd,bte->de", x, g), g.sum(axis=(0, 1))


def mean_over_the_batch(g, x, W):
    return g @ W.T, np.einsum("btd,bte->de", x, g) / len(x), g.sum(axis=(0, 1)) / len(x)


def without_the_third_term(g, x, gamma, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    h = g * gamma
    return (h - h.mean(axis=-1, keepdims=True)) / s, (g * centred / s).sum(axis=0), g.sum(axis=0)


def gamma_forgotten(g, x, gamma, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    n = centred / s
    dx = (g - g.mean(axis=-1, keepdims=True) - n * (g * n).mean(axis=-1, keepdims=True)) / s
    return dx, (g * n).sum(axis=0), g.sum(axis=0)


def one_gradient_for_all(dO, Q, K, V, mask):
    A = softmax(np.where(mask, Q @ K.T / np.sqrt(Q.shape[1]), -np.inf))
    dV = A.T @ dO
    return (dV, dV, dV) if Q.shape == V.shape else (A @ K, A.T @ Q, dV)


def root_forgotten(dO, Q, K, V, mask):
    A = softmax(np.where(mask, Q @ K.T / np.sqrt(Q.shape[1]), -np.inf))
    dA = dO @ V.T
    dZ = A * (dA - np.sum(dA * A, axis=-1, keepdims=True))
    return dZ @ K, dZ.T @ Q, A.T @ dO


def each_by_its_own_norm(gradients, c):
    return {name: min(1.0, c / (np.linalg.norm(g) + 1e-6)) * g for name, g in gradients.items()}


def lengthens(gradients, c):
    size = np.sqrt(sum(np.sum(g * g) for g in gradients.values()))
    return {name: c / (size + 1e-6) * g for name, g in gradients.items()}


EXERCISES = {
    "accumulate": Exercise(2, (
        "The derivative of the last value by itself is 1. Which step may be treated first, so that what arrives at its "
        "value is complete?",
        "`for name, inputs in reversed(steps)`: add `found[name] * derivative` to `found[each]` of every input.",
    ), (overwrites, goes_forward)),
    "softmax_backward": Exercise(1, (
        "Formula 2. The sum runs over the last axis, row by row.",
        "`np.sum(g * p, axis=-1, keepdims=True)` keeps the axis, so that it can be subtracted from g.",
    ), (the_diagonal_alone, sums_everything)),
    "linear_backward": Exercise(1, (
        "Which products of g, x and W have the shapes that are wanted?",
        "Merge batch and time: `x.reshape(-1, D)`. Then dW is one product of matrices, and db a sum over rows.",
    ), (no_transpose, mean_over_the_batch)),
    "layer_norm_backward": Exercise(3, (
        "Compute x̂ and s again. Set ĝ = g ⊙ γ and forget γ from there on.",
        "dx = (ĝ − mean(ĝ) − x̂ · mean(ĝ ⊙ x̂)) / s, both means over the row.",
    ), (without_the_third_term, gamma_forgotten)),
    "attention_backward": Exercise(3, (
        "Compute A again: −inf where the mask forbids, then a softmax by rows.",
        "dA = dO Vᵀ, then formula 2 gives dZ, then formula 5 gives dQ and dK. Each carries 1/√d once.",
    ), (one_gradient_for_all, root_forgotten)),
    "clip": Exercise(1, (
        "Square all elements of all tensors, add, take one root.",
        "`min(1.0, c / (norm + 1e-6))`: without the minimum, short gradients would be lengthened.",
    ), (each_by_its_own_norm, lengthens)),
}  # fmt: skip

"""Wrong lines in the engine, its composites, optimisers, transforms and the transformer, and the tests that must fail.

Each names the function, what stands there and what is planted, and the test files of that subject. The witness is the
planted text itself: it must differ in what it computes on numbers of no special kind, which `differs` shows by running
one call of the function's subject before and after.
"""

from dataclasses import dataclass

import numpy as np
from planting import edited

import tinygrad_edu as tg
from tinygrad_edu import Tensor, backward, functional, gradients, optim, recompute, schedules, tensor, transforms
from transformer import Transformer, TransformerConfig
from transformer.layers import attention, block, feed_forward, pooling, positions

RNG = np.random.default_rng(0)
X, Y, W = RNG.standard_normal((3, 4)), RNG.standard_normal((4,)), RNG.standard_normal((4, 4))
LOGITS, TARGETS = RNG.standard_normal((5, 4)), np.array([0, 3, 1, 0, 2])


def slope(f, *arrays):
    """The gradients of a weighed sum of f's output, as one vector."""
    xs = [Tensor(a, requires_grad=True) for a in arrays]
    y = f(*xs)
    weights = np.cos(np.arange(y.size)).reshape(y.shape)
    return np.concatenate([np.ravel(g.numpy()) for g in gradients(np.sum(y * weights), xs)])


def descent(make, steps=3):
    """Where an optimiser goes in a few steps."""
    p = Tensor(W, requires_grad=True)
    optimiser = make([p])
    for k in range(steps):
        optimiser.zero_grad()
        np.sum(np.sin(p * (k + 1))).backward()
        optimiser.step()
    return p.numpy()


def clipped(scale):
    p = Tensor(W, requires_grad=True)
    np.sum(p * p * scale).backward()
    optim.clip_grad_norm([p], 1.0)
    return p.grad.numpy()


def logits(**changes):
    sizes = {"vocab_size": 20, "embed_dim": 8, "num_heads": 2, "num_layers": 1, "ffn_dim": 16, "max_seq_len": 8}
    config = TransformerConfig(**sizes, **changes)
    tokens = np.array([[15, 17, 3, 19, 8, 18], [15, 17, 3, 18, 0, 0]])
    model = Transformer(config, seed=1)
    np.sum(model(tokens) * np.cos(np.arange(20.0))).backward()
    return np.concatenate([np.ravel(p.grad.numpy()) for p in model.parameters() if p.grad is not None])


def twice():
    x = Tensor(Y, requires_grad=True)
    for _ in range(2):
        np.sum(x * x * x).backward()
    return x.grad.numpy()


def reused(x):
    a = np.tanh(x)
    return (a * a + a) * np.exp(a)


def diamond(x):
    a = x * 2.0
    b, c = np.sin(a), np.cos(a)
    return (b * c + b) * a


def tangled(x):
    a = x * 1.5
    b = np.sin(a)
    c = b * a
    d = np.cos(b) + c * a
    return (d * b + c) * a + d


def halves(x):
    q, r = np.linalg.qr(x)
    return q


def caller_keeps_its_array():
    x, g = Tensor(Y, requires_grad=True), np.ones(4)
    (x + 0.0).backward(g)
    x.grad.data[0] = 7.0
    return g


def where_hides_infinity(x):
    return np.where(np.arange(4) < 2, x, np.log(x * 0.0))


def under_no_grad():
    x = Tensor(Y, requires_grad=True)
    with tg.no_grad():
        y = x * 2.0
    return np.array(float(y.requires_grad))


@dataclass(frozen=True)
class LinePlant:
    name: str
    function: object
    old: str
    new: str
    witness: object
    tests: tuple

    def planted(self):
        return edited(self.function, self.old, self.new)


def plant(name, function, old, new, witness, *tests):
    return LinePlant(name, function, old, new, witness, tests)


GRAPH = ("test_engine_graph.py", "test_engine_safety.py", "test_engine_lifetime.py")
FUNCTIONAL = ("test_fused.py", "test_by_hand_formulas.py", "test_functional.py", "test_functional_gradients.py")
OPTIM = ("test_optim.py", "test_by_hand_optimisers.py", "test_optim_limits.py")
MODEL = ("test_model.py", "test_by_hand_model.py")
CENTRED = "x - np.mean(x, axis=-1, keepdims=True)"
ROOT = "np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True) + eps)"

PLANTS = [
    # The pass
    plant("a broadcast averaged, not summed", backward.unbroadcast, "np.sum(g, axis=axes", "np.mean(g, axis=axes",
          lambda: slope(np.add, X, X[:, :1]), "test_rules.py"),
    plant("a left-off axis averaged", backward.unbroadcast, "np.sum(g, axis=tuple(range(extra)))",
          "np.mean(g, axis=tuple(range(extra)))", lambda: slope(np.multiply, X, Y), *GRAPH),
    plant("shares overwritten", backward.reverse, "cotangents[target] = held + share", "cotangents[target] = share",
          lambda: slope(reused, Y[0]), *GRAPH),
    plant("shares of arrays lost", backward.reverse, "held += share\n", "held += 0.0 * share\n",
          lambda: slope(diamond, X), *GRAPH),
    plant("a node passes on before its consumers are done", backward.reverse,
          "heappushpop(waiting, (-fresh.number, fresh))[1]", "(fresh, heappush(waiting, (-fresh.number, fresh)))[0]",
          lambda: slope(tangled, X), *GRAPH),
    plant("what where left aside leaks", backward.reverse, "share = np.where(g == 0, 0.0, share)", "pass",
          lambda: slope(where_hides_infinity, Y), "test_rules_conventions.py", "test_engine_safety.py"),
    plant("an output's cotangent is filed under another", backward.file_under, "gathered[index] = g",
          "gathered[0] = g", lambda: slope(lambda x: np.linalg.qr(x)[1], W), *GRAPH, "test_rules.py"),
    plant("ones for outputs that nobody used", backward.filled, "np.zeros(shape, dtype)", "np.ones(shape, dtype)",
          lambda: slope(halves, W), "test_engine_graph.py", "test_rules.py"),
    plant("a second backward replaces the first", tensor.Tensor.backward, "make(Tensor, held._value + g, None)",
          "make(Tensor, g, None)", twice, *GRAPH),
    plant("a second backward counts the first again", tensor.Tensor.backward, "held._value + g", "held._value * 2 + g",
          twice, *GRAPH),
    plant("a gradient is the caller's own array", tensor.as_gradient, "g if alone else np.array(g)", "g",
          caller_keeps_its_array, *GRAPH, "test_rules.py"),
    plant("no_grad records", tg.no_grad.__wrapped__, "recording=False", "recording=True", under_no_grad, *GRAPH),
    plant("a cotangent of another shape is taken", tensor.cotangent_of, "value.shape != output.shape or", "",
          None, "test_errors.py", "test_engine_safety.py"),
    # Transforms
    plant("ones where nothing depends", transforms.Traced.pull, "np.zeros(x.shape, x.dtype)",
          "np.ones(x.shape, x.dtype)", lambda: tg.grad(lambda x, y: np.sum(x), (0, 1))(X, Y)[1],
          "test_engine_transforms.py"),
    plant("one tangent forgotten", transforms.pushed_forward, "total + share", "total",
          lambda: tg.jvp(np.multiply, (X, Y), (X, Y))[1], "test_engine_transforms.py", "test_rules.py"),
    plant("a pullback of several outputs keeps the first", transforms.vjp, "[a + b for a, b in", "[a for a, b in",
          lambda: tg.vjp(lambda x: (x, x * x), Y)[1]((Y, Y))[0], "test_engine_transforms.py"),
    plant("a checkpoint that was not the same passes", recompute.pull_through, "!= mark", "== None",
          None, "test_memory.py", "test_engine_lifetime.py", "test_engine_safety.py"),
    # Composites
    plant("softmax without its second term", functional.softmax, "e / total(e, axis)",
          "e / stop_gradient(total(e, axis))", lambda: slope(functional.softmax, X), *FUNCTIONAL),
    plant("softmax over the wrong axis", functional.softmax, "total(e, axis)", "total(e, 0)",
          lambda: slope(functional.softmax, W), *FUNCTIONAL),
    plant("log-softmax without its second term", functional.log_softmax, "np.log(total(np.exp(shifted), axis))",
          "stop_gradient(np.log(total(np.exp(shifted), axis)))", lambda: slope(functional.log_softmax, X), *FUNCTIONAL),
    plant("log-sum-exp without its shift", functional.logsumexp, "where(top == np.inf, 0.0, top)", "0.0",
          lambda: np.asarray(functional.logsumexp(X)), *FUNCTIONAL),
    plant("layer norm without the mean's path", functional.layer_norm, f"centred = {CENTRED}",
          "centred = x - stop_gradient(np.mean(x, axis=-1, keepdims=True))",
          lambda: slope(functional.layer_norm, X), *FUNCTIONAL),
    plant("layer norm without the variance's path", functional.layer_norm, f"centred / {ROOT}",
          f"centred / stop_gradient({ROOT})", lambda: slope(functional.layer_norm, X), *FUNCTIONAL),
    plant("layer norm with eps outside the root", functional.layer_norm, f"centred / {ROOT}",
          "centred / (np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True)) + eps)",
          lambda: slope(functional.layer_norm, X), *FUNCTIONAL),
    plant("layer norm without its bias", functional.layer_norm, "else y + bias", "else y",
          lambda: np.asarray(functional.layer_norm(X, Y, Y)), *FUNCTIONAL),
    plant("rms norm with a constant root", functional.rms_norm,
          "np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)",
          "stop_gradient(np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps))",
          lambda: slope(functional.rms_norm, X), *FUNCTIONAL),
    plant("attention scaled by d", functional.attention, "1 / math.sqrt(q.shape[-1])", "1 / q.shape[-1]",
          lambda: slope(functional.attention, X, X, X), *FUNCTIONAL),
    plant("attention not scaled", functional.attention, "1 / math.sqrt(q.shape[-1])", "1.0",
          lambda: slope(functional.attention, X, X, X), *FUNCTIONAL),
    plant("masked keys weigh a little", functional.attention, "scores, -np.inf)", "scores, -5.0)",
          lambda: np.asarray(functional.attention(X, X, X, np.tril(np.ones((3, 3), bool)))), *FUNCTIONAL),
    plant("gelu's cube off", functional.gelu, "0.044715", "0.04715", lambda: np.asarray(functional.gelu(X, "tanh")),
          *FUNCTIONAL),
    plant("gelu without its half", functional.gelu, "* 0.5 + 0.5)\n    if", "* 0.5 + 0.501)\n    if",
          lambda: np.asarray(functional.gelu(X)), *FUNCTIONAL),
    plant("silu is sigmoid", functional.silu, "x * sigmoid(x)", "sigmoid(x)", lambda: np.asarray(functional.silu(X)),
          *FUNCTIONAL),
    plant("dropout does not scale", functional.dropout, "1 / (1 - p)", "1.0",
          lambda: np.asarray(functional.dropout(X, 0.5, np.random.default_rng(0))), *FUNCTIONAL),
    plant("dropout drops what it should keep", functional.dropout, ">= p", "< p",
          lambda: np.asarray(functional.dropout(X, 0.2, np.random.default_rng(0))), *FUNCTIONAL, "test_nn.py"),
    plant("cross-entropy summed", functional.cross_entropy, "return np.mean(", "return np.sum(",
          lambda: np.asarray(functional.cross_entropy(LOGITS, TARGETS)), *FUNCTIONAL),
    plant("ignored targets counted", functional.cross_entropy, "wanted != ignore", "wanted != -99",
          lambda: np.asarray(functional.cross_entropy(LOGITS, TARGETS, ignore=0)), *FUNCTIONAL),
    plant("label smoothing twice", functional.cross_entropy, "* label_smoothing\n", "* label_smoothing * 2\n",
          lambda: np.asarray(functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1)), *FUNCTIONAL),
    plant("ids may count from the end", functional.embedding,
          'check_range("embedding", "id", rows, weight.shape[0])', "pass", None, *FUNCTIONAL, "test_errors.py"),
    plant("mse summed", functional.mse, "np.mean(", "np.sum(", lambda: slope(functional.mse, X, X + 1), *FUNCTIONAL),
    # Optimisers
    plant("Adam without the first correction", optim.Adam.update, "lr / (1 - beta1**count)", "lr",
          lambda: descent(optim.Adam), *OPTIM),
    plant("Adam without the second correction", optim.Adam.update, "1 / math.sqrt(1 - beta2**count)", "1.0",
          lambda: descent(optim.Adam), *OPTIM),
    plant("Adam with eps inside the root", optim.Adam.update, "below = np.sqrt(v)", "below = np.sqrt(v + self.eps)",
          lambda: descent(lambda p: optim.Adam(p, eps=1e-3)), *OPTIM),
    plant("Adam squares a mean", optim.Adam.update, "g *= g  #", "g *= 1.0  #", lambda: descent(optim.Adam), *OPTIM),
    plant("AdamW's decay goes through the moments", optim.Adam.update, "and self.decoupled", "and False",
          lambda: descent(optim.AdamW), *OPTIM),
    plant("AdamW's decay forgets the rate", optim.Adam.update, "1 - lr * self.weight_decay", "1 - self.weight_decay",
          lambda: descent(optim.AdamW), *OPTIM),
    plant("momentum with the wrong sign", optim.SGD.update, "v += step", "v -= step",
          lambda: descent(lambda p: optim.SGD(p, 0.1, momentum=0.9)), *OPTIM),
    plant("Nesterov looks nowhere", optim.SGD.update, "self.momentum * v + step if", "v if",
          lambda: descent(lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True)), *OPTIM),
    plant("decay with the wrong sign", optim.SGD.update, "g + self.weight_decay", "g - self.weight_decay",
          lambda: descent(lambda p: optim.SGD(p, 0.1, weight_decay=0.1)), *OPTIM),
    plant("short gradients are stretched", optim.clip_grad_norm, "if factor < 1:", "if factor > 0:",
          lambda: clipped(1e-3), *OPTIM),
    plant("clipping is off by a factor", optim.clip_grad_norm, "g * factor if", "g * factor * 0.5 if",
          lambda: clipped(10.0), *OPTIM),
    plant("warm-up starts at nothing", schedules.warmup_cosine, "(step + 1) / warmup", "step / warmup",
          lambda: np.array(schedules.warmup_cosine(1.0, 4, 10)(1)), *OPTIM),
    plant("a cosine that ends too low", schedules.warmup_cosine, "floor + (lr - floor)", "(lr - floor)",
          lambda: np.array(schedules.warmup_cosine(1.0, 2, 10, 0.2)(6)), *OPTIM),
    # The transformer
    plant("heads are not joined in order", attention.Attention.forward, "heads.swapaxes(1, 2).reshape", "heads.reshape",
          lambda: logits(), *MODEL),
    plant("queries and keys exchanged", attention.Attention.forward, "q, k, v = (part", "k, q, v = (part",
          lambda: logits(), *MODEL),
    plant("keys do not turn", attention.Attention.forward, "self.rotary(q, start), self.rotary(k, start)",
          "self.rotary(q, start), k", lambda: logits(positions="rotary"), *MODEL),
    plant("no residual around attention", block.Block.after, "x + change if self.residual", "change if True",
          lambda: logits(), *MODEL),
    plant("no residual before the norm", block.Block.after, "x + change if self.residual", "change if True",
          lambda: logits(norm="pre"), *MODEL),
    plant("no activation", feed_forward.FeedForward.forward, "self.activation(self.up(x))", "self.up(x)",
          lambda: logits(), *MODEL),
    plant("padding counts in the mean", pooling.pool, "valid / np.maximum(count, 1)", "(valid | True) / x.shape[1]",
          lambda: logits(pooling="mean"), *MODEL),
    plant("the last position is the first", pooling.pool, "T - 1 - np.argmax", "0 * np.argmax",
          lambda: logits(pooling="last"), *MODEL),
    plant("sines and cosines exchanged", positions.SinusoidalPositions.__init__, "[np.sin(turns), np.cos(turns)]",
          "[np.cos(turns), np.sin(turns)]", lambda: logits(), *MODEL),
    plant("pairs turn the wrong way", positions.Rotary.forward, "* self.sin[at]", "* -self.sin[at]",
          lambda: logits(positions="rotary"), *MODEL),
    plant("the present is masked too", Transformer.joint_mask, "np.tri(T, S, S - T, dtype",
          "np.tri(T, S, S - T - 1, dtype", lambda: logits(causal=True, pooling=None), *MODEL),
    plant("one step of the future is seen", Transformer.joint_mask, "np.tri(T, S, S - T, dtype",
          "np.tri(T, S, S - T + 1, dtype", lambda: logits(causal=True, pooling=None), *MODEL),
]  # fmt: skip


def differs(planted):
    """Does the plant change what its witness computes, by more than it rounds? Plants of guards have no numbers.

    The witness runs composites as they are defined; tests hold the kernels that stand in for them to that.
    """
    if planted.witness is None:
        return True
    with np.errstate(all="ignore"), tg.definitions():
        right = planted.witness()
        try:
            with planted.planted():
                wrong = planted.witness()
        except Exception:
            return True
    if np.shape(right) != np.shape(wrong):
        return True
    return not np.allclose(right, wrong, rtol=1e-7, atol=1e-12, equal_nan=True)

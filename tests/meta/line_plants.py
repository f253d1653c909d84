"""Wrong lines in the engine, its composites, optimisers, transforms and the transformer, and the tests that must fail.

Each names the function, what stands there and what is planted, and the test, or the file of them, that has to notice.
The witness is the planted text itself: it must differ in what it computes on numbers of no special kind, which
`differs` shows by running one call of the function's subject before and after.
"""

from dataclasses import dataclass

import numpy as np
from planting import edited

import tinygrad_edu as tg
from tinygrad_edu import Tensor, backward, functional, gradients, optim, recompute, schedules, tensor, transforms
from tinygrad_edu.rules import fused_attention
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


def rule(order, name):
    return f"test_rules.py::test_{order}_derivative_is_what_finite_differences_say[{name}]"


def kernel(name):
    return f"test_fused.py::test_kernel_and_definition_agree_to_the_second_derivative[{name}]"


def by_hand(name):
    return f"test_by_hand_formulas.py::test_derived_gradient_is_the_one_by_hand[{name}]"


def optim_test(name):
    return f"test_optim.py::test_{name}"


def model_test(name):
    return f"test_model.py::test_{name}"


WRITTEN_OUT = model_test("encoder_equals_the_same_model_written_out_position_by_position")
CENTRED = "x - np.mean(x, axis=-1, keepdims=True)"
ROOT = "np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True) + eps)"

PLANTS = [
    # The pass
    plant("a broadcast averaged, not summed", backward.unbroadcast, "np.sum(g, axis=axes", "np.mean(g, axis=axes",
          lambda: slope(np.add, X, X[:, :1]), rule("first", "where")),
    plant("a left-off axis averaged", backward.unbroadcast, "np.sum(g, axis=tuple(range(extra)))",
          "np.mean(g, axis=tuple(range(extra)))", lambda: slope(np.multiply, X, Y),
          "test_engine_graph.py::test_every_use_of_one_of_several_outputs_counts"),
    plant("shares overwritten", backward.reverse, "cotangents[target] = held + share", "cotangents[target] = share",
          lambda: slope(reused, Y[0]),
          "test_engine_graph.py::test_every_consumer_adds_its_share_before_a_cotangent_goes_on"),
    plant("shares of arrays lost", backward.reverse, "held += share\n", "held += 0.0 * share\n",
          lambda: slope(diamond, X), "test_engine_graph.py::test_every_use_of_one_of_several_outputs_counts"),
    plant("a node passes on before its consumers are done", backward.reverse,
          "heappushpop(waiting, (-fresh.number, fresh))[1]", "(fresh, heappush(waiting, (-fresh.number, fresh)))[0]",
          lambda: slope(tangled, X), "test_engine_graph.py::test_shares_that_arrive_late_still_count"),
    plant("what where left aside leaks", backward.of_selected, "np.where(g == 0, 0.0, share)", "share",
          lambda: slope(where_hides_infinity, Y), "test_rules_conventions.py"),
    plant("an output's cotangent is filed under another", backward.file_under, "gathered[index] = g",
          "gathered[0] = g", lambda: slope(lambda x: np.linalg.qr(x)[1], W),
          "test_engine_lifetime.py::test_nothing_of_a_graph_is_left_after_its_loss_goes"),
    plant("ones for outputs that nobody used", backward.filled, "np.zeros((), dtype)", "np.ones((), dtype)",
          lambda: slope(halves, W), rule("second", "linalg.eigvalsh")),
    plant("a second backward replaces the first", tensor.Tensor.backward, "make(Tensor, held._value + g, None)",
          "make(Tensor, g, None)", twice, "test_engine_graph.py::test_a_second_graph_adds_exactly_once_to_a_gradient"),
    plant("a second backward counts the first again", tensor.Tensor.backward, "held._value + g", "held._value * 2 + g",
          twice, "test_engine_graph.py::test_a_second_graph_adds_exactly_once_to_a_gradient"),
    plant("a gradient is the caller's own array", tensor.as_gradient, "g.copy()", "g",
          caller_keeps_its_array, "test_engine_graph.py::test_a_gradient_is_never_the_callers_cotangent"),
    plant("no_grad records", tg.no_grad.__wrapped__, "within(None)", "but(recording=True)", under_no_grad,
          "test_engine_safety.py::test_a_loss_that_depends_on_nothing_is_refused"),
    plant("a cotangent of another shape is taken", tensor.cotangent_of, "value.shape != output.shape or", "",
          None, "test_errors.py"),
    # Transforms
    plant("ones where nothing depends", transforms.Traced.pull, "np.zeros_like(x)", "np.ones_like(x)",
          lambda: tg.grad(lambda x, y: np.sum(x), (0, 1))(X, Y)[1],
          "test_engine_transforms.py"),
    plant("one tangent forgotten", transforms.pushed_forward, "total + share", "total",
          lambda: tg.jvp(np.multiply, (X, Y), (X, Y))[1], "test_engine_transforms.py"),
    plant("a pullback of several outputs keeps the first", transforms.vjp, "[a + b for a, b in", "[a for a, b in",
          lambda: tg.vjp(lambda x: (x, x * x), Y)[1]((Y, Y))[0], "test_engine_transforms.py"),
    plant("a checkpoint that was not the same passes", recompute.pull_through, "!= mark", "== None",
          None, "test_memory.py::test_a_checkpoint_that_gives_another_result_the_second_time_is_an_error"),
    # Composites
    plant("softmax without its second term", functional.softmax, "e / total(e, axis)",
          "e / stop_gradient(total(e, axis))", lambda: slope(functional.softmax, X), kernel("softmax")),
    plant("softmax over the wrong axis", functional.softmax, "total(e, axis)", "total(e, 0)",
          lambda: slope(functional.softmax, W), kernel("softmax")),
    plant("log-softmax without its second term", functional.log_softmax, "np.log(total(np.exp(shifted), axis))",
          "stop_gradient(np.log(total(np.exp(shifted), axis)))", lambda: slope(functional.log_softmax, X),
          kernel("log_softmax")),
    plant("log-sum-exp without its shift", functional.logsumexp, "where(top == np.inf, 0.0, top)", "0.0",
          lambda: np.asarray(functional.logsumexp(X)), kernel("logsumexp")),
    plant("layer norm without the mean's path", functional.layer_norm, f"centred = {CENTRED}",
          "centred = x - stop_gradient(np.mean(x, axis=-1, keepdims=True))",
          lambda: slope(functional.layer_norm, X), kernel("layer_norm")),
    plant("layer norm without the variance's path", functional.layer_norm, f"centred / {ROOT}",
          f"centred / stop_gradient({ROOT})", lambda: slope(functional.layer_norm, X), kernel("layer_norm")),
    plant("layer norm with eps outside the root", functional.layer_norm, f"centred / {ROOT}",
          "centred / (np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True)) + eps)",
          lambda: slope(functional.layer_norm, X), kernel("layer_norm")),
    plant("layer norm without its bias", functional.layer_norm, "else y + bias", "else y",
          lambda: np.asarray(functional.layer_norm(X, Y, Y)), kernel("layer_norm")),
    plant("rms norm with a constant root", functional.rms_norm,
          "np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps)",
          "stop_gradient(np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + eps))",
          lambda: slope(functional.rms_norm, X), kernel("rms_norm")),
    plant("attention scaled by d", functional.attention, "1 / math.sqrt(q.shape[-1])", "1 / q.shape[-1]",
          lambda: slope(functional.attention, X, X, X), by_hand("scaled_attention")),
    plant("attention not scaled", functional.attention, "1 / math.sqrt(q.shape[-1])", "1.0",
          lambda: slope(functional.attention, X, X, X), by_hand("scaled_attention")),
    plant("masked keys weigh a little", functional.attention, "scores, -np.inf)", "scores, -5.0)",
          lambda: np.asarray(functional.attention(X, X, X, np.tril(np.ones((3, 3), bool)))), kernel("attention")),
    plant("gelu's cube off", functional.gelu, "0.044715", "0.04715", lambda: np.asarray(functional.gelu(X, "tanh")),
          kernel("gelu_tanh")),
    plant("gelu without its half", functional.gelu, "* 0.5 + 0.5)\n    if", "* 0.5 + 0.501)\n    if",
          lambda: np.asarray(functional.gelu(X)), kernel("gelu")),
    plant("silu is sigmoid", functional.silu, "x * sigmoid(x)", "sigmoid(x)", lambda: np.asarray(functional.silu(X)),
          kernel("silu")),
    plant("dropout does not scale", functional.dropout, "1 / (1 - p)", "1.0",
          lambda: np.asarray(functional.dropout(X, 0.5, np.random.default_rng(0))), by_hand("dropout")),
    plant("dropout drops what it should keep", functional.dropout, ">= p", "< p",
          lambda: np.asarray(functional.dropout(X, 0.2, np.random.default_rng(0))), by_hand("dropout")),
    plant("cross-entropy summed", functional.cross_entropy, "return np.mean(", "return np.sum(",
          lambda: np.asarray(functional.cross_entropy(LOGITS, TARGETS)), kernel("cross_entropy")),
    plant("ignored targets counted", functional.cross_entropy, "wanted != ignore", "wanted != -99",
          lambda: np.asarray(functional.cross_entropy(LOGITS, TARGETS, ignore=0)),
          by_hand("softmax_cross_entropy_padded")),
    plant("label smoothing twice", functional.cross_entropy, "* label_smoothing\n", "* label_smoothing * 2\n",
          lambda: np.asarray(functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1)),
          kernel("cross_entropy_smooth")),
    plant("ids may count from the end", functional.embedding,
          'check_range("embedding", "id", rows, weight.shape[0])', "pass", None, "test_errors.py"),
    plant("mse summed", functional.mse, "np.mean(", "np.sum(", lambda: slope(functional.mse, X, X + 1),
          by_hand("half_squared_error")),
    # Optimisers
    plant("Adam without the first correction", optim.Adam.update, "lr / (1 - beta1**count)", "lr",
          lambda: descent(optim.Adam), "test_optim.py"),
    plant("Adam without the second correction", optim.Adam.update, "1 / math.sqrt(1 - beta2**count)", "1.0",
          lambda: descent(optim.Adam), "test_optim.py"),
    plant("Adam with eps inside the root", optim.Adam.update, "below = np.sqrt(v)", "below = np.sqrt(v + self.eps)",
          lambda: descent(lambda p: optim.Adam(p, eps=1e-3)), "test_optim.py"),
    plant("Adam squares a mean", optim.Adam.update, "g *= g  #", "g *= 1.0  #", lambda: descent(optim.Adam),
          "test_optim.py"),
    plant("AdamW's decay goes through the moments", optim.Adam.update, "and self.decoupled", "and False",
          lambda: descent(optim.AdamW), "test_optim.py"),
    plant("AdamW's decay forgets the rate", optim.Adam.update, "1 - lr * self.weight_decay", "1 - self.weight_decay",
          lambda: descent(optim.AdamW), "test_optim.py"),
    plant("momentum with the wrong sign", optim.SGD.update, "v += step", "v -= step",
          lambda: descent(lambda p: optim.SGD(p, 0.1, momentum=0.9)), "test_optim.py"),
    plant("Nesterov looks nowhere", optim.SGD.update, "self.momentum * v + step if", "v if",
          lambda: descent(lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True)), "test_optim.py"),
    plant("decay with the wrong sign", optim.SGD.update, "g + self.weight_decay", "g - self.weight_decay",
          lambda: descent(lambda p: optim.SGD(p, 0.1, weight_decay=0.1)), "test_optim.py"),
    plant("short gradients are stretched", optim.clip_grad_norm, "if factor < 1:", "if factor > 0:",
          lambda: clipped(1e-3), optim_test("clipping_scales_all_gradients_by_one_factor_and_returns_the_norm")),
    plant("clipping is off by a factor", optim.clip_grad_norm, "g * factor if", "g * factor * 0.5 if",
          lambda: clipped(10.0), optim_test("clipping_scales_all_gradients_by_one_factor_and_returns_the_norm")),
    plant("warm-up starts at nothing", schedules.warmup_cosine, "(step + 1) / warmup", "step / warmup",
          lambda: np.array(schedules.warmup_cosine(1.0, 4, 10)(1)),
          optim_test("schedules_pass_through_their_landmarks")),
    plant("a cosine that ends too low", schedules.warmup_cosine, "floor + (lr - floor)", "(lr - floor)",
          lambda: np.array(schedules.warmup_cosine(1.0, 2, 10, 0.2)(6)),
          optim_test("schedules_pass_through_their_landmarks")),
    # The transformer
    plant("heads are not joined in order", fused_attention.join_heads, "np.swapaxes(x, -3, -2)", "x",
          lambda: logits(), kernel("self_attention")),
    plant("queries and keys exchanged", functional.self_attention, "q, k, v = split_heads", "k, q, v = split_heads",
          lambda: logits(positions="alibi"), kernel("self_attention")),
    plant("keys do not turn", attention.Attention.forward, "self.rotary(q, start), self.rotary(k, start)",
          "self.rotary(q, start), k", lambda: logits(positions="rotary"),
          model_test("model_of_distances_knows_no_places[rotary]")),
    plant("no residual around attention", block.Block.after, "x + change if self.residual", "change if True",
          lambda: logits(), WRITTEN_OUT),
    plant("no residual before the norm", block.Block.after, "x + change if self.residual", "change if True",
          lambda: logits(norm="pre"), WRITTEN_OUT),
    plant("no activation", feed_forward.FeedForward.forward, "self.activation(self.up(x))", "self.up(x)",
          lambda: logits(), WRITTEN_OUT),
    plant("padding counts in the mean", pooling.pool, "valid / np.maximum(count, 1)", "(valid | True) / x.shape[1]",
          lambda: logits(pooling="mean"), model_test("padded_tail_changes_no_logits")),
    plant("the last position is the first", pooling.pool, "T - 1 - np.argmax", "0 * np.argmax",
          lambda: logits(pooling="last"), model_test("pooling_is_over_the_valid_positions")),
    plant("sines and cosines exchanged", positions.SinusoidalPositions.__init__, "[np.sin(turns), np.cos(turns)]",
          "[np.cos(turns), np.sin(turns)]", lambda: logits(), WRITTEN_OUT),
    plant("pairs turn the wrong way", positions.Rotary.forward, "* self.sin[at]", "* -self.sin[at]",
          lambda: logits(positions="rotary"), model_test("rotary_scores_depend_on_distance_alone")),
    plant("the present is masked too", Transformer.joint_mask, "np.tri(T, S, S - T, dtype",
          "np.tri(T, S, S - T - 1, dtype", lambda: logits(causal=True, pooling=None),
          model_test("attention_weights_are_the_real_ones")),
    plant("one step of the future is seen", Transformer.joint_mask, "np.tri(T, S, S - T, dtype",
          "np.tri(T, S, S - T + 1, dtype", lambda: logits(causal=True, pooling=None),
          model_test("later_token_changes_no_earlier_logits_when_causal")),
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

"""The formulas that come out when rules run on symbols: they compute the gradients, and they read like a textbook."""

import inspect

import numpy as np
import pytest
from by_hand.cases import CASES
from by_hand.judge import assert_close
from forward_passes import FORWARD

from tinygrad_edu import Tensor, derive, gradients, nn
from tinygrad_edu import functional as F
from tinygrad_edu.errors import NotTrackedError, RuleError, UnsupportedError
from tinygrad_edu.formulas import simplifier
from tinygrad_edu.formulas.algebra import broadcast
from tinygrad_edu.formulas.expressions import number

# Computed: every formula of the lesson, on other numbers than it was derived with


def case(name, seed):
    """The forward pass as a function of named arguments, the arguments, and what is passed besides."""
    draw, run = CASES[name]
    inputs, constants = draw(np.random.default_rng(seed), 2, 3, 4)
    signature = inspect.signature(run).parameters
    names = [p for p in signature if p not in constants][: len(inputs)]
    if "names" in constants:
        names = [next(iter(signature)), *[each.replace(".", "_") for each in constants["names"]]]
    plain = {key: value for key, value in constants.items() if not isinstance(value, np.ndarray)}

    def forward(**given):
        return FORWARD[name](*[given.pop(each) for each in names], **given, **plain)

    return forward, dict(zip(names, inputs, strict=True)), constants, run


@pytest.mark.parametrize("name", CASES)
def test_the_derived_formulas_compute_the_gradients_by_hand_and_the_engines(name):
    forward, arrays, constants, run = case(name, seed=1)
    held = {key: value for key, value in constants.items() if isinstance(value, np.ndarray)}
    found = derive(forward, wrt=tuple(arrays), **arrays, **held)

    _, other, _, _ = case(name, seed=2)
    positive = name == "cross_entropy_on_probabilities"
    other = {key: other[key] if positive else other[key].reshape(arrays[key].shape) for key in arrays}
    value, pullback = run(*other.values(), **constants)
    g = np.random.default_rng(3).normal(size=np.shape(value))
    computed = found.evaluate(g, **other)
    assert_close(computed[found.output], value, rtol=1e-10, name=f"{name}, value")

    tensors = [Tensor(x, requires_grad=True) for x in other.values()]
    output = forward(**dict(zip(other, tensors, strict=True)), **held)
    engine = gradients(output, tensors, Tensor(g))
    for argument, by_hand, tensor in zip(other, pullback(g), engine, strict=True):
        assert_close(computed[f"∂{argument}"], by_hand, rtol=1e-10, name=f"{name}, {argument}, by hand")
        assert_close(computed[f"∂{argument}"], tensor.numpy(), rtol=1e-10, name=f"{name}, {argument}, engine")


# Read: what a textbook would print


def block(X, W_1, b_1, W_2, b_2):
    H = X @ W_1 + b_1
    A = F.relu(H)
    return X + A @ W_2 + b_2


def lookup(E, P, ids):
    return F.embedding(E, ids) + P


def tied(h, E, t):
    return F.cross_entropy(h @ E.T, t)


def dropped(X, M, p):
    return X * M / (1 - p)


GOLDEN = {
    "cross-entropy on probabilities": (
        lambda p, t: -np.mean(np.log(p[np.arange(p.shape[0]), t])), {"p": "N V > 0", "t": "N < V"},
        {"∂p": r"\bar{p} = -\frac{Y}{N\,\operatorname{rowsum}(Y \odot p)}", "Y": r"Y = \operatorname{onehot}(t)"},
    ),
    "softmax": (
        F.softmax, {"x": "N V"},
        {"∂x": r"\bar{x} = Y \odot (\bar{Y} - \operatorname{rowsum}(\bar{Y} \odot Y))"},
    ),
    "log-softmax": (
        F.log_softmax, {"x": "N V"},
        {"Y": r"Y = x - \log(\operatorname{rowsum}(\exp(x)))",
         "∂x": r"\bar{x} = \bar{Y} - \operatorname{softmax}(x) \odot \operatorname{rowsum}(\bar{Y})"},
    ),
    "softmax with cross-entropy": (
        lambda Z, t: F.cross_entropy(Z, t), {"Z": "N V", "t": "N < V"},
        {"L": r"L = \operatorname{mean}(\log(\operatorname{rowsum}(\exp(Z))) - \operatorname{rowsum}(Y \odot Z))",
         "P": r"P = \operatorname{softmax}(Z)", "∂Z": r"\bar{Z} = \frac{P - Y}{N}"},
    ),
    "softmax with cross-entropy, batch and time": (
        lambda Z, t: F.cross_entropy(Z, t), {"Z": "B T V", "t": "B T < V"}, {"∂Z": r"\bar{Z} = \frac{P - Y}{B T}"},
    ),
    "label smoothing": (
        lambda Z, t, a: F.cross_entropy(Z, t, label_smoothing=a), {"Z": "N V", "t": "N < V", "a": 0.1},
        {"∂Z": r"\bar{Z} = \frac{P - \frac{a}{V} - (1 - a)\,Y}{N}"},
    ),
    "temperature": (
        lambda Z, t, tau: F.cross_entropy(Z / tau, t), {"Z": "N V", "t": "N < V", "tau": 0.7},
        {"∂Z": r"\bar{Z} = \frac{\operatorname{softmax}\left(\frac{Z}{\tau}\right) - Y}{\tau N}"},
    ),
    "linear": (
        lambda X, W, b: X @ W + b, {"X": "N D", "W": "D E", "b": "E"},
        {"Y": "Y = X W + b", "∂X": r"\bar{X} = \bar{Y} W^\top", "∂W": r"\bar{W} = X^\top \bar{Y}",
         "∂b": r"\bar{b} = \sum_{N} \bar{Y}"},
    ),
    "linear, batch and time": (
        lambda X, W, b: X @ W + b, {"X": "B T D", "W": "D E", "b": "E"},
        {"∂X": r"\bar{X} = \bar{Y} W^\top",
         "∂W": r"\bar{W} = \operatorname{flat}(X)^\top \operatorname{flat}(\bar{Y})",
         "∂b": r"\bar{b} = \sum_{B,T} \bar{Y}"},
    ),
    "relu": (F.relu, {"x": "N D"}, {"∂x": r"\bar{x} = \bar{Y} \odot [x > 0]"}),
    "gelu": (F.gelu, {"x": "N D"}, {
        "Y": r"Y = x \odot \Phi(x)", "∂x": r"\bar{x} = \bar{Y} \odot (\Phi(x) + x \odot \varphi(x))"}),
    "sigmoid": (F.sigmoid, {"x": "N D"}, {
        "Y": r"Y = \sigma(x)", "∂x": r"\bar{x} = \bar{Y} \odot Y \odot (1 - Y)"}),
    "silu": (F.silu, {"x": "N D"}, {
        "S": r"S = \sigma(x)", "∂x": r"\bar{x} = \bar{Y} \odot S \odot (x \odot (1 - S) + 1)"}),
    "layer norm": (
        lambda X, gamma, beta, eps: F.layer_norm(X, gamma, beta, eps),
        {"X": "N D", "gamma": "D", "beta": "D", "eps": 1e-5},
        {"x_hat": r"\hat{x} = \frac{X - \operatorname{rowmean}(X)}{s}",
         "s": r"s = \sqrt{\operatorname{rowmean}((X - \operatorname{rowmean}(X))^{2}) + \varepsilon}",
         "∂x_hat": r"\bar{\hat{x}} = \bar{Y} \odot \gamma",
         "∂X": r"\bar{X} = \frac{\bar{\hat{x}} - \hat{x} \odot \operatorname{rowmean}(\bar{\hat{x}} \odot \hat{x})"
               r" - \operatorname{rowmean}(\bar{\hat{x}})}{s}",
         "∂gamma": r"\bar{\gamma} = \sum_{N} \bar{Y} \odot \hat{x}", "∂beta": r"\bar{\beta} = \sum_{N} \bar{Y}"},
    ),
    "residual feed-forward": (
        block, {"X": "N D", "W_1": "D F", "b_1": "F", "W_2": "F D", "b_2": "D"},
        {"H": "H = X W_1 + b_1", "A": r"A = \operatorname{relu}(H)", "∂A": r"\bar{A} = \bar{Y} W_2^\top",
         "∂H": r"\bar{H} = \bar{A} \odot [H > 0]", "∂X": r"\bar{X} = \bar{Y} + \bar{H} W_1^\top",
         "∂W_1": r"\bar{W}_1 = X^\top \bar{H}", "∂b_1": r"\bar{b}_1 = \sum_{N} \bar{H}",
         "∂W_2": r"\bar{W}_2 = A^\top \bar{Y}"},
    ),
    "attention": (
        lambda Q, K, V: F.attention(Q, K, V), {"Q": "T d", "K": "S d", "V": "S e", "output": "O"},
        {"Z": r"Z = \frac{Q K^\top}{\sqrt{d}}", "A": r"A = \operatorname{softmax}(Z)", "O": "O = A V",
         "∂A": r"\bar{A} = \bar{O} V^\top",
         "∂Z": r"\bar{Z} = A \odot (\bar{A} - \operatorname{rowsum}(\bar{A} \odot A))",
         "∂Q": r"\bar{Q} = \frac{\bar{Z} K}{\sqrt{d}}", "∂K": r"\bar{K} = \frac{\bar{Z}^\top Q}{\sqrt{d}}",
         "∂V": r"\bar{V} = A^\top \bar{O}"},
    ),
    "embedding and learned positions": (
        lookup, {"E": "V D", "P": "T D", "ids": "B T < V"},
        {"Y": r"Y = \operatorname{onehot}(\mathrm{ids}) E + P",
         "∂E": r"\bar{E} = \operatorname{flat}(\operatorname{onehot}(\mathrm{ids}))^\top \operatorname{flat}(\bar{Y})",
         "∂P": r"\bar{P} = \sum_{B} \bar{Y}"},
    ),
    "mean pooling": (lambda X: np.mean(X, axis=-2), {"X": "B T D"}, {
        "Y": r"Y = \operatorname{mean}_{T}(X)",
        "∂X": r"\bar{X} = \mathbf{1} \odot \left(\frac{\bar{Y}_{\text{[:, None]}}}{T}\right)"}),
    "first-token pooling": (lambda X: X[:, 0], {"X": "B T D"}, {
        "Y": r"Y = X_{\text{[:, 0]}}", "∂X": r"\bar{X} = \operatorname{put}_{\text{[:, 0]}}(\bar{Y})"}),
    "tied weights": (tied, {"h": "N D", "E": "V D", "t": "N < V"}, {
        "Z": r"Z = h E^\top", "∂Z": r"\bar{Z} = \frac{P - Y}{N}", "∂h": r"\bar{h} = \bar{Z} E",
        "∂E": r"\bar{E} = \bar{Z}^\top h"}),
    "dropout": (dropped, {"X": "N D", "M": "N D bool", "p": 0.2}, {
        "∂X": r"\bar{X} = \frac{\bar{Y} \odot M}{(1 - p)}"}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_formulas_read_like_a_textbook(name):
    f, inputs, wanted = GOLDEN[name]
    found = derive(f, **inputs)
    assert {key: found.latex_of(key) for key in wanted} == wanted


KERNELS = {
    "softmax": (F.softmax, {"x": "N V"}),
    "log-softmax": (F.log_softmax, {"x": "N V"}),
    "cross-entropy": (lambda Z, t: F.cross_entropy(Z, t, label_smoothing=0.1), {"Z": "N V", "t": "N < V"}),
    "layer norm": (F.layer_norm, {"x": "N D", "weight": "D", "bias": "D"}),
    "rms norm": (F.rms_norm, {"x": "N D", "weight": "D"}),
    "gelu": (F.gelu, {"x": "N D"}),
    "gelu, tanh": (lambda x: F.gelu(x, "tanh"), {"x": "N D"}),
    "sigmoid": (F.sigmoid, {"x": "N D"}),
    "silu": (F.silu, {"x": "N D"}),
    "relu": (F.relu, {"x": "N D"}),
    "attention": (F.attention, {"q": "T d", "k": "S d", "v": "S e", "mask": "T S bool"}),
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_rules_of_a_kernel_say_what_its_definition_says(name):
    f, inputs = KERNELS[name]
    defined, kernel = (derive(f, **inputs, kernels=kernels) for kernels in (False, True))
    g = np.random.default_rng(0).normal(size=np.shape(defined.evaluate()[defined.output]))
    for line, value in defined.evaluate(g).items():
        if line == defined.output or line[1:] in inputs:
            assert_close(kernel.evaluate(g)[line], value, rtol=1e-10, name=line)


def test_the_rule_of_the_softmax_kernel_reads_like_its_definition():
    assert derive(F.softmax, x="N V", kernels=True).text == derive(F.softmax, x="N V").text


def test_the_heads_of_an_attention_are_split_and_joined():
    def attend(X, W, W_o, H):
        parts = np.split(X @ W, 3, axis=-1)
        Q, K, V = parts
        heads = [part.reshape(*part.shape[:2], H, -1).swapaxes(1, 2) for part in (Q, K, V)]
        O = F.attention(*heads)
        return O.swapaxes(1, 2).reshape(X.shape) @ W_o

    text = derive(attend, X="B T D", W="D 24", W_o="D D", H=2, sizes={"D": 8}).text
    assert "Z = Q Kᵀ/2" in text and "A = softmax(Z)" in text and "dZ = A ⊙ (dA − rowsum(dA ⊙ A))" in text
    assert "dO = heads(dY W_oᵀ)" in text and "parts" not in text and "[concat(dQ) | concat(dK) | concat(dV)]" in text


class Sublayer(nn.Module):
    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.up, self.down = nn.Linear(3, 5, rng=rng, dtype=float), nn.Linear(5, 3, rng=rng, dtype=float)

    def forward(self, x):
        return x + self.down(F.relu(self.up(x)))


def test_the_parameters_of_a_module_are_derived_by_their_names():
    layer, x = Sublayer(), np.random.default_rng(1).normal(size=(4, 3))
    found = derive(layer, x=x)
    assert found.text_of("H") == "H = x up.weight + up.bias"
    assert found.latex_of("∂up.weight") == r"\overline{\mathrm{up.weight}} = x^\top \bar{H}"
    g = np.random.default_rng(2).normal(size=(4, 3))
    parameters = dict(layer.named_parameters())
    engine = gradients(layer(Tensor(x)), list(parameters.values()), Tensor(g))
    for name, wanted in zip(parameters, engine, strict=True):
        assert_close(found.evaluate(g)[f"∂{name}"], wanted.numpy(), rtol=1e-10, name=name)


def test_a_notebook_shows_latex_and_a_terminal_text():
    found = derive(lambda X, W: X @ W, X="N D", W="D E")
    bundle = found._repr_mimebundle_()
    assert bundle["text/plain"] == found.text == str(found) == repr(found)
    assert bundle["text/latex"] == found._repr_latex_() == f"$$\n{found.latex}\n$$"
    assert found.text == "forward   Y = X W\nbackward  dX = dY Wᵀ\n          dW = Xᵀ dY"
    assert found.latex.startswith("\\begin{aligned}\n") and found.latex.count("\\\\[3pt]\n") == 2
    assert list(found.gradients) == ["X", "W"]


def test_a_size_is_no_number_and_a_number_no_size():
    """11 is what the first run takes for N: a number of the formula that is 11, or 1/11, stays one."""
    found = derive(lambda X: np.mean(X * 11.0) + np.sum(X) / 11, X="N")
    assert "11" in found.text and "N" not in found.text_of("∂X").replace("∂", "")
    assert derive(lambda X: np.mean(X), X="N").text_of("∂X") == "dX = (1/N) 𝟏"


# Refused


def test_what_cannot_be_derived_is_refused_with_its_name():
    with pytest.raises(UnsupportedError, match="sort has no formula"):
        derive(np.sort, a="N")
    with pytest.raises(TypeError, match=r"no argument 'Z'; it has X"):
        derive(lambda X: X, Z="N")
    with pytest.raises(TypeError, match="wrt='t' is no array of floats"):
        derive(lambda X, t: X[t], wrt="t", X="N", t="N < N")
    with pytest.raises(NotTrackedError, match="returned ndarray"):
        derive(lambda X: X.numpy(), X="N")
    with pytest.raises(TypeError, match="Z is no argument"):
        derive(lambda X: X * 2, X="N").evaluate(Z=np.ones(3))


def test_a_function_without_a_name_of_its_own_goes_by_numpys():
    found = derive(lambda X: np.cumsum(X), X="N")
    assert found.text_of("∂X") == "dX = flip[0](cumsum[0](flip[0](dY)))"


def test_a_wrong_rule_of_simplification_is_found_on_the_example(monkeypatch):
    monkeypatch.setitem(simplifier.RULES, "softmax", [lambda x: broadcast(number(0.5), x.shape)])
    with pytest.raises(RuleError, match="does not compute what the engine does"):
        derive(F.softmax, x="N V")

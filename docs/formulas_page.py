"""The lesson's formulas, derived while this page is built: forward code in, both passes out."""

import inspect

import numpy as np

from tinygrad_edu import Tensor, derive, gradients
from tinygrad_edu import functional as F

HEADER = """## The formulas, derived

Each section is made when this page is built: from the code, by running the engine's rules on symbols. The last line
compares what the formulas compute on other numbers with the gradients of the engine.
"""


def cross_entropy_on_probabilities(p, t):
    return -np.mean(np.log(p[np.arange(p.shape[0]), t]))


def softmax(Z):
    return F.softmax(Z)


def log_softmax(Z):
    return F.log_softmax(Z)


def softmax_and_cross_entropy(Z, t):
    return F.cross_entropy(Z, t)


def weighted_cross_entropy(Z, t, w):
    return -np.sum(w * F.log_softmax(Z)[np.arange(Z.shape[0]), t]) / np.sum(w)


def max_shift(Z):
    return Z - np.max(Z, axis=-1, keepdims=True)


def label_smoothing(Z, t, a):
    return F.cross_entropy(Z, t, label_smoothing=a)


def temperature(Z, t, tau):
    return F.cross_entropy(Z / tau, t)


def linear(X, W, b):
    return X @ W + b


def relu(X):
    return F.relu(X)


def leaky_relu(X, slope):
    return np.where(X > 0, X, slope * X)


def gelu(X):
    return F.gelu(X)


def gelu_tanh(X):
    return F.gelu(X, "tanh")


def silu(X):
    return F.silu(X)


def layer_norm(X, gamma, beta, eps):
    return F.layer_norm(X, gamma, beta, eps)


def rms_norm(X, gamma, eps):
    return F.rms_norm(X, gamma, eps)


def residual(X, W):
    return X + np.tanh(X @ W)


def feed_forward_with_residual(X, W_1, b_1, W_2, b_2):
    H = X @ W_1 + b_1
    A = F.relu(H)
    return X + A @ W_2 + b_2


def attention(Q, K, V):
    Z = Q @ K.mT / np.sqrt(K.shape[-1])
    A = F.softmax(Z)
    return A @ V


def masked_attention(Q, K, V, M):
    return F.attention(Q, K, V, M)


def splitting_into_heads(X, H):
    return X.reshape(*X.shape[:2], H, -1).swapaxes(1, 2)


def heads(X, W, W_o, H):
    QKV = X @ W
    parts = np.split(QKV, 3, axis=-1)
    Q, K, V = (x.reshape(*x.shape[:2], H, -1).swapaxes(1, 2) for x in parts)
    O = F.attention(Q, K, V)
    return O.swapaxes(1, 2).reshape(X.shape) @ W_o


def embedding(E, t):
    return F.embedding(E, t)


def positions(X, P):
    return X + P


def pooling_first(X):
    return X[:, 0]


def pooling_last(X):
    return X[:, -1]


def pooling_mean(X):
    return np.mean(X, axis=1)


def pooling_max(X):
    return np.max(X, axis=1)


def post_norm_block(X, W, gamma, beta):
    return F.layer_norm(X + np.tanh(X @ W), gamma, beta)


def pre_norm_block(X, W, gamma, beta):
    return X + np.tanh(F.layer_norm(X, gamma, beta) @ W)


def weight_tying(h, E, t):
    return F.cross_entropy(h @ E.T, t)


def dropout(X, M, p):
    return X * M / (1 - p)


# (number in the lesson, title, code, inputs)
FORMULAS = [
    ("1", "Cross-entropy on probabilities", cross_entropy_on_probabilities, {"p": "N V > 0", "t": "N < V"}),
    ("2", "Softmax", softmax, {"Z": "N V"}),
    ("3", "Softmax and cross-entropy", softmax_and_cross_entropy, {"Z": "N V", "t": "N < V"}),
    ("3", "Softmax and cross-entropy, with weights", weighted_cross_entropy,
     {"Z": "N V", "t": "N < V", "w": "N > 0", "wrt": ("Z",)}),
    ("4", "Max-shift", max_shift, {"Z": "N V"}),
    ("4", "Log-softmax: the max-shift changes nothing", log_softmax, {"Z": "N V"}),
    ("5", "Linear", linear, {"X": "B T D", "W": "D E", "b": "E"}),
    ("6", "ReLU", relu, {"X": "N D"}),
    ("7", "Layer norm", layer_norm, {"X": "N D", "gamma": "D", "beta": "D", "eps": 1e-5}),
    ("7", "RMS norm", rms_norm, {"X": "N D", "gamma": "D", "eps": 1e-5}),
    ("8", "Residual", residual, {"X": "N D", "W": "D D"}),
    ("8, 9", "Residual and feed-forward", feed_forward_with_residual,
     {"X": "N D", "W_1": "D F", "b_1": "F", "W_2": "F D", "b_2": "D"}),
    ("10", "Attention", attention, {"Q": "T d", "K": "S d", "V": "S e"}),
    ("10", "Masked attention", masked_attention, {"Q": "T d", "K": "S d", "V": "S e", "M": "T S bool"}),
    ("11", "Splitting into heads", splitting_into_heads, {"X": "B T D", "H": 2, "sizes": {"D": 8}}),
    ("11", "Heads", heads, {"X": "B T D", "W": "D 24", "W_o": "D D", "H": 2, "sizes": {"D": 8}}),
    ("12", "Embedding", embedding, {"E": "V D", "t": "B T < V"}),
    ("13", "Fixed positions", positions, {"X": "B T D", "P": "T D", "wrt": ("X",)}),
    ("13", "Learned positions", positions, {"X": "B T D", "P": "T D"}),
    ("14", "Pooling: the first position", pooling_first, {"X": "B T D"}),
    ("14", "Pooling: the last position", pooling_last, {"X": "B T D"}),
    ("14", "Pooling: the mean", pooling_mean, {"X": "B T D"}),
    ("14", "Pooling: the maximum", pooling_max, {"X": "B T D"}),
    ("15", "A post-norm sublayer", post_norm_block, {"X": "N D", "W": "D D", "gamma": "D", "beta": "D"}),
    ("15", "A pre-norm sublayer", pre_norm_block, {"X": "N D", "W": "D D", "gamma": "D", "beta": "D"}),
    ("17", "Tied weights", weight_tying, {"h": "N D", "E": "V D", "t": "N < V"}),
    ("17", "Temperature", temperature, {"Z": "N V", "t": "N < V", "tau": 0.7}),
    ("17", "Label smoothing", label_smoothing, {"Z": "N V", "t": "N < V", "a": 0.1}),
    ("17", "Dropout, with a drawn mask M", dropout, {"X": "N D", "M": "N D bool", "p": 0.2}),
    ("17", "GELU", gelu, {"X": "N D"}),
    ("17", "GELU, the tanh formula", gelu_tanh, {"X": "N D"}),
    ("17", "Leaky ReLU", leaky_relu, {"X": "N D", "slope": 0.01}),
    ("17", "SiLU", silu, {"X": "N D"}),
]  # fmt: skip


def difference(code, found):
    """The largest relative difference between the formulas and the engine's gradients, on other numbers."""
    rng = np.random.default_rng(7)
    wanted = list(found.gradients)
    arrays = {name: rng.permuted(found.inputs[name].ravel()).reshape(found.inputs[name].shape) for name in wanted}
    names = inspect.signature(code).parameters
    held = {name: value for name, value in found.inputs.items() if name in names and name not in arrays}
    tensors = {name: Tensor(value, requires_grad=True) for name, value in arrays.items()}
    rest = {name: value for name, value in found.rest.items() if name in names}
    output = code(**tensors, **held, **rest)
    g = rng.normal(size=output.shape)
    computed = found.evaluate(g, **arrays)
    pairs = zip(wanted, gradients(output, list(tensors.values()), Tensor(g)), strict=True)
    return max(
        float(np.max(np.abs(computed[f"∂{name}"] - engine.numpy())) / np.max(np.abs(engine.numpy())))
        for name, engine in pairs
    )


def section(number, title, code, inputs, math):
    found = derive(code, **inputs)
    off = difference(code, found)
    assert off < 1e-10, f"{title}: off by {off}"
    shapes = ", ".join(f"{name} `{spec}`" for name, spec in inputs.items() if isinstance(spec, str))
    formula = ["```{math}", found.latex, "```"] if math else ["```text", found.text, "```"]
    source = inspect.getsource(code).rstrip()
    lines = [f"### {title} (formula {number})", "", "```python", source, "```", "", shapes, ""]
    return "\n".join([*lines, *formula, "", f"Formulas and engine differ by {off:.0e} at most.", ""])


def page(math=True):
    return "\n".join([HEADER, *[section(*each, math) for each in FORMULAS]])

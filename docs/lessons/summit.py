"""Lesson 7's comparison: one gradient by hand, as the machine's formula, by automatic differentiation, by differences.

    side_by_side("layer norm")    # the sections of the lesson
    every_formula()               # its table
"""

import functools
import html
import inspect
from typing import NamedTuple

import numpy as np
from by_hand import activations, attention, blocks, embedding, linear, loss, normalization, pooling, regularization
from by_hand.cases import CASES
from formulas_page import FORMULAS
from forward_passes import FORWARD
from lesson import Shown, cell, lines_of, table

from tinygrad_edu import Tensor, definitions, derive, gradients
from tinygrad_edu.numerics import directional_derivative
from tinygrad_edu.operation import Primitive

MACHINE = {title: (code, inputs) for _, title, code, inputs in FORMULAS}


class Formula(NamedTuple):
    """number: in the lesson. case: of by_hand and of the forward passes. hand: the functions that the hand wrote.

    machine: the title on the page on derive, where the same code runs on letters.
    """

    number: str
    case: str
    hand: tuple
    machine: str


TITLES = {
    "cross-entropy on probabilities": Formula(
        "1", "cross_entropy_on_probabilities", (loss.cross_entropy_backward,), "Cross-entropy on probabilities"),
    "softmax": Formula("2", "softmax", (loss.softmax_backward,), "Softmax"),
    "softmax and cross-entropy": Formula(
        "3", "softmax_cross_entropy", (loss.softmax_cross_entropy_backward,), "Softmax and cross-entropy"),
    "with weights": Formula(
        "3", "softmax_cross_entropy_weighted", (loss.softmax_cross_entropy_backward,),
        "Softmax and cross-entropy, with weights"),
    "max-shift": Formula("4", "max_shift", (loss.max_shift_backward,), "Max-shift"),
    "log-softmax": Formula(
        "4", "log_softmax", (loss.log_softmax_backward,), "Log-softmax: the max-shift changes nothing"),
    "linear": Formula("5", "linear_map", (linear.linear_backward,), "Linear"),
    "ReLU": Formula("6", "relu", (activations.relu_backward,), "ReLU"),
    "layer norm": Formula("7", "layer_norm", (normalization.layer_norm_backward,), "Layer norm"),
    "residual": Formula("8", "residual", (linear.residual_backward,), "Residual"),
    "feed-forward": Formula("9", "feed_forward_relu", (linear.feed_forward_backward,), "Residual and feed-forward"),
    "attention": Formula("10", "scaled_attention", (attention.attention_backward,), "Attention"),
    "masked attention": Formula("10", "masked_attention", (attention.attention_backward,), "Masked attention"),
    "splitting into heads": Formula("11", "split_heads", (attention.join_heads,), "Splitting into heads"),
    "all heads": Formula("11", "multi_head", (attention.multi_head_backward,), "Heads"),
    "embedding": Formula("12", "embedding_lookup", (embedding.embedding_backward,), "Embedding"),
    "fixed positions": Formula("13", "fixed_positions", (embedding.fixed_positions_backward,), "Fixed positions"),
    "learned positions": Formula(
        "13", "learned_positions", (embedding.learned_positions_backward,), "Learned positions"),
    "the first position": Formula("14", "pool_first", (pooling.pool_backward,), "Pooling: the first position"),
    "the last": Formula("14", "pool_last", (pooling.pool_backward,), "Pooling: the last position"),
    "the mean": Formula("14", "pool_mean", (pooling.pool_backward,), "Pooling: the mean"),
    "the maximum": Formula("14", "pool_max", (pooling.pool_backward,), "Pooling: the maximum"),
    "post-norm block": Formula("15", "block_post_norm", (blocks.block_backward,), "A post-norm sublayer"),
    "pre-norm block": Formula("15", "block_pre_norm", (blocks.block_backward,), "A pre-norm sublayer"),
    "tied weights": Formula("17", "weight_tying", (embedding.tied_output_backward,), "Tied weights"),
    "temperature": Formula("17", "temperature", (loss.softmax_cross_entropy_backward,), "Temperature"),
    "label smoothing": Formula("17", "label_smoothing", (loss.softmax_cross_entropy_backward,), "Label smoothing"),
    "dropout": Formula("17", "dropout", (regularization.dropout_backward,), "Dropout, with a drawn mask M"),
    "GELU": Formula("17", "gelu_erf", (activations.gelu_erf_backward,), "GELU"),
    "GELU by tanh": Formula("17", "gelu_tanh", (activations.gelu_tanh_backward,), "GELU, the tanh formula"),
    "leaky ReLU": Formula("17", "leaky_relu", (activations.leaky_relu_backward,), "Leaky ReLU"),
    "SiLU": Formula("17", "silu", (activations.silu_backward,), "SiLU"),
}  # fmt: skip


class Compared(NamedTuple):
    """rows: for each argument its name, an index, and the gradient there in four ways. off: the largest differences,
    relative to the gradient's size: formula, engine and differences, each from the one by hand. rules: what ran.
    """

    rows: list[tuple]
    off: tuple[float, float, float]
    bar: float
    rules: list[str]


@functools.cache
def compared(title):
    """Inputs and a cotangent are drawn; the machine's formula was derived on other numbers."""
    draw, run = CASES[TITLES[title].case]
    arrays, constants = drawn(draw, run, seed=1)
    found = derived(title, arrays, constants)
    arrays, constants = drawn(draw, run, seed=1, other=2)
    value, pullback = run(*arrays.values(), **constants)
    rng = np.random.default_rng(3)
    g = rng.normal(size=np.shape(value))
    hand = pullback(g)
    formula = found.evaluate(g, **arrays)
    tensors = [Tensor(x, requires_grad=True) for x in arrays.values()]
    with definitions():
        output = FORWARD[TITLES[title].case](*tensors, **constants)
        engine = [each.numpy() for each in gradients(output, tensors, Tensor(g))]

    rows, off, bar = [], [0.0, 0.0, 0.0], 0.0
    for place, (name, by_hand) in enumerate(zip(arrays, hand, strict=True)):
        index = np.unravel_index(np.argmax(np.abs(by_hand)), by_hand.shape)
        single, signs = np.zeros(by_hand.shape), rng.choice([-1.0, 1.0], by_hand.shape)
        single[index] = 1.0
        one, all_of_it = (differences(run, arrays, constants, place, each, g) for each in (single, signs))
        size = np.max(np.abs(by_hand)) or 1.0
        whole = np.sum(by_hand * signs)
        off = np.maximum(off, [
            np.max(np.abs(formula[f"∂{name}"] - by_hand)) / size,
            np.max(np.abs(engine[place] - by_hand)) / size,
            max(abs(one.value - by_hand[index]), abs(all_of_it.value - whole)) / size,
        ])  # fmt: skip
        bar = max(bar, max(one.error, all_of_it.error) / size)
        four = by_hand[index], formula[f"∂{name}"][index], engine[place][index], one
        rows.append((name, tuple(int(k) for k in index), *four))
    return Compared(rows, tuple(off), bar, rules_of(output))


def drawn(draw, run, seed, other=None):
    """Named arrays and constants of a case; with `other`, the arrays are another draw of the same shapes."""
    arrays, constants = draw(np.random.default_rng(seed), 2, 3, 4)
    if other is not None:
        rng = np.random.default_rng(other)
        arrays = [rng.permutation(x.ravel()).reshape(x.shape) for x in arrays]
    parameters = [p for p in inspect.signature(run).parameters if p not in constants][: len(arrays)]
    if "names" in constants:
        parameters = ["x", *[each.replace(".", "_") for each in constants["names"]]]
    return dict(zip(parameters, arrays, strict=True)), constants


def derived(title, arrays, constants):
    """What the machine makes of the forward pass alone."""
    held = {key: value for key, value in constants.items() if isinstance(value, np.ndarray)}
    plain = {key: value for key, value in constants.items() if key not in held}

    def forward(**given):
        return FORWARD[TITLES[title].case](*[given.pop(each) for each in arrays], **given, **plain)

    return derive(forward, wrt=tuple(arrays), **arrays, **held)


def differences(run, arrays, constants, place, direction, g):
    """The derivative of Σ g·f in a direction of one argument, measured on the forward pass of the hand."""

    def forward(x):
        inputs = [x if k == place else each for k, each in enumerate(arrays.values())]
        return run(*inputs, **constants)[0]

    return directional_derivative(forward, [list(arrays.values())[place]], [direction], g)


def rules_of(output):
    """Names of the operations in the graph of `output`, each once."""
    from tinygrad_edu.backward import reachable

    nodes = reachable([output._node])
    return sorted({node.label for node in nodes if isinstance(node.operation, Primitive)})


# What is shown -------------------------------------------------------------------------------------


def fold(summary, content, opened=False):
    return f"<details{' open' if opened else ''}><summary>{summary}</summary>{content}</details>"


def side_by_side(*titles):
    """For each: the function by hand, the formula by machine, and the gradient in four ways."""
    return Shown("".join(map(section, titles)))


def listing(function):
    source = html.escape(inspect.getsource(function).rstrip())
    return f'<pre style="overflow-x: auto" tabindex="0">{source}</pre>'


def signed(number):
    return number.replace("-", "−")


def section(title):
    entry, result = TITLES[title], compared(title)
    source = "".join(map(listing, entry.hand))
    where = ", ".join(f"<code>tests/{each.__module__.replace('.', '/')}.py</code>" for each in entry.hand)
    parts = [fold(f"{cell(title)}, by hand: {where}", source)]
    code, inputs = MACHINE[entry.machine]
    latex = derive(code, **inputs).latex
    formula = (
        '<div class="math notranslate nohighlight" style="overflow-x: auto" tabindex="0">'
        f"\\[{html.escape(latex)}\\]</div>"
    )
    summary = f"{cell(title)}, derived by the machine from its forward code"
    parts.append(fold(summary, listing(code) + formula, opened=True))
    rows = []
    for name, index, *three, measured in result.rows:
        four = [signed(f"{x:.7f}") for x in (*three, measured.value)]
        rows.append((f"d{name}", str(list(index)), *four, signed(f"{measured.error:.0e}")))
    header = ("", "at", "by hand", "formula", "autodiff", "differences", "±")
    return "".join(parts) + table(header, rows).text


def every_formula():
    """One row for each: lines of code, and how far apart the four gradients are."""
    rows = []
    for title, entry in TITLES.items():
        result = compared(title)
        hand = sum(map(lines_of, entry.hand))
        apart = [signed(f"{each:.0e}") if each else "0" for each in (*result.off, result.bar)]
        rows.append((f"{entry.number} {title}", hand, len(result.rules), *apart))
    header = ("", "lines", "rules", "formula", "autodiff", "differences", "±")
    caption = (
        "lines: of the function by hand; autodiff takes none. rules: how many ran. Then how far each way is from "
        "the hand, relative to the largest element of the gradient, and the error bar of the differences."
    )
    return table(header, rows, caption)

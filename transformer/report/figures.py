"""Figures of a run as SVG, by matplotlib: numbers in, the same bytes out for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.checkpoint import write_atomically
from transformer.report.measures import Calibration, Reading

__all__ = [
    "attention_figure",
    "calibration_figure",
    "confusion_figure",
    "cosine_figure",
    "curves",
    "curves_figure",
    "layers_figure",
    "matters_figure",
    "plane_figure",
]

Array = NDArray[Any]
Metrics = Sequence[Mapping[str, Any]]
LAST_TICK = 10  # numbers under an axis, about


def drawn(draw: Callable[[Any], None], width: float, height: float) -> str:
    """An SVG of width × height inches that `draw` fills."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {"svg.hashsalt": "tinygrad_edu", "svg.fonttype": "none", "font.size": 9, "text.parse_math": False}
    ):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue().decode()


# Over the epochs ----------------------------------------------------------------------------------


def curves(metrics: Metrics, path: Path) -> None:
    """Loss and accuracy over the epochs, written to a file."""
    write_atomically(path, curves_figure(metrics).encode())


def curves_figure(metrics: Metrics) -> str:
    """Loss and accuracy, of the training and of what is held out, and of every operation."""
    from matplotlib.ticker import LogFormatter

    x = [line["epoch"] for line in metrics]

    def draw(figure: Any) -> None:
        loss, accuracy = figure.subplots(1, 2)
        loss.plot(x, [line["train_loss"] for line in metrics], marker="o", label="train")
        loss.plot(x, [line["validation_loss"] for line in metrics], marker="o", label="validation")
        loss.set(title="loss", xlabel="epoch", ylabel="cross-entropy", yscale="log")
        loss.yaxis.set_major_formatter("{x:g}")  # 0.001; the usual one writes powers of ten
        loss.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
        for name in metrics[0]["operations"] if metrics else ():
            shares = [100 * line["operations"][name] for line in metrics]
            accuracy.plot(x, shares, marker=".", markersize=4, linewidth=0.8, alpha=0.7, label=name)
        for name, style in (("train", "--"), ("validation", "-")):
            shares = [100 * line[f"{name}_accuracy"] for line in metrics]
            accuracy.plot(x, shares, style, color="black", marker="o", markersize=3, label=name)
        accuracy.set(title="accuracy", xlabel="epoch", ylabel="%")
        for panel in (loss, accuracy):
            by_epoch(panel, x)

    return drawn(draw, 9, 3.6)


def layers_figure(metrics: Metrics) -> str:
    """Learning rate and gradient norm; where the epochs tell them, norms, updates and attention of every layer too."""
    x = [line["epoch"] for line in metrics]
    panels: list[tuple[str, str, dict[str, list[float]]]] = [
        ("learning rate", "linear", {"rate": [line["lr"] for line in metrics]}),
        ("gradient norm", "log", {"all": [line["gradient_norm"] for line in metrics]}),
    ]
    for key, title, scale in (
        ("gradient_norms", "gradient norm of each layer", "log"),
        ("update_ratios", "update ÷ weight of each layer", "log"),
        ("attention_entropy", "entropy of attention, nats", "linear"),
    ):
        if metrics and all(line.get(key) for line in metrics):
            names = metrics[0][key]
            panels.append((title, scale, {name: [line[key][name] for line in metrics] for name in names}))

    def draw(figure: Any) -> None:
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, (title, scale, series) in zip(places, panels, strict=False):
            for name, values in series.items():
                place.plot(x, values, marker="o", markersize=3, linewidth=1, label=name)
            place.set(title=title, xlabel="epoch", yscale=scale)
            if scale == "log":
                place.yaxis.set_major_formatter("{x:g}")
            elif len(series) > 4:  # a curve may lie at any height: room for the legend
                low, high = place.get_ylim()
                place.set_ylim(low, high + 0.15 * -(-len(series) // 2) * (high - low))
            by_epoch(place, x)
        for place in places[len(panels) :]:
            place.set_axis_off()

    return drawn(draw, 10, 3.2 * -(-len(panels) // 3))


def by_epoch(panel: Any, x: Sequence[int]) -> None:
    panel.set_xticks(x[:: 1 + len(x) // LAST_TICK])
    panel.grid(alpha=0.3)
    lines = len(panel.get_lines())
    if lines > 1:
        panel.legend(fontsize=7, ncols=2 if lines > 4 else 1, framealpha=0.6)


# Of the model -------------------------------------------------------------------------------------


def attention_figure(reading: Reading) -> str:
    """The weights of every block (row) and head (column); a square's row is the token that looks."""
    labels = reading.labels
    L, H = len(reading.attention), len(reading.attention[0])

    def draw(figure: Any) -> None:
        places = figure.subplots(L, H, squeeze=False)
        for (layer, head), place in np.ndenumerate(places):
            image = place.imshow(reading.attention[layer][head], vmin=0, vmax=1, cmap="Blues")
            place.set_title(f"block {layer}, head {head}", fontsize=8)
            named_axes(place, labels, labels)
        figure.colorbar(image, ax=places, shrink=0.6, label="weight")

    return drawn(draw, 1.2 + 2.1 * H, 0.3 + 2.2 * L)


def matters_figure(reading: Reading) -> str:
    """Three answers to the question which token matters, side by side as bars."""
    labels = reading.labels
    parts = (
        ("occlusion: log p lost", reading.occlusion),
        ("attention roll-out", reading.rollout),
        ("gradient × input", reading.gradient),
    )

    def draw(figure: Any) -> None:
        for place, (title, values) in zip(figure.subplots(1, 3), parts, strict=True):
            place.bar(range(len(labels)), values, color=np.where(values < 0, "#d55e00", "#0072b2"))
            place.set_title(title, fontsize=9)
            place.set_xticks(range(len(labels)), labels, fontsize=7)
            place.axhline(0, color="black", linewidth=0.6)
            place.grid(axis="y", alpha=0.3)

    return drawn(draw, 10, 2.3)


def confusion_figure(confusion: Mapping[tuple[str, str], int], most: int = 24) -> str | None:
    """Right answers (rows) against given ones, as counts on colours; None where there are too many to read."""
    answers = sorted({word for pair in confusion for word in pair}, key=lambda word: (len(word), word))
    if len(answers) > most:
        return None
    counts = np.array([[confusion.get((right, given), 0) for given in answers] for right in answers])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(figure: Any) -> None:
        place = figure.subplots()
        place.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        for (row, column), count in np.ndenumerate(counts):
            if count:
                ink = "white" if shares[row, column] > 0.6 else "black"
                place.text(column, row, str(count), ha="center", va="center", fontsize=7, color=ink)
        named_axes(place, answers, answers)
        place.set(xlabel="given", ylabel="right")

    return drawn(draw, 1.5 + 0.36 * len(answers), 1.2 + 0.36 * len(answers))


def cosine_figure(cosines: Array, labels: Sequence[str]) -> str:
    """How alike the embeddings of the tokens are, from −1 to 1."""

    def draw(figure: Any) -> None:
        place = figure.subplots()
        image = place.imshow(cosines, vmin=-1, vmax=1, cmap="RdBu_r")
        named_axes(place, labels, labels)
        figure.colorbar(image, ax=place, shrink=0.8, label="cosine")

    return drawn(draw, 5.4, 4.6)


def plane_figure(paths: Sequence[Array], labels: Sequence[str], shares: Array) -> str:
    """Tokens on a plane, (n, 2) for each moment, oldest first; a thin line shows where each came from."""

    def draw(figure: Any) -> None:
        place = figure.subplots()
        track = np.array(paths)  # (moments, n, 2)
        for k, label in enumerate(labels):
            digit = label.isdigit()
            place.plot(*track[:, k].T, color="#0072b2" if digit else "#999999", linewidth=0.7, alpha=0.6)
            place.annotate(label, track[-1, k], fontsize=10 if digit else 7, ha="center", va="center",
                           color="#0072b2" if digit else "#555555", weight="bold" if digit else "normal")  # fmt: skip
        place.margins(0.08)
        place.grid(alpha=0.3)
        place.set(
            xlabel=f"first axis, {100 * shares[0]:.0f} % of the variance",
            ylabel=f"second axis, {100 * shares[1]:.0f} %",
        )

    return drawn(draw, 5.4, 4.6)


def calibration_figure(found: Calibration) -> str:
    """Confidence against accuracy; on the dashed line a model is as sure as it should be."""

    def draw(figure: Any) -> None:
        place = figure.subplots()
        place.plot([0, 1], [0, 1], "--", color="#999999")
        place.plot(found.confidence, found.accuracy, marker="o", color="#0072b2")
        for x, y, count in zip(found.confidence, found.accuracy, found.counts, strict=True):
            place.annotate(f"{count:,}", (x, y), textcoords="offset points", xytext=(4, -10), fontsize=7)
        place.set(xlabel="confidence", ylabel="share that is right", xlim=(0, 1.05), ylim=(0, 1.05))
        place.grid(alpha=0.3)

    return drawn(draw, 4.2, 3.8)


def named_axes(place: Any, columns: Sequence[str], rows: Sequence[str]) -> None:
    place.set_xticks(range(len(columns)), columns, fontsize=7, rotation=90 if max(map(len, columns)) > 2 else 0)
    place.set_yticks(range(len(rows)), rows, fontsize=7)

"""`report`: one self-contained HTML file about a run, and all its numbers as JSON and CSV.

Nothing is loaded when it is read: every figure is inside. What it says of the model is measured on the run's best
checkpoint and the questions that training has never seen.
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import draw, errors
from tinygrad_edu.render.page import page
from transformer.checkpoint import write_atomically
from transformer.evaluate import Evaluation, evaluate
from transformer.generate import answers
from transformer.metrics import flat
from transformer.model import Transformer
from transformer.moments import attention_entropy
from transformer.plan import TrainConfig
from transformer.report import figures, measures
from transformer.report.terminal import counted, percent
from transformer.tasks import Example, make_splits

__all__ = ["Report", "measure", "write_report"]

Array = NDArray[Any]
SHOWN = 3  # questions whose attention is drawn
STYLE = str(Path(__file__).with_name("report.css"))


@dataclasses.dataclass(frozen=True)
class Report:
    """All that the page shows, as numbers. moments: (epoch, embedding table (V, D)) over the training, oldest first."""

    name: str
    config: TrainConfig
    model: Transformer
    metrics: list[dict[str, Any]]
    test: Evaluation
    hardest: list[tuple[float, Example]]
    readings: list[measures.Reading]
    entropy: Array
    calibration: measures.Calibration
    costs: list[measures.Cost]
    step: measures.Cost
    moments: list[tuple[int, Array]]


def measure(
    name: str, model: Transformer, config: TrainConfig, metrics: list[dict[str, Any]],
    questions: Sequence[str] = (), moments: Sequence[tuple[int, Array]] = (),
) -> Report:  # fmt: skip
    """Everything about a trained model. questions: those to be looked at closely; else one of each operation."""
    if not config.task.exact:
        raise ValueError(f"a report is about answers that are right or wrong; the task {config.task.name} has none")
    splits = make_splits(config.task, config.seed, config.decoder)
    test = splits["test"]
    found = evaluate(test.examples, answers(model, [example.question for example in test.examples], config.task))
    chosen = [Example(question, config.task.answer(question), "") for question in questions]
    parts, step = measures.costs(model, splits["train"], config.batch_size)
    return Report(
        name=name, config=config, model=model, metrics=metrics, test=found,
        hardest=measures.hardest(model, test),
        readings=[measures.read(model, example, config.task) for example in chosen or one_of_each(test.examples)],
        entropy=attention_entropy(model, test),
        calibration=measures.calibration(model, test),
        costs=parts, step=step,
        moments=list(moments) or [(len(metrics), model.embedding.weight.numpy())],
    )  # fmt: skip


def one_of_each(examples: Iterable[Example]) -> list[Example]:
    """The first example of each operation, of a few operations."""
    return list({example.operation: example for example in reversed(list(examples))}.values())[::-1][:SHOWN]


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write report.html, report.json and metrics.csv into `folder`; returns the three."""
    made = {"report.html": document(report), "report.json": as_json(report), "metrics.csv": as_csv(report.metrics)}
    for name, text in made.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in made]


# Numbers ------------------------------------------------------------------------------------------


def as_json(report: Report) -> str:
    """All numbers of the page, by the names that they have in measures.py."""
    test = dataclasses.asdict(report.test) | {
        "confusion": [[right, given, count] for (right, given), count in sorted(report.test.confusion.items())]
    }
    content = {
        "name": report.name,
        "parameters": report.model.num_parameters(),
        "training": report.config.to_dict(),
        "metrics": report.metrics,
        "test": test,
        "hardest": [
            {"loss": loss, "question": example.question, "answer": example.answer}
            for loss, example in report.hardest
        ],
        "readings": [dataclasses.asdict(reading) for reading in report.readings],
        "attention_entropy": report.entropy,
        "calibration": dataclasses.asdict(report.calibration),
        "costs": [dataclasses.asdict(cost) for cost in (*report.costs, report.step)],
        "embedding": report.model.embedding.weight.numpy(),
    }
    return json.dumps(content, indent=1, default=lambda value: value.tolist()) + "\n"


def as_csv(metrics: Sequence[Mapping[str, Any]]) -> str:
    """A row for each epoch; what is a table itself gets columns like operations.Max."""
    rows = [flat(line) for line in metrics]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


# The page -----------------------------------------------------------------------------------------


def document(report: Report) -> str:
    """The HTML file's text."""
    sections = [
        ("Result", result(report)),
        ("Training", training(report)),
        ("Mistakes", mistakes(report)),
        ("What it looks at", attention(report)),
        ("How sure it is", sureness(report)),
        ("Embeddings", embeddings(report)),
        ("What it costs", costs(report)),
        ("The graph", graph(report)),
        ("Configuration", configuration(report)),
    ]  # fmt: skip
    names = [(title.lower().replace(" ", "-"), title) for title, _ in sections]
    links = "".join(f'<a href="#{name}">{title}</a>' for name, title in names)
    body = "".join(
        f'<section id="{name}"><h2>{title}</h2>{content}</section>'
        for (name, title), (_, content) in zip(names, sections, strict=True)
    )
    title = f"Run {report.name}"
    head = f'<h1>{escape(title)}</h1><p class="lead">{escape(lead(report))}</p>'
    return page(
        title,
        f'<main><header>{head}<nav aria-label="Sections">{links}</nav></header>{body}</main>',
        styles=[STYLE],
        images=True,
    )


def result(report: Report) -> str:
    facts = [
        ("right, of unseen questions", percent(report.test.accuracy)),
        ("unseen questions", f"{report.test.count:,}"),
        ("parameters", f"{report.model.num_parameters():,}"),
        ("epochs", str(len(report.metrics))),
        ("seconds of training", f"{sum(line['seconds'] for line in report.metrics):.1f}"),
        ("lines of backward code", "0"),
    ]
    cards = "".join(f"<div><dd>{value}</dd><dt>{name}</dt></div>" for name, value in facts)
    rows = "".join(
        f'<tr><th scope="row">{escape(operation)}</th><td><meter value="{share:.4f}">{percent(share)}</meter></td>'
        f"<td>{percent(share)}</td></tr>"
        for operation, share in report.test.operations.items()
    )
    return f'<dl>{cards}</dl><div class="scroll"><table><tbody>{rows}</tbody></table></div>'


def training(report: Report) -> str:
    curves, layers = figures.curves_figure(report.metrics), figures.layers_figure(report.metrics)
    return picture(curves, "Loss and accuracy over the epochs", "wide") + picture(
        layers, "Learning rate and gradient norms over the epochs", "wide"
    )


def mistakes(report: Report) -> str:
    drawn = figures.confusion_figure(report.test.confusion)
    if drawn is None:
        confused = sorted(
            ((count, right, given) for (right, given), count in report.test.confusion.items() if right != given),
            key=lambda row: (-row[0], row[1], row[2]),
        )
        rows = [[right, given or "nothing", str(count)] for count, right, given in confused[:20]]
        parts = table(["right", "given", "times"], rows) if rows else "<p>No answer was taken for another.</p>"
    else:
        parts = picture(drawn, "Confusion matrix: right answers in rows, given ones in columns")
    given = {question: answer for question, _, answer in report.test.mistakes}
    rows = [
        [example.question, example.answer, given.get(example.question, example.answer) or "nothing", f"{loss:.4f}"]
        for loss, example in report.hardest
    ]
    return parts + "<h3>Hardest questions</h3>" + table(["question", "right", "given", "loss"], rows)


def attention(report: Report) -> str:
    parts = []
    for reading in report.readings:
        head = f"{reading.question} = {reading.answer}"
        parts.append(f"<h3>{escape(head)} <small>with {100 * reading.probability:.2f} %</small></h3>")
        weights, matters = figures.attention_figure(reading), figures.matters_figure(reading)
        parts.append(picture(weights, f"Attention of every block and head for {head}", "wide"))
        parts.append(picture(matters, f"How much each token matters for {head}", "wide"))
    rows = [
        [f"block {layer}", *(f"{value:.3f}" for value in heads)] for layer, heads in enumerate(report.entropy.tolist())
    ]
    heads = [f"head {head}" for head in range(report.entropy.shape[1])]
    return "".join(parts) + (
        f"<h3>Entropy of attention, in nats</h3>{table(['', *heads], rows)}"
        "<p>0: a head looks at one token. The logarithm of the number of tokens: it looks at all alike.</p>"
    )


def sureness(report: Report) -> str:
    drawn = figures.calibration_figure(report.calibration)
    return picture(drawn, "Confidence against accuracy") + (
        f"<p>Expected calibration error {percent(report.calibration.error)}: the distance between how sure the model "
        "says it is and how often it is right. Numbers at the points count tokens.</p>"
    )


def embeddings(report: Report) -> str:
    last = report.model.embedding.weight.numpy()
    labels = report.config.task.vocabulary.tokens[: len(last)]
    mean, axes, shares = measures.principal_axes(last)
    if len(axes) < 2:
        return "<p>A single dimension has no plane.</p>"
    paths = [(moment - mean) @ axes.T for _, moment in report.moments]
    epochs = ", ".join(str(epoch) for epoch, _ in report.moments)
    return (
        '<div class="beside">'
        + picture(figures.plane_figure(paths, labels, shares), "Embeddings on the plane of their two main axes")
        + picture(figures.cosine_figure(measures.cosines(last), labels), "Cosines between the embeddings")
        + "</div><p>Left, the plane in which the last embeddings differ most; lines lead from epoch to epoch "
        f"({epochs}).</p>"
    )


def costs(report: Report) -> str:
    def row(cost: measures.Cost) -> list[str]:
        seconds = cost.forward, cost.backward, cost.forward + cost.backward
        return [cost.part, f"{cost.parameters:,}", *(f"{1e3 * each:.3f}" for each in seconds), f"{cost.peak / 1e6:.3f}"]

    rows = [row(cost) for cost in (*report.costs, report.step)]
    layers = report.config.model.num_layers
    return table(["part", "parameters", "forward, ms", "backward, ms", "both, ms", "peak, MB"], rows) + (
        f"<p>CPU time, medians on a batch of {report.config.batch_size}. The whole step runs "
        f"{counted(layers, 'block')}, each with one attention, one feed-forward network and two norms; its backward "
        "pass includes Adam. The peak is what is held at most, above weights and averages.</p>"
    )


def graph(report: Report) -> str:
    tokens = np.array([report.readings[0].tokens])
    try:
        logits = report.model(tokens)
        parts = picture(str(draw(logits, "svg", depth=1)), "The computation graph of one answer, by its parts", "wide")
        whole = picture(str(draw(logits, "svg", budget=120)), "The computation graph of one answer", "whole")
        return f"{parts}<h3>Every operation</h3>{whole}"
    except errors.AutodiffError as error:
        return f"<p>No picture of the graph: {escape(str(error))}</p>"


def lead(report: Report) -> str:
    """What the run is, in a sentence."""
    config, test = report.config, report.test
    right = round(test.accuracy * test.count)
    kind = "decoder, which says its answers token by token" if config.decoder else "encoder, which answers in one token"
    return (
        f"A transformer of {counted(config.model.num_layers, 'block')}, trained on the task {config.task.name} "
        f"({config.about()}) as an {kind}: {right:,} of {test.count:,} questions that it had never seen were answered "
        "rightly, and nobody wrote a line of its backward pass."
    ).replace("an decoder", "a decoder")


def configuration(report: Report) -> str:
    """What the run depends on: the training, the task, the model, side by side."""
    whole = report.config.to_dict()
    groups = {"model": whole.pop("model"), "task": whole.pop("task")}
    tables = (
        table([name, ""], [[setting, str(value)] for setting, value in flat(values).items()])
        for name, values in ({"training": whole} | groups).items()
    )
    return f'<div class="beside">{"".join(tables)}</div>'


# Elements -----------------------------------------------------------------------------------------


def escape(text: str) -> str:
    return html.escape(text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = (
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def picture(svg: str, label: str, size: str = "") -> str:
    """An image by itself: what is in it can neither load nor run anything.

    size: "wide" stays readable on a narrow screen, "whole" is never made smaller; both are scrolled.
    """
    data = base64.b64encode(svg.encode()).decode()
    kind = f' class="{size}" tabindex="0"' if size else ""
    return f'<figure{kind}><img alt="{escape(label)}" src="data:image/svg+xml;base64,{data}"></figure>'

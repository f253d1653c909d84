"""The command line: parse, call the library, print. `python -m transformer COMMAND`, or `transformer-edu COMMAND`."""

from __future__ import annotations

import argparse
import io
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, draw, errors, functional, replay
from transformer import report
from transformer.checkpoint import CheckpointError, load_model
from transformer.config import CHOICES, TransformerConfig
from transformer.evaluate import evaluate
from transformer.generate import answers, ask
from transformer.model import Transformer
from transformer.tasks import DigitTask, make_splits
from transformer.tokens import VOCABULARY, encode, spell
from transformer.train import Epoch, Outcome, TrainConfig, TrainingError, find_run, new_run, resume, train
from transformer.troubles import one_blas_thread, reason, silence

__all__ = ["main"]

QUESTION = "Max(1,6,2)"
RUNS = Path("runs")
TASK_OPTIONS = ("upper", "arguments")
RUN_OPTIONS = ("seed", "epochs", "examples", "batch_size", "lr", "warmup")
MODEL_OPTIONS = (
    "embed_dim", "num_heads", "num_layers", "ffn_dim", "dropout", "norm", "activation", "positions", "pooling",
)  # fmt: skip
# Part of a block -> the module, and what it takes beside its input.
PARTS: dict[str, tuple[Callable[[Any], Any], tuple[Any, ...]]] = {
    "attention": (lambda block: block.attention, (None,)),
    "feed_forward": (lambda block: block.feed_forward, ()),
    "norm": (lambda block: block.norm1, ()),
    "block": (lambda block: block, (None,)),
}


# Commands -----------------------------------------------------------------------------------------


def train_command(args: argparse.Namespace) -> int:
    import matplotlib  # noqa: F401  # what the run needs in the end shall not be missed then only
    import safetensors  # noqa: F401

    outcome = resumed(args) if args.resume else trained_anew(args)
    folder, epochs = outcome.folder, report.counted(len(outcome.epochs), "epoch")
    if outcome.test is None:
        again = f"--resume --run {folder.name}"
        again += "" if args.runs == RUNS else f" --runs {shlex.quote(str(args.runs))}"
        print(
            f"interrupted after {epochs}; the model is in {folder / 'last.safetensors'}; to go on: "
            f"python -m transformer train {again}",
            flush=True,
        )
    else:
        print(
            f"{report.percent(outcome.test.accuracy)} of {report.counted(outcome.test.count, 'unseen input')} right; "
            f"{report.counted(outcome.parameters, 'parameter')}, {epochs}, {outcome.seconds:.1f} s; "
            f"backward code written: 0 lines; in {folder}",
            flush=True,
        )
    report.curves(report.read_metrics(folder / "metrics.jsonl"), folder / "curves.svg")  # the least of it, so last
    return 0 if outcome.signal is None else 128 + outcome.signal


def trained_anew(args: argparse.Namespace) -> Outcome:
    """A new run by the options given; the others have the defaults of what they configure."""
    task = DigitTask(**given(args, "upper", "arguments"))
    shape = given(args, *MODEL_OPTIONS) | ({"causal": True, "pooling": None} if args.decoder else {})
    room = max(50, task.longest + task.longest_answer)
    model = TransformerConfig(len(VOCABULARY), max_seq_len=room, **shape)
    config = TrainConfig(model, task, **given(args, *RUN_OPTIONS))
    while True:
        folder = new_run(args.runs, args.run, "decoder" if args.decoder else "encoder")
        try:
            return train(config, folder, lambda epoch: show(epoch, config.epochs))
        except FileExistsError:  # another run took the folder first: on to the next number
            if args.run is not None or not folder.exists():
                raise


def resumed(args: argparse.Namespace) -> Outcome:
    """The run that was stopped, or the one that is named, to its end."""
    changed = [*given(args, *TASK_OPTIONS, *MODEL_OPTIONS, *RUN_OPTIONS), *["decoder"] * args.decoder]
    if changed:
        options = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise ValueError(f"--resume goes on with what the run was started with; leave out {options}")
    folder = find_run(args.runs, args.run, "config.json")

    def show_of_all(epoch: Epoch) -> None:  # a resumed run has written down what it does by then
        show(epoch, json.loads((folder / "config.json").read_bytes())["epochs"])

    return resume(folder, show_of_all, tell=lambda line: print(line, file=sys.stderr))


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options among `names` that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def show(epoch: Epoch, epochs: int) -> None:
    each = ", ".join(f"{name} {report.percent(share)}" for name, share in epoch.operations.items())
    print(
        f"epoch {epoch.epoch}/{epochs}  loss {epoch.train_loss:.4f}  validation "
        f"{report.percent(epoch.validation_accuracy)} ({each})  {epoch.seconds:.1f} s",
        flush=True,
    )


def evaluate_command(args: argparse.Namespace) -> int:
    model, config, path = trained(args)
    test = make_splits(config.task, config.seed, config.decoder)["test"].examples
    found = evaluate(test, answers(model, [example.question for example in test]))
    print(f"{path}: {report.percent(found.accuracy)} of {report.counted(found.count, 'unseen input')} right")
    for operation, share in found.operations.items():
        print(f"  {operation:<8}{report.percent(share):>9}")
    print("right answer (row), given answer (column):")
    print(report.confusion_table(found))
    for question, right, given in found.mistakes[:10]:
        print(f"wrong: {question} is {right}, not {given or 'nothing'}")
    return 0


def ask_command(args: argparse.Namespace) -> int:
    model, config, _ = trained(args)
    right = config.task.answer(args.question)
    reply = ask(model, args.question)
    blocks = report.can_show(getattr(sys.stdout, "encoding", None))  # there may be no stdout
    verdict = "" if reply.text == right else f", which is wrong: it is {right}"
    print(f"{''.join(args.question.split())} = {reply.text}{verdict}\n")
    for probabilities in reply.probabilities:
        print(report.top(probabilities, VOCABULARY, blocks=blocks) + "\n")
    labels = [VOCABULARY[token] for token in reply.tokens]
    for layer, weights in enumerate(reply.attention, 1):
        print(f"layer {layer}: where each token (row) looks")
        print(report.heatmaps(weights, labels, shutil.get_terminal_size().columns, blocks) + "\n")
    print(report.legend(blocks))
    return 0


def generate_command(args: argparse.Namespace) -> int:
    model, config, _ = trained(args)
    given = sys.stdin.read() if sys.stdin and not args.questions else ""
    questions = args.questions or [line for line in given.splitlines() if line.strip()]
    for question in questions:
        config.task.check(question)
    for question, answer in zip(questions, answers(model, questions), strict=True):
        print(f"{''.join(question.split())} = {answer}")
    return 0


def report_command(args: argparse.Namespace) -> int:
    model, config, path = trained(args)
    from transformer.report.document import measure, write_report  # matplotlib: not before it is needed

    for question in args.questions:
        config.task.check(question)
    folder = path.parent
    metrics = report.read_metrics(folder / "metrics.jsonl")
    page, *numbers = write_report(measure(folder.name, model, config, metrics, args.questions), folder)
    print(f"{page}: open it in a browser; its numbers are in {' and '.join(file.name for file in numbers)}")
    return 0


def draw_command(args: argparse.Namespace) -> int:
    model, config, _ = trained(args)
    right = spell(config.task.answer(args.question))
    tokens = np.array([encode(args.question)])
    if not 0 <= args.layer < len(model.blocks):
        raise ValueError(f"layer = {args.layer}: this model has layers 0 to {len(model.blocks) - 1}")
    if not args.output.name:
        raise ValueError(f"output = {str(args.output)!r}: it must name a file, without an ending")

    def loss(tokens: Any) -> Any:
        logits = model(tokens)
        return functional.cross_entropy(logits if logits.ndim == 2 else logits[:, -1], np.array(right[:1]))

    if args.replay:
        path = args.output.with_name(f"{args.output.name}.html")
        replay(loss(tokens), path)
        print(f"{path}: the backward pass of {args.question}, step by step")
        return 0
    target: Callable[..., Any] = loss if args.part == "loss" else model
    inputs: tuple[Any, ...] = (tokens,)
    if args.part in PARTS:
        module, others = PARTS[args.part]
        target = module(model.blocks[args.layer])
        inputs = (Tensor(model.embedding(tokens).detach(), requires_grad=True, name="x"), *others)
    wishes = {name: getattr(args, name) for name in ("budget", "depth", "direction", "theme", "heat", "gradients")}
    done = []
    for kind in args.format or ["dot", "svg"]:
        path = args.output.with_name(f"{args.output.name}.{'txt' if kind == 'text' else kind}")
        try:
            draw(target, *inputs, path=path, **wishes)
        except errors.AutodiffError as error:  # no Graphviz, or too slow: the graph as text, and why
            print(draw(target, *inputs, format="text", **wishes))
            print(f"no {path}: {error}", file=sys.stderr)
            return 0 if args.format is None else 2
        done.append(str(path))
    print(f"{' and '.join(done)}: {args.part} of {args.question}")
    return 0


def trained(args: argparse.Namespace) -> tuple[Transformer, TrainConfig, Path]:
    """The model of the run that is asked for, or of the newest."""
    folder = find_run(args.runs, args.run)
    path = folder / f"{args.checkpoint or 'best'}.safetensors"
    if not path.exists():
        why = f"{folder} has no {path.name}, as after Ctrl-C in the first epoch"
        if args.checkpoint:
            raise FileNotFoundError(f"{why}; try --checkpoint last")
        path = folder / "last.safetensors"
        print(f"{why}; this is {path.name}", file=sys.stderr)
    model, about = load_model(path)
    try:
        return model, TrainConfig.from_dict(about["training"]), path
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: it was not written by a training run: {error}") from None


# Options ------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m transformer", description="A transformer whose backward pass nobody wrote.",
        epilog="COMMAND --help explains a command and shows an example.",
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str, example: str) -> Any:
        one = commands.add_parser(
            name, help=help, description=f"{help[0].upper()}{help[1:]}.",
            epilog=f"example: python -m transformer {name} {example}".rstrip(),
        )  # fmt: skip
        one.set_defaults(function=run)
        one.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs live [runs]")
        newest = "name of the new run [encoder-1, encoder-2, ...]" if name == "train" else "which run [the newest]"
        one.add_argument("--run", metavar="NAME", help=newest)
        if name != "train":
            choices = ("best", "last")
            one.add_argument("--checkpoint", choices=choices, help="which of the run's two [best, if it is there]")
        return one

    one = command("train", train_command, "train a model on the digit operations", "--seed 1 --epochs 3")
    run, model, task = TrainConfig(), TransformerConfig(len(VOCABULARY)), DigitTask()
    one.add_argument("--decoder", action="store_true", help="generate the answer token by token, also above 9")
    one.add_argument("--resume", action="store_true", help="go on with a run that was stopped, as if it never had been")
    for source, names in (
        (task, TASK_OPTIONS),
        (run, RUN_OPTIONS),
        (model, MODEL_OPTIONS),
    ):
        for name in names:  # None: not given
            default = getattr(source, name)
            flag, help = "--" + name.replace("_", "-"), f"[{default}]"
            if name in CHOICES:
                one.add_argument(flag, choices=[each for each in CHOICES[name] if each is not None], help=help)
            else:
                one.add_argument(flag, type=type(default), metavar="N", help=help)

    command("evaluate", evaluate_command, "measure a model on the inputs it has never seen", "--run encoder-1")
    one = command("ask", ask_command, "answer one question and show how", '"Max(5,3,9)"')
    one.add_argument("question")
    one = command("generate", generate_command, "answer many questions", '"Max(5,3,9)" "Min(4,2,8)"')
    one.add_argument("questions", nargs="*", metavar="QUESTION", help="read from stdin, one a line, if none is given")
    one = command("report", report_command, "write one HTML page about a run", '--run encoder-1 "Max(5,3,9)"')
    one.add_argument("questions", nargs="*", metavar="QUESTION", help="look closely at these [one of each operation]")
    one = command("draw", draw_command, "draw the graph of a layer", "model --format html --heat gradient")
    parts = (*PARTS, "model", "loss")
    one.add_argument("part", nargs="?", choices=parts, default="attention", help=f"{', '.join(parts)} [attention]")
    one.add_argument("--layer", type=int, default=0, metavar="K", help="which layer, from 0 [0]")
    one.add_argument("--question", default=QUESTION, help=f"what is computed [{QUESTION}]")
    one.add_argument("--output", type=Path, default=Path("graph"), metavar="PATH", help="without an ending [graph]")
    kinds = ("svg", "html", "png", "pdf", "dot", "json", "text")
    one.add_argument("--format", nargs="+", choices=kinds, metavar="KIND", help=f"{', '.join(kinds)} [dot svg]")
    one.add_argument("--depth", type=int, metavar="N", help="how many scopes inside each other are open [all that fit]")
    one.add_argument("--budget", type=int, default=400, metavar="N", help="beyond so many nodes it folds [400]")
    one.add_argument("--direction", choices=("LR", "TB"), help="to the right or down [LR; html: TB]")
    one.add_argument("--theme", choices=("light", "dark", "colour-blind"), help="[light; html: the reader's]")
    one.add_argument("--heat", choices=("gradient", "value", "bytes", "time"), help="what colours measure [nothing]")
    one.add_argument("--gradients", action="store_true", help="run a backward pass, for the loss")
    one.add_argument("--replay", action="store_true", help="step through the backward pass of the loss, in a page")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns its exit code: 0 done, 2 wrong input, 130 and 143 interrupted, 141 a training nobody watches.
    """
    one_blas_thread()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a letter of a file name shows its number
        sys.stdout.reconfigure(errors="backslashreplace")
    args = argparse.Namespace(command=None)
    try:
        try:
            parser().parse_args(arguments, args)
            code = int(args.function(args))
        except SystemExit as stop:  # argparse has said why, or --help what
            code = int(stop.code or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has had enough
        silence()
        if args.command != "train":
            return 0
        print("nobody reads the output any more: training has ended, its last epoch is saved", file=sys.stderr)
        return 141
    except (CheckpointError, TrainingError, ValueError, OSError, MemoryError, ModuleNotFoundError) as error:
        silence()
        print(reason(error), file=sys.stderr)
        return 2

"""The command line: parse, call the library, print. `python -m transformer COMMAND`, or `transformer-edu COMMAND`."""

from __future__ import annotations

import argparse
import io
import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from transformer import asking, drawing, learning, live, options, report
from transformer.checkpoint import CheckpointError
from transformer.communicator import Communicator
from transformer.evaluate import Evaluation
from transformer.examining import examined, mean_loss
from transformer.generate import ask
from transformer.interop import Filler, Pretrained, is_bert
from transformer.loop import range_test
from transformer.metrics import read_metrics
from transformer.model import Transformer
from transformer.options import config_of, load_task_file, refuse_changes, sampling_of
from transformer.ranks import on_all_ranks
from transformer.report.tensorboard import write_events
from transformer.runs import checked, load_moments, load_run
from transformer.sweep import comparison, sweep, table, variations
from transformer.tasks import make_splits
from transformer.train import Epoch, Outcome, TrainConfig, TrainingError, find_run, new_run, resume, train
from transformer.troubles import one_blas_thread, output, reason, silence

__all__ = ["main"]


# Commands -----------------------------------------------------------------------------------------


def train_command(args: argparse.Namespace) -> int:
    import matplotlib  # noqa: F401  # what the run needs in the end shall not be missed then only
    import safetensors  # noqa: F401

    if args.range_test:
        return range_test_command(args)
    outcome = resumed(args) if args.resume else trained_anew(args)
    folder, epochs = outcome.folder, report.counted(len(outcome.epochs), "epoch")
    if outcome.test is None:
        again = f"--resume --run {folder.name}"
        again += "" if args.runs == options.RUNS else f" --runs {shlex.quote(str(args.runs))}"
        print(
            f"interrupted after {epochs}; the model is in {folder / 'last.safetensors'}; to go on: "
            f"python -m transformer train {again}",
            flush=True,
        )
    else:
        counted = report.counted(outcome.test.count, unit(outcome.test))
        print(
            f"{report.percent(outcome.test.accuracy)} of {counted} right; "
            f"{report.counted(outcome.parameters, 'parameter')}, {epochs}, {outcome.seconds:.1f} s; "
            f"backward code written: 0 lines; in {folder}",
            flush=True,
        )
    report.curves(read_metrics(folder / "metrics.jsonl"), folder / "curves.svg")  # the least of it, so last
    return 0 if outcome.signal is None else 128 + outcome.signal


def trained_anew(args: argparse.Namespace) -> Outcome:
    """A new run by the options given; the others have the defaults of what they configure."""
    config = config_of(args)
    while True:
        folder = new_run(args.runs, args.run, "decoder" if args.decoder else "encoder")
        try:
            return train(config, folder, lambda epoch: show(epoch, config.epochs), comm=args.comm)
        except FileExistsError:  # another run took the folder first: on to the next number
            if args.run is not None or not folder.exists():
                raise


def resumed(args: argparse.Namespace) -> Outcome:
    """The run that was stopped, or the one that is named, to its end."""
    refuse_changes(args)
    load_task_file(args)
    folder = find_run(args.runs, args.run, "config.json")

    def show_of_all(epoch: Epoch) -> None:  # a resumed run has written down what it does by then
        show(epoch, json.loads((folder / "config.json").read_bytes())["epochs"])

    return resume(folder, show_of_all, tell=note, comm=args.comm)


def range_test_command(args: argparse.Namespace) -> int:
    """The loss at growing rates, and the one at which it falls fastest; nothing is saved."""
    config = config_of(args)
    splits = make_splits(config.task, config.seed, config.decoder, config.counted)
    found = range_test(config, splits)
    for rate, loss in list(zip(found.rates, found.smoothed, strict=True))[:: max(1, len(found.rates) // 20)]:
        print(f"lr {rate:9.2e}  loss {loss:.4f}")
    print(f"the loss falls fastest at --lr {found.steepest:.2g}")
    return 0


def unit(found: Evaluation) -> str:
    """What was counted: answers can be confused, the tokens of a text are only counted."""
    return "unseen input" if found.confusion else "unseen next token"


def show(epoch: Epoch, epochs: int) -> None:
    each = ", ".join(f"{name} {report.percent(share)}" for name, share in epoch.operations.items())
    print(
        f"epoch {epoch.epoch}/{epochs}  loss {epoch.train_loss:.4f}  validation "
        f"{report.percent(epoch.validation_accuracy)} ({each})  {epoch.seconds:.1f} s",
        flush=True,
    )


def evaluate_command(args: argparse.Namespace) -> int:
    model, config, path = trained(args)
    test = make_splits(config.task, config.seed, config.decoder, config.counted)["test"]
    found = examined(model, test, config.task)
    print(f"{path}: {report.percent(found.accuracy)} of {report.counted(found.count, unit(found))} right")
    if not config.task.exact:
        print(f"loss {mean_loss(model, test):.4f} for each")
        return 0
    for operation, share in found.operations.items():
        print(f"  {operation:<8}{report.percent(share):>9}")
    print("right answer (row), given answer (column):")
    print(report.confusion_table(found))
    for question, right, given in found.mistakes[:10]:
        print(f"wrong: {question} is {right}, not {given or 'nothing'}")
    return 0


def ask_command(args: argparse.Namespace) -> int:
    model, config, path = trained(args)
    if args.batch is not None:
        if args.question is not None:
            raise ValueError("--batch reads the questions from a file: leave out the one on the command line")
        whole = True
        for line, answer in asking.as_lines(asking.answered(model, config.task, asking.lines_of(args.batch))):
            print(line, flush=True)
            whole = whole and answer
        return 0 if whole else 2
    if args.question is not None:
        show_answer(model, config, args.question)
    else:
        asking.prompt(lambda question: show_answer(model, config, question), f"{path.parent.name}: {config.about()}")
    return 0


def show_answer(model: Transformer, config: TrainConfig, question: str) -> None:
    """The answer, the likeliest tokens of each of its places, and where every head looks."""
    right = config.task.answer(question)
    reply = ask(model, question, config.task)
    names = [token if token.isprintable() and token != " " else repr(token) for token in config.task.vocabulary.tokens]
    blocks = report.can_show(getattr(sys.stdout, "encoding", None))  # there may be no stdout
    verdict = "" if reply.text == right or not config.task.exact else f", which is wrong: it is {right}"
    asked = "".join(question.split()) + " = " if config.task.exact else question
    print(f"{asked}{reply.text}{verdict}\n")
    for probabilities in reply.probabilities:
        print(report.top(probabilities, names, blocks=blocks) + "\n")
    labels = [names[token] for token in reply.tokens]
    for layer, weights in enumerate(reply.attention, 1):
        print(f"layer {layer}: where each token (row) looks")
        print(report.heatmaps(weights, labels, shutil.get_terminal_size().columns, blocks) + "\n")
    print(report.legend(blocks))


def generate_command(args: argparse.Namespace) -> int:
    if args.limit is not None and args.limit < 1:
        raise ValueError(f"limit = {args.limit}: it must be 1 or more")
    if args.source is not None:
        return generate_from_command(args)
    model, config, _ = trained(args)
    task, sampling = config.task, sampling_of(args)
    if args.batch is not None:
        if args.questions:
            raise ValueError("--batch reads the prompts from a file: leave out those on the command line")
        questions = asking.prompts(args.batch, task)
    else:
        typed = sys.stdin.read() if sys.stdin and not args.questions else ""
        read = typed.splitlines() if task.exact else [typed]
        questions = args.questions or [prompt for prompt in read if prompt.strip()]
        for question in questions:
            task.check(question)
    if args.beams is not None:
        if args.temperature is not None:
            raise ValueError("--beams looks for the likeliest answers, and --temperature draws them: choose one")
        live.search(model, task, questions, args.beams, args.limit, output())
    elif questions:
        live.say(model, task, questions, sampling, args.limit, output(), output().isatty() and not args.plain)
    return 0


def generate_from_command(args: argparse.Namespace) -> int:
    """Go on with texts by a model of another program's, or fill their masks."""
    if any(each is not None for each in (args.beams, args.run, args.batch)):
        raise ValueError("--from names the model, and goes on with texts: leave out --run, --beams and --batch")
    texts = args.questions or [sys.stdin.read() if sys.stdin else ""]
    if is_bert(args.source):
        if options.given(args, "temperature", "top_k", "top_p", "seed", "limit"):
            raise ValueError("a BERT draws nothing, it fills what is masked: leave out --limit, --temperature and such")
        Filler.load(args.source).say([text.rstrip("\n") for text in texts], output())
        return 0
    Pretrained.load(args.source).say(texts, args.limit or 200, sampling_of(args), output())
    return 0


def sweep_command(args: argparse.Namespace) -> int:
    vary = variations(args.vary, args.ablate)
    if not vary:
        raise ValueError("nothing to vary: give --vary NAME=A,B or --ablate")
    if args.resume or args.range_test:
        raise ValueError("a sweep goes on by itself when it is started again under its name: leave out --resume")
    folder = new_run(args.runs, None, "sweep") if args.run is None else args.runs / checked(args.run)

    def tell(name: str, outcome: Outcome) -> None:
        share = "" if outcome.test is None else f"{report.percent(outcome.test.accuracy)} right"
        print(f"{name}: {share}, {outcome.seconds:.1f} s", flush=True)

    print(table(sweep(config_of(args), vary, folder, tell)))
    print(f"{folder / 'sweep.json'} holds the numbers; each run lies beside it: --runs {folder} --run NAME")
    return 0


def compare_command(args: argparse.Namespace) -> int:
    print(comparison([find_run(args.runs, name, "*") for name in args.names], note))
    return 0


def report_command(args: argparse.Namespace) -> int:
    model, config, path = trained(args)
    from transformer.report.document import measure, write_report  # matplotlib: not before it is needed

    for question in args.questions:
        config.task.check(question)
    if args.tensorboard is not None and args.tensorboard.exists() and not args.tensorboard.is_dir():
        raise NotADirectoryError(f"{args.tensorboard}: it is a file, and events want a folder")
    folder = path.parent
    metrics = read_metrics(folder / "metrics.jsonl")
    moments = load_moments(folder, model.embedding.weight.shape, note)
    page, *numbers = write_report(measure(folder.name, model, config, metrics, args.questions, moments), folder)
    print(f"{page}: open it in a browser; its numbers are in {' and '.join(file.name for file in numbers)}")
    if args.tensorboard is not None:
        count = write_events(metrics, args.tensorboard)
        print(f"{args.tensorboard}: {report.counted(count, 'number')} as events for TensorBoard")
    return 0


def draw_command(args: argparse.Namespace) -> int:
    model, config, _ = trained(args)
    if args.question is None:
        test = make_splits(config.task, config.seed, config.decoder)["test"]
        args.question = test.examples[0].question
    return drawing.drawn(model, config.task, args)


def play_command(args: argparse.Namespace) -> int:
    from transformer.play import Session
    from transformer.play.server import serve  # uvicorn and starlette: not before they are needed

    model, config, path = trained(args)
    return serve(Session(model, config, path.parent.name), args.port)


def trained(args: argparse.Namespace) -> tuple[Transformer, TrainConfig, Path]:
    """The model of the run that is asked for, or of the newest."""
    folder = find_run(args.runs, args.run)
    load_task_file(args)
    return load_run(folder, args.checkpoint, note)


def note(line: str) -> None:
    print(line, file=sys.stderr)


# Running ------------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    commands = (
        train_command, evaluate_command, ask_command, generate_command, sweep_command, compare_command, report_command,
        draw_command, play_command, learning.lesson_command,
    )  # fmt: skip
    return options.parser({command.__name__.removesuffix("_command"): command for command in commands})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; started by mpirun, on all processes together, of which the first alone reads and writes.

    Returns its exit code: 0 done, 2 wrong input, 130 and 143 interrupted, 141 a training nobody watches.
    """
    one_blas_thread()
    return on_all_ranks(
        lambda comm: command(arguments, comm), prepare=lambda: load_task_file(parser().parse_args(arguments))
    )


def command(arguments: Sequence[str] | None, comm: Communicator) -> int:
    """Parse and run; returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a letter of a file name shows its number
        sys.stdout.reconfigure(errors="backslashreplace")
    args = argparse.Namespace(command=None, comm=comm)
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

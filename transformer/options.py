"""The options of the commands, and what they make: a configuration, a way of sampling, a task."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from transformer import config, plan
from transformer.config import CHOICES, TransformerConfig
from transformer.plan import TrainConfig
from transformer.sampling import Sampling
from transformer.tasks import TASKS, DigitTask, Task, make_task, task_of_file
from transformer.tokens import VOCABULARY
from transformer.troubles import one_line

__all__ = ["RUNS", "config_of", "given", "load_task_file", "parser", "refuse_changes", "sampling_of"]

SWITCHES = {
    "gated": "a gate in the feed-forward: with silu SwiGLU, with gelu GEGLU",
    "tie_embeddings": "the output projection is the embedding's transpose",
    "attention_bias": "biases in attention too",
    "capture": "record a step and replay it, with the same bits in less time",
}
WANTED = "answer; of a text all"
RUNS = Path("runs")
PIECES = 8  # can be shared out evenly to 1, 2, 4 and 8 processes
TASK_OPTIONS = ("upper", "arguments")
RUN_OPTIONS = (
    "seed", "epochs", "examples", "batch_size", "lr", "warmup", "loss", "optimizer", "schedule", "weight_decay",
    "accumulate", "average", "patience", "label_smoothing", "curriculum", "deterministic",
    "capture",
)  # fmt: skip
MODEL_OPTIONS = (
    "embed_dim", "num_heads", "num_layers", "ffn_dim", "dropout", "norm", "activation", "positions", "pooling",
    "norm_kind", "gated", "tie_embeddings", "attention_bias", "without",
)  # fmt: skip
PARTS = ("attention", "feed_forward", "norm", "block", "model", "loss")
Command = Callable[[argparse.Namespace], int]


# What options make --------------------------------------------------------------------------------


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options among `names` that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def config_of(args: argparse.Namespace) -> TrainConfig:
    """A new run by the options given; the others have the defaults of what they configure."""
    task = task_of(args)
    shape = given(args, *MODEL_OPTIONS) | ({"causal": True, "pooling": None} if args.decoder else {})
    tokens = len(task.vocabulary)
    room = max(50, task.longest + task.longest_answer)
    model = TransformerConfig(tokens, max_seq_len=room, **shape)
    return TrainConfig(model, task, **given(args, *RUN_OPTIONS))


def task_of(args: argparse.Namespace) -> Task:
    """The task that is named, or whose file is named, with its options."""
    options = given(args, *TASK_OPTIONS)
    for option in args.option or ():
        name, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"--option {option}: write NAME=VALUE, as in --option depth=3")
        options[name.replace("-", "_")] = value
    return make_task(load_task_file(args) or ("digits" if args.task is None else args.task), options)


def load_task_file(args: argparse.Namespace) -> str | None:
    """Run the file that --task names, if it names one, so that its task is known; the name of that task."""
    return task_of_file(Path(args.task)) if (args.task or "").endswith(".py") else None


def refuse_changes(args: argparse.Namespace) -> None:
    """A run that is resumed goes on as it was started."""
    changed = [*given(args, *TASK_OPTIONS, *MODEL_OPTIONS, *RUN_OPTIONS), *["decoder"] * args.decoder]
    changed += ["option"] * bool(args.option) + ["task"] * bool(args.task and not args.task.endswith(".py"))
    if changed:
        options = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise ValueError(f"--resume goes on with what the run was started with; leave out {options}")


def sampling_of(args: argparse.Namespace) -> Sampling:
    return Sampling(**given(args, "temperature", "top_k", "top_p", "seed"))


# The options --------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where all options are explained."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {one_line(message)}; {self.prog} --help explains\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Words left over after a question are most likely the rest of it."""
        found, left = self.parse_known_args(args, namespace)
        if left:
            rest = " ".join(left)
            asked = getattr(found, "question", None) and not any(word.startswith("-") for word in left)
            cure = f'; put the question in quotes, "{found.question} {rest}", and name a run by --run' if asked else ""
            self.error(f"unrecognized arguments: {rest}{cure}")
        return found


def parser(functions: Mapping[str, Command]) -> argparse.ArgumentParser:
    """Of all commands, each of which runs the function of its name."""
    top = Parser(
        prog="python -m transformer", description="A transformer whose backward pass nobody wrote.",
        epilog="COMMAND --help explains a command and shows an example.",
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, help: str, example: str) -> argparse.ArgumentParser:
        one: argparse.ArgumentParser = commands.add_parser(
            name, help=help, description=f"{help[0].upper()}{help[1:]}.",
            epilog=f"example: python -m transformer {name} {example}".rstrip(),
        )  # fmt: skip
        one.set_defaults(function=functions[name])
        if name == "lesson":
            return one
        one.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs live [runs]")
        if name == "compare":
            return one
        new = {"train": "name of the new run [encoder-1, encoder-2, ...]", "sweep": "name of the sweep [sweep-1, ...]"}
        one.add_argument("--run", metavar="NAME", help=new.get(name, "which run [the newest]"))
        if name not in new:
            choices = ("best", "last")
            one.add_argument("--checkpoint", choices=choices, help="which of the run's two [best, if it is there]")
            one.add_argument("--task", metavar="FILE.py", help="the file of a task of your own that the run is on")
        return one

    train_options(command("train", "train a model on a task", "--decoder --task nested --option depth=2 --epochs 3"))
    command("evaluate", "measure a model on the inputs it has never seen", "--run encoder-1")
    one = command("ask", "answer one question and show how", '"Max(5,3,9)"')
    one.add_argument("question", nargs="?", help="[without one, a prompt for many]")
    one.add_argument("--batch", metavar="FILE", help="questions, one a line, answered as JSON lines; - reads stdin")
    generate_options(command("generate", "answer questions, or go on with a text", '"Max(5,3,9)" "Min(4,2,8)"'))
    one = command("sweep", "train with some settings varied, side by side", "--vary seed=0,1,2 --vary num_layers=1,2")
    one.add_argument("--vary", action="append", default=[], metavar="NAME=A,B", help="a setting and its values")
    one.add_argument("--ablate", action="store_true", help="also without each part of the model in turn")
    train_options(one)
    one = command("compare", "two runs or more side by side", "encoder-1 encoder-2")
    one.add_argument("names", nargs="+", metavar="RUN", help="which runs")
    one = command("report", "write one HTML page about a run", '--run encoder-1 "Max(5,3,9)"')
    one.add_argument("questions", nargs="*", metavar="QUESTION", help="look closely at these [one of each operation]")
    one.add_argument("--tensorboard", type=Path, metavar="FOLDER", help="write the curves there as events, too")
    draw_options(command("draw", "draw the graph of a layer", "model --format html --heat gradient"))
    one = command("play", "ask, change and watch a model on a page of this machine", "--run encoder-1")
    one.add_argument("--port", type=int, default=0, metavar="N", help="where the page is [any that is free]")
    one = command("lesson", "list, open and check the lessons and their exercises", "check 1")
    one.add_argument("words", nargs="*", metavar="WORD", help="list, open N, check N [EXERCISE] or progress [list]")
    one.add_argument("--folder", type=Path, default=Path("lessons"), metavar="FOLDER", help="your answers [lessons]")
    return top


def train_options(one: argparse.ArgumentParser) -> None:
    run, model, task = TrainConfig(), TransformerConfig(len(VOCABULARY)), DigitTask()
    one.add_argument("--decoder", action="store_true", help="generate the answer token by token, also above 9")
    one.add_argument("--resume", action="store_true", help="go on with a run that was stopped, as if it never had been")
    one.add_argument("--range-test", action="store_true", help="train for a moment with growing rates, to find an lr")
    one.add_argument("--task", metavar="NAME", help=f"{', '.join(TASKS)}, or the file of your own [digits]")
    one.add_argument("--option", action="append", metavar="NAME=VALUE", help="of the task, as depth=3; repeatable")
    for source, names in ((task, TASK_OPTIONS), (run, RUN_OPTIONS), (model, MODEL_OPTIONS)):
        for name in names:  # None: not given
            default = getattr(source, name)
            flag, help = "--" + name.replace("_", "-"), f"[{default if default is not None else WANTED}]"
            choices: Sequence[str | None] = (CHOICES | plan.CHOICES).get(name, ())
            if name == "without":
                one.add_argument(flag, nargs="+", choices=config.PARTS, help="parts that are left out [none]")
            elif name == "deterministic":
                help = f"the same bits on any number of processes, by M pieces of each batch [{PIECES} if given]"
                one.add_argument(flag, type=int, nargs="?", const=PIECES, metavar="M", help=help)
            elif choices:
                one.add_argument(flag, choices=[each for each in choices if each is not None], help=help)
            elif default is False:
                one.add_argument(flag, action="store_true", default=None, help=SWITCHES[name])
            else:
                one.add_argument(flag, type=type(default), metavar="N", help=help)


def generate_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("questions", nargs="*", metavar="QUESTION", help="read from stdin, one a line, if none is given")
    source = "go on with a text by the GPT-2 in this Hugging Face folder, or fill its [MASK]s by the BERT there"
    one.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help=source)
    one.add_argument("--batch", metavar="FILE", help="prompts, one a line, in a file; - reads stdin")
    one.add_argument(
        "--temperature", type=float, metavar="T", help="draw tokens; low: the likely ones [0: the likeliest]"
    )
    one.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest [all]")
    one.add_argument("--top-p", type=float, metavar="P", help="draw from the likeliest that have P together [all]")
    one.add_argument("--seed", type=int, metavar="N", help=f"settles what is drawn [{Sampling().seed}]")
    one.add_argument("--beams", type=int, metavar="N", help="the N likeliest answers that a search finds")
    one.add_argument("--limit", type=int, metavar="N", help="tokens at most [an answer's; of text 200]")
    one.add_argument("--plain", action="store_true", help="on a terminal too, print each answer when it is whole")


def draw_options(one: argparse.ArgumentParser) -> None:
    one.add_argument("part", nargs="?", choices=PARTS, default="attention", help=f"{', '.join(PARTS)} [attention]")
    one.add_argument("--layer", type=int, default=0, metavar="K", help="which layer, from 0 [0]")
    one.add_argument("--question", help="what is computed [one that training has not seen]")
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

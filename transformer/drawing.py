"""Pictures of a trained model: a part of it, or the loss of a question, in any of the forms that draw() knows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, draw, errors, functional, replay
from transformer.model import Transformer
from transformer.tasks import Task

__all__ = ["drawn", "loss_of"]

# Part of a block -> the module, and what it takes beside its input.
PARTS: dict[str, tuple[Callable[[Any], Any], tuple[Any, ...]]] = {
    "attention": (lambda block: block.attention, (None,)),
    "feed_forward": (lambda block: block.feed_forward, ()),
    "norm": (lambda block: block.norm1, ()),
    "block": (lambda block: block, (None,)),
}


def drawn(model: Transformer, task: Task, args: argparse.Namespace) -> int:
    """Draw what the options of the command say; returns its exit code."""
    right = task.vocabulary.spell(task.answer(args.question))
    if (args.part == "loss" or args.replay) and not right:
        raise ValueError("loss: a text has no right answer to measure by")
    tokens = np.array([task.encode(args.question)])
    if not 0 <= args.layer < len(model.blocks):
        raise ValueError(f"layer = {args.layer}: this model has layers 0 to {len(model.blocks) - 1}")
    if not args.output.name:
        raise ValueError(f"output = {str(args.output)!r}: it must name a file, without an ending")

    loss = loss_of(model, right[:1])
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
        if target is None:
            raise ValueError(f"part = {args.part!r}: this model was built without")
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


def loss_of(model: Transformer, right: list[int]) -> Callable[[Any], Any]:
    """The loss of tokens (1, T) as a function to be drawn: how unlikely the model holds the one token in `right`."""

    def loss(tokens: Any) -> Any:
        logits = model(tokens)
        return functional.cross_entropy(logits if logits.ndim == 2 else logits[:, -1], np.array(right))

    return loss

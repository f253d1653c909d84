"""A trained model and what is asked of it. Each wish brings all its changes along and gets a model of its own.

So nothing is remembered between two wishes, any number of them can be fulfilled at once, and to undo a change is to
leave it out of the next.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_edu import draw, functional, no_grad, replay
from transformer.drawing import loss_of
from transformer.generate import Reply, ask
from transformer.model import Transformer
from transformer.plan import TrainConfig
from transformer.play.wishes import Impossible, Wish
from transformer.tokens import PAD, InputError

__all__ = ["Session"]

Array = NDArray[Any]

CANDIDATES = 24  # tokens whose logits are shown: of a larger vocabulary the likeliest
NUMBERS = 40_000  # of one parameter, at most, that are shown
EXAMPLES = 5


class Session:
    """The model of a run, as it was loaded; it is copied, so that whoever holds the original may go on with it."""

    def __init__(self, model: Transformer, config: TrainConfig, name: str) -> None:
        self.model = copy.deepcopy(model).eval()
        self.config, self.task, self.name = config, config.task, name
        tokens = config.task.vocabulary.tokens
        further = range(len(tokens), config.model.vocab_size)  # ids that the model has room for, and the task no word
        self.tokens = [*map(shown, tokens), *(f"id {number}" for number in further)]

    def about(self) -> dict[str, Any]:
        """What the page needs to know beforehand: sizes, tokens, names of parameters, questions to begin with."""
        config = self.config.model
        return {
            "name": self.name,
            "about": f"{'decoder' if self.config.decoder else 'encoder'}, {self.config.about()}",
            "size": self.model.num_parameters(),
            "blocks": 0 if "attention" in config.without else config.num_layers,
            "heads": config.num_heads,
            "dtype": config.dtype,
            "tokens": self.tokens,
            "parameters": [[name, list(value.shape)] for name, value in self.model.named_parameters()],
            "examples": self.examples(),
        }

    def examples(self) -> list[str]:
        """A question of each operation, a few at most; none where they are read from a file that is gone."""
        rng = np.random.default_rng(0)
        try:
            found = self.task.examples(rng)
        except (OSError, ValueError):
            return []
        mixed = [found[k] for k in rng.permutation(len(found))]
        return sorted({each.operation: each.question for each in mixed}.values())[:EXAMPLES]

    def changed(self, wish: Wish) -> Transformer:
        """A copy of the model with the wish's changes. Raises Impossible."""
        model = copy.deepcopy(self.model)
        state = model.state_dict()
        wish.apply(state, model.config)
        model.load_state_dict(state)
        return model

    def answer(self, wish: Wish) -> dict[str, Any]:
        """The answer, its tokens, logits and attention; and what the model would say without the changes.

        `before` is how likely the unchanged model holds a token at the same place, after the same tokens. Raises
        Impossible, and InputError for a question that cannot be read.
        """
        right = self.task.answer(wish.question)
        model = self.changed(wish)
        reply = self.reply(model, wish)
        plain = ask(self.model, wish.question, self.task)
        before = self.chances(reply)
        return {
            "question": wish.question,
            "answer": reply.text,
            "right": right if self.task.exact else None,
            "plain": {"answer": plain.text, "chance": rounded(np.delete(plain.probabilities[0], PAD).max())},
            "tokens": [self.tokens[token] for token in reply.tokens],
            "asked": len(reply.tokens) - len(reply.logits) + 1,
            "attention": [rounded(weights) for weights in reply.attention],
            "steps": [self.step(*each) for each in zip(reply.logits, reply.probabilities, before, strict=True)],
        }

    def reply(self, model: Transformer, wish: Wish) -> Reply:
        """What a changed model says."""
        try:
            with np.errstate(all="ignore"):  # a weight of 1e38 overflows, which is told in words
                reply = ask(model, wish.question, self.task)
        except InputError:
            raise
        except ValueError as error:  # it says an id that no token has
            raise Impossible(f"with these changes the model says no token: {error}") from None
        if not all(np.isfinite(logits).all() for logits in reply.logits):
            raise Impossible("with these changes the numbers inside the model overflow: undo one, or make it smaller")
        return reply

    def chances(self, reply: Reply) -> Array:
        """What the unchanged model holds likely, (N, V), where a changed one has said the N tokens of a reply."""
        with no_grad():
            logits = self.model([reply.tokens])
            chances: Array = functional.softmax(logits).numpy()[0]
        return chances[None] if chances.ndim == 1 else chances[-len(reply.logits) :]

    def step(self, logits: Array, chances: Array, before: Array) -> list[dict[str, Any]]:
        """A row for each token that is worth one; a small vocabulary is there whole, and in its order."""
        likely = np.argsort(-np.maximum(chances, before), kind="stable")[:CANDIDATES]
        order: Sequence[int] = sorted(likely.tolist()) if len(logits) <= CANDIDATES else likely.tolist()
        return [
            {"token": self.tokens[k], "logit": rounded(logits[k]), "chance": rounded(chances[k]),
             "before": rounded(before[k])}
            for k in order
        ]  # fmt: skip

    def weights(self, wish: Wish, name: str) -> dict[str, Any]:
        """The numbers of one parameter after the changes, as rows; of a very large one the first rows."""
        state = dict(self.changed(wish).named_parameters())
        if name not in state:
            raise Impossible("there is no such parameter")
        rows = np.atleast_2d(state[name].numpy())
        rows = rows[: max(1, NUMBERS // rows.shape[1]), :NUMBERS]
        return {"name": name, "rows": [[float(f"{value:.6g}") for value in row] for row in rows.tolist()]}

    def graph(self, wish: Wish) -> str:
        """The graph of the answer as a page to explore. Raises like answer, and RenderError without Graphviz."""
        model, tokens, right = self.to_be_measured(wish)
        with np.errstate(all="ignore"):
            return str(draw(loss_of(model, right), tokens, format="html", heat="gradient"))

    def replay(self, wish: Wish) -> str:
        """The backward pass from the loss as a page to step through. Raises like answer."""
        model, tokens, right = self.to_be_measured(wish)
        with np.errstate(all="ignore"):
            return replay(loss_of(model, right)(tokens))

    def to_be_measured(self, wish: Wish) -> tuple[Transformer, Array, list[int]]:
        """The changed model, the question's tokens (1, T), and the first token of the right answer.

        A text has no right answer: there it is the token that the model itself says.
        """
        model = self.changed(wish)
        tokens = self.task.encode(wish.question, model.config.max_seq_len)
        right = self.task.vocabulary.spell(self.task.answer(wish.question))[:1]
        if not right:
            right = [int(np.delete(self.reply(model, wish).logits[0], PAD).argmax()) + 1]
        return model, np.array([tokens]), right


def shown(token: str) -> str:
    return token if token.isprintable() and token.strip() else repr(token)


def rounded(values: Any) -> Any:
    """Plain numbers with five digits after the point, ready for JSON."""
    return np.round(np.asarray(values, np.float64), 5).tolist()

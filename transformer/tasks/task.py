"""What a task is: questions with answers, and how they are spelt. One class in one file makes a new one.

    @register
    @dataclass(frozen=True)
    class Reverse(Task):
        name, further = "reverse", ("Reverse",)      # a token after the lessons' twenty
        arguments: int = 3                           # fields are options: --option arguments=4

        ...                                          # examples, answer, longest, longest_answer

`python -m transformer train --task reverse.py --decoder` finds it there; docs/tasks.md has it whole.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np

from transformer.tokens import InputError
from transformer.vocabulary import Vocabulary, Words

__all__ = ["POOL", "TASKS", "Example", "Task", "make_task", "register"]

POOL = 10_000  # inputs of one operation, at most; where more exist, that many distinct ones are drawn


class Example(NamedTuple):
    """A question, its answer, and the operation it is counted under."""

    question: str
    answer: str
    operation: str


class Task:
    """What splits, training and the commands ask of a task; a subclass is a frozen dataclass of its options.

    name      under which it is found      further   its tokens after the lessons'
    exact     whether an answer is right or wrong as a whole; text that goes on and on is neither
    """

    name: ClassVar[str]
    further: ClassVar[tuple[str, ...]] = ()
    exact: ClassVar[bool] = True

    def examples(self, rng: np.random.Generator) -> list[Example]:
        """Distinct questions: all there are, or a drawn sample of them."""
        raise NotImplementedError

    def parts(self, rng: np.random.Generator) -> dict[str, list[Example]] | None:
        """The examples of each split, of a task that parts them itself; None: any split of `examples` will do."""
        return None

    def answer(self, question: str) -> str:
        """The right answer. Raises InputError for a question that does not belong to the task."""
        raise NotImplementedError

    @property
    def longest(self) -> int:
        """Tokens of the longest question."""
        raise NotImplementedError

    @property
    def longest_answer(self) -> int:
        """Tokens of the longest answer."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many examples there are, at most."""
        return 5 * POOL

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        return Words(self.further)

    def adopt(self, tokens: Sequence[str]) -> None:
        """Be the task of a model that was trained with these tokens. Raises ValueError if it cannot."""
        if tuple(tokens) != self.vocabulary.tokens:
            raise ValueError(f"task {self.name}: its tokens are {' '.join(self.vocabulary.tokens)}, not the model's")

    def check(self, question: str) -> None:
        """Raises InputError for a question that does not belong to the task."""
        self.answer(question)

    def encode(self, question: str, longest: int | None = None) -> list[int]:
        """The token ids of a question. Raises InputError like check, and for more than `longest` tokens."""
        self.check(question)
        ids = self.vocabulary.spell(question)
        if longest is not None and len(ids) > longest:
            problem = f"the question has {len(ids)} tokens"
            raise InputError(problem, question, len(question) - 1, f"at most {longest} are allowed here")
        return ids

    def to_dict(self) -> dict[str, Any]:
        """The name and the options, ready for JSON."""
        return {"name": self.name, **dataclasses.asdict(self)}  # type: ignore[call-overload]


TASKS: dict[str, type[Task]] = {}
T = TypeVar("T", bound=type[Task])


def register(task: T) -> T:
    """Let the class be found by its name. Raises ValueError where another file has taken it."""
    taken = TASKS.get(task.name)
    if taken is not None and taken.__qualname__ != task.__qualname__:
        raise ValueError(f"there is a task {task.name!r} already, {taken.__module__}.{taken.__qualname__}")
    TASKS[task.name] = task
    return task


def make_task(name: str, options: Mapping[str, Any]) -> Task:
    """The task of that name; options that are text become what the option's default is.

    Raises ValueError for an unknown name or option, and what the task itself raises.
    """
    if name not in TASKS:
        raise ValueError(f"there is no task {name!r}, only {', '.join(TASKS)}; for your own give its file, NAME.py")
    fields = {field.name: field for field in dataclasses.fields(TASKS[name])}  # type: ignore[arg-type]
    values = {}
    for option, value in options.items():
        if option not in fields:
            raise ValueError(f"task {name} has no option {option!r}, only {', '.join(fields)}")
        kind = type(fields[option].default)
        if isinstance(value, str) and kind is int:
            try:
                value = int(value)
            except ValueError:
                raise ValueError(f"{option} = {value!r}: it must be a whole number") from None
        values[option] = value
    needed = [option for option, field in fields.items() if field.default is dataclasses.MISSING]
    missing = [option for option in needed if option not in values]
    if missing:
        raise ValueError(f"task {name} needs {' and '.join(f'--option {option}=...' for option in missing)}")
    return TASKS[name](**values)


def whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} = {value!r}: it must be a whole number, {least} or more")
    if most is not None and value > most:
        raise ValueError(f"{name} = {value}: it must be {most} at most")

"""A program: the steps of a tape that matter, as a Python function that is written, read, drawn and run.

What nobody needs is dropped. A value lives in a buffer, a local variable, from the step that makes it to the last that
reads it; then the buffer takes the next value, or is let go. A sum of cotangents goes into the first of them, if
nobody else holds it. So no more is in memory at a time than in the engine's own pass.
"""

from __future__ import annotations

import keyword
import math
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.tape.recording import Tape
from tinygrad_edu.tape.rows import without_unread_rows
from tinygrad_edu.tape.steps import Step, Value, added, values_in

__all__ = ["Miss", "Program", "Row"]


class Miss(Exception):
    """The function would have gone another way than the program."""


class Row:
    """A step, and where its values live: buffer, one for each array that it makes; the places of its birth and death.

    births: (value, buffer) made here. deaths: buffers that are let go after it.
    """

    __slots__ = ("births", "deaths", "reads", "step")

    def __init__(self, step: Step) -> None:
        self.step = step
        self.births: list[tuple[Value, str]] = []
        self.deaths: list[str] = []
        self.reads: list[str] = []


class Program:
    """steps that are needed, as rows; arguments, tensors: what it reads; source: the function, in Python.

    run(arguments, tensors) gives what the function returned, and the gradients that it left, without leaving them.
    """

    def __init__(self, tape: Tape, every_row: bool = True) -> None:
        self.outputs, self.deposits = tape.outputs, tape.deposited
        self.generators = [rng for rng, _ in tape.generators]
        self.settled: set[Value] = {value for value in tape.values if value.kind == "constant" and not value.lives}
        needed = self.needed([step for step in tape.steps if not self.settles(step)])
        if not every_row:
            needed = without_unread_rows(needed, [*self.outputs, *[deposit.g for deposit in self.deposits]])
        read = {value for step in needed for value in values_in((step.args, step.keywords))}
        read |= set(values_in([*self.outputs, *[deposit.g for deposit in self.deposits]]))
        read |= {deposit.leaf for deposit in self.deposits}
        self.tensors = [value for value in tape.values if value.kind == "tensor" and value in read]
        self.met, self.aliases = [value for value in tape.values if value.kind == "tensor"], tape.aliases
        self.arguments = [value for value in tape.values if value.kind == "argument"]
        self.leaves = {value.leaf for value in self.tensors if value.leaf is not None}
        self.names: dict[Value, str] = {}
        self.scope: dict[str, Any] = {}
        self.rows = self.housed(needed, read)
        self.source = "\n".join(self.written())
        code = compile(self.source, "<captured program>", "exec")
        made: dict[str, Any] = {}
        exec(code, self.scope, made)
        self.run: Callable[..., Any] = made["program"]

    def settles(self, step: Step) -> bool:
        """Does it depend on constants alone? Then what it made is a constant in turn."""
        fixed = step.phase != "draw" and self.settled.issuperset(values_in((step.args, step.keywords)))
        if fixed and all(value.kind == "settled" for value in values_in(step.made)):
            self.settled.update(values_in(step.made))
            return True
        return False

    def needed(self, steps: list[Step]) -> list[Step]:
        """Those without which an output, a gradient or a check would be another."""
        wanted = set(values_in([*self.outputs, *[deposit.g for deposit in self.deposits]]))
        kept = []
        for step in reversed(steps):
            if step.phase in ("check", "draw") or not wanted.isdisjoint(values_in(step.made)):
                wanted.update(values_in((step.args, step.keywords)))
                kept.append(step)
        return kept[::-1]

    # Buffers

    def housed(self, steps: list[Step], read: set[Value]) -> list[Row]:
        """Each value gets a buffer for as long as it is needed."""
        last: dict[Value, int] = {}
        for place, step in enumerate(steps):
            last.update(dict.fromkeys([*values_in(step.made), *values_in((step.args, step.keywords))], place))
        last.update(dict.fromkeys(values_in([*self.outputs, *[d.g for d in self.deposits]]), len(steps)))
        for place, value in enumerate(self.arguments):
            self.names[value] = f"x{place}"
        for place, value in enumerate(self.tensors):
            self.names[value] = f"w{place}"
        free: list[str] = []
        lodged: set[Value] = set()
        count = 0
        rows = []
        for place, step in enumerate(steps):
            row = Row(step)
            used = dict.fromkeys(values_in((step.args, step.keywords)))
            row.reads = [self.name_of(value) for value in used]
            ended = [value for value in used if last[value] == place and value in lodged]
            own = [self.names[value] for value in ended]
            if step.phase == "sum" and step.args[0] in ended:  # into the first, where it is known as `held`
                own.remove(self.names[step.args[0]])
                own.insert(0, self.names[step.args[0]])
            lodged.update(values_in(step.made))
            for value in values_in(step.made):
                if own:
                    name = own.pop(0)
                elif free:
                    name = free.pop()
                else:
                    name, count = f"b{count}", count + 1
                self.names[value] = name
                row.births.append((value, name))
            row.deaths = own
            free += own
            for value, name in row.births:
                if last[value] == place:
                    row.deaths.append(name)
                    free.append(name)
            rows.append(row)
        return rows

    # The source

    def name_of(self, value: Value) -> str:
        name = self.names.get(value)
        if name is None:
            name = self.names[value] = f"c{sum(each in self.settled or each.lives for each in self.names)}"
            self.scope[name] = value.held
        return name

    def word(self, tree: Any) -> str:
        """An argument as Python."""
        if isinstance(tree, Value):
            return self.name_of(tree)
        if isinstance(tree, list):
            return f"[{', '.join(map(self.word, tree))}]"
        if type(tree) is tuple:
            return f"({', '.join(map(self.word, tree))}{',' * (len(tree) == 1)})"
        if isinstance(tree, tuple):
            return f"{self.entered(type(tree).__name__, type(tree))}({', '.join(map(self.word, tree))})"
        if tree is None or tree is Ellipsis or type(tree) in (int, bool, str):
            return repr(tree)
        if type(tree) is float and math.isfinite(tree):
            return repr(tree)
        if type(tree) is slice:
            return f"slice({self.word(tree.start)}, {self.word(tree.stop)}, {self.word(tree.step)})"
        return self.entered(tree.name if isinstance(tree, np.dtype) else type(tree).__name__, tree)

    def entered(self, name: str, thing: Any) -> str:
        """The name of a function, or of any other object."""
        name = re.sub(r"\W+", "_", name).strip("_") or "f"
        name = f"{name}_" if keyword.iskeyword(name) or RESERVED.fullmatch(name) else name
        found, count = name, 1
        while found in self.scope and self.scope[found] is not thing:
            count += 1
            found = f"{name}_{count}"
        self.scope[found] = thing
        return found

    def written(self) -> Iterator[str]:
        self.scope.update(errstate=np.errstate, Miss=Miss, refs=sys.getrefcount, ALONE=ALONE)
        yield "def program(arguments, tensors):"
        for values, given in ((self.arguments, "arguments"), (self.tensors, "tensors")):
            names = "".join(f"{self.names[value]}, " for value in values)
            if names:
                yield f"    {names.rstrip() if len(values) == 1 else names.rstrip(', ')} = {given}"
        back = False
        for row in self.rows:
            if (row.step.phase in ("backward", "sum")) != back:
                back = not back
                if back:
                    yield "    with errstate(all=\"ignore\"):"
            indent = "        " if back else "    "
            yield from (indent + line for line in self.lines(row))
        results = self.word(list(self.outputs)), self.word([deposit.g for deposit in self.deposits])
        yield f"    return {results[0]}, {results[1]}"

    def lines(self, row: Row) -> Iterator[str]:
        step = row.step
        words = [self.word(each) for each in step.args]
        words += [f"{name}={self.word(each)}" for name, each in step.keywords.items()]
        names = [name for _, name in row.births]
        if step.run is added:
            (held, share), (name,) = words, names
            if name == held:
                yield f"if {held}.base is None and refs({held}) == ALONE:"
                yield f"    {held} += {share}"
                yield "else:"
                yield f"    {held} = {held} + {share}"
            else:
                yield f"{name} = {held} + {share}"
        else:
            call = f"{self.entered(step.name, step.run)}({', '.join(words)})"
            if step.phase == "check":
                yield f"if {call} != {self.word(step.expected)}:"
                yield "    raise Miss"
            elif isinstance(step.made, Value):
                yield f"{names[0]} = {call}"
            else:
                yield f"{', '.join(names)}{',' * (len(names) == 1)} = {call}"
        if step.exact:
            for value, name in row.births:
                yield f"if {name}.shape != {self.word(value.shape)}:"
                yield "    raise Miss"
        if row.deaths:
            yield f"del {', '.join(row.deaths)}"


RESERVED = re.compile(r"\d.*|[bcwx]\d+|program|errstate|Miss|refs|ALONE|arguments|tensors")


def references() -> int:
    """What getrefcount says of an array that a local variable alone holds."""
    array = np.empty(1)
    return sys.getrefcount(array)


ALONE = references()

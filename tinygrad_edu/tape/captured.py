"""`capture(f)`: f, recorded when it is called, and from then on replayed as a straight line of NumPy calls.

A replay gives the same bits as f, or is not made: what the program does not cover runs as f itself. Other shapes are
other programs. A number that Python decided by is checked each time, and if it has changed, f is recorded anew.
"""

from __future__ import annotations

import functools
import random
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable
from threading import RLock
from typing import Any, overload

import numpy as np

from tinygrad_edu.graph import STATE, Cut, State, user_location
from tinygrad_edu.rules.loops import COMPILED
from tinygrad_edu.state import Revision
from tinygrad_edu.tape.compare import difference
from tinygrad_edu.tape.kinds import argument, kind_of, objects_among, pattern_of, shape_of
from tinygrad_edu.tape.outside import Outside, stamp
from tinygrad_edu.tape.program import Miss, Program
from tinygrad_edu.tape.recording import Tape
from tinygrad_edu.tape.trust import gives, held_by, sparing, tried
from tinygrad_edu.tensor import DEPOSIT, Tensor
from tinygrad_edu.tree import flatten
from tinygrad_edu.variable import make

__all__ = ["CaptureWarning", "Captured", "capture"]

KEYS, WAYS = 16, 8  # programs are kept for so many kinds of arguments, and ways through the function
GLOBAL = (np.random.get_state.__self__, random.getstate.__self__)  # type: ignore[attr-defined]
OFTEN = 4  # times that f is begun anew without a replay in between
REPLAYED = Cut("capture(): what a captured function returns is off the graph; call backward() inside it", None)


class CaptureWarning(UserWarning):
    """A captured function runs as if it were not, and why: its results are right, it is only no faster."""


class Ways:
    """The programs for one kind of arguments: one for each way that Python took through the function.

    pending: tapes that were recorded once. A second recording has to say the same before a program is made of it.
    failed: why none can be made.
    """

    def __init__(self) -> None:
        self.programs: list[tuple[Program, Any]] = []  # and how to build the nest that f returns
        self.pending: list[tuple[Tape, Any]] = []
        self.failed = ""
        self.outside: Outside | None = None  # what it reads of arguments that are no arrays


@overload
def capture(f: Callable[..., Any], *, exact: bool = True) -> Captured: ...
@overload
def capture(*, exact: bool = True) -> Callable[[Callable[..., Any]], Captured]: ...
def capture(f: Callable[..., Any] | None = None, *, exact: bool = True) -> Any:
    """f, recorded at its first two calls and replayed at all others: a training step without Python's share of it.

        @capture
        def step(tokens, targets):
            loss = functional.cross_entropy(model(tokens), targets)
            loss.backward()
            return loss

        for tokens, targets in batches:
            print(step(tokens, targets).item())
            optimizer.step()
            optimizer.zero_grad()

    f takes arrays, Tensors, and whatever else, in nested dicts, lists and tuples; in the place of an array it gets a
    Tensor. It may call backward(), which adds to the `.grad` of leaves. It returns a nest of Tensors, which come back
    off the graph, and of plain numbers and text.

    The result, and the gradients, are those of f to the last bit. Weights and other Tensors from outside are read anew
    each time, random numbers of `functional.dropout` drawn anew. Numbers, arrays and objects that f reads from outside
    are part of the program, and f is recorded anew when they change; see tape/outside.py.
    Whatever cannot be replayed (item(), numpy(), optimizer.step(), .grad, create_graph) makes f run as it is, and a
    CaptureWarning says why, once.

    exact=False, as in `@capture(exact=False)`, leaves out rows that nobody reads: of a model's out[:, 0], all others as
    far up as no attention or sum mixes them, and their share of every gradient, which is zero. Then the last digits
    differ from f's, and a NaN or an infinity in such a row does not get into a gradient.
    """
    return Captured(f, exact) if f is not None else functools.partial(Captured, exact=exact)


class Captured:
    """What `capture` returns. programs: those made so far, the one that ran last first; exact: see capture."""

    def __init__(self, f: Callable[..., Any], exact: bool = True) -> None:
        functools.update_wrapper(self, f)
        self.function, self.exact = f, exact
        self.lock = RLock()
        self.kinds: OrderedDict[Any, Ways] = OrderedDict()
        self.outside: Outside | None = None
        self.begun, self.recorded = 0, 0  # since the last replay
        self.failed, self.warned = "", False

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        state = STATE.get()
        leaves, rebuild = flatten([args, keywords])
        given = [argument(leaf) for leaf in leaves]
        tensors = [each for each in given if type(each) is Tensor]
        inside = state.recording and any(each._node is not None and each._node.plan is not None for each in tensors)
        if inside or state.heard or state.anomaly or state.variables or state.tell is not None:
            args, keywords = rebuild(given)
            return self.function(*args, **keywords)  # a graph leads through it, or somebody listens
        outline: Any = rebuild([None] * len(leaves))
        key = (shape_of(outline), tuple(map(kind_of, given)), state.recording, state.defined, bool(COMPILED),
               Revision.number, pattern_of(tensors))  # fmt: skip
        with self.lock:
            if not self.failed and (self.outside is None or not self.outside.same()):
                self.begin_anew()
            ways = self.kinds.get(key)
            if ways is None or not (ways.outside is None or ways.outside.same()):
                ways = self.kinds[key] = Ways()
                self.look_at(ways, objects_among(given))
                if len(self.kinds) > KEYS:
                    self.kinds.popitem(last=False)
            else:
                self.kinds.move_to_end(key)
            programs = list(ways.programs)
        for program, build in programs:
            drawn = [rng.bit_generator.state for rng in program.generators]
            try:
                if fits(program, tensors):
                    results, gradients = program.run([each._value for each in tensors], held_by(program))
                    if program is not programs[0][0]:
                        ways.programs.sort(key=lambda each: each[0] is not program)
                    self.begun = self.recorded = 0
                    deposit(program, tensors, gradients)
                    return build(handed_over(results))
            except Miss:
                pass
            except Exception:  # f itself raises it, and can say more
                ways = None
            for rng, before in zip(program.generators, drawn, strict=True):
                rng.bit_generator.state = before
            if ways is None:
                break
        args, keywords = rebuild(given)
        if ways is None or ways.failed or self.failed:
            return detached(self.function(*args, **keywords))
        return self.record(ways, tensors, args, keywords, state)

    def look_at(self, ways: Ways, objects: list[Any]) -> None:
        """Arguments that are no arrays: what f may read there is watched like what it reads from outside."""
        if objects:
            ways.outside = Outside(self.function, *objects)
            ways.failed = ways.outside.refused
            if ways.failed:
                self.warn(ways.failed)

    def __reduce__(self) -> Any:
        """A copy, pickled or not, captures the same function and begins with nothing."""
        return Captured, (self.function, self.exact)

    def begin_anew(self) -> None:
        """A name that f reads means something else now."""
        self.kinds.clear()
        self.outside, self.begun = Outside(self.function), self.begun + 1
        self.failed = self.outside.refused
        if self.begun > OFTEN:
            self.failed = "what it reads from outside, which is another each time,"
        if self.failed:
            self.warn(self.failed)

    def warn(self, reason: str) -> None:
        if self.warned:
            return
        self.warned = True
        warnings.warn(
            f"{getattr(self.function, '__name__', 'f')} runs as if it were not captured: {reason} cannot be replayed. "
            f"Called {user_location()}", CaptureWarning, stacklevel=4,
        )  # fmt: skip

    def record(self, ways: Ways, tensors: list[Tensor], args: Any, keywords: Any, state: State) -> Any:
        """Run f, and write down what it does."""
        tape = Tape(tensors)
        watched = [*(ways.outside or self.outside).generators, *GLOBAL]  # type: ignore[union-attr]
        stood = [stamp(rng) for rng in watched]
        token = STATE.set(state.but(tape=tape))
        try:
            result = self.function(*args, **keywords)
            leaves, build = flatten(result)
            tape.close(leaves)
            for rng, was in zip(watched, stood, strict=True):
                if stamp(rng) != was and all(rng is not one for one, _ in tape.generators):
                    tape.fail("random numbers that are not dropout's")
        finally:
            STATE.reset(token)
        result = detached(result)
        with self.lock:
            self.recorded += 1
            if self.recorded > 4 * KEYS and not self.failed:
                self.failed = "what is never called twice with arguments of one kind, shapes and numbers among them,"
                self.warn(self.failed)
            if not tape.failed:
                tape.failed = self.keep(ways, tape, build, tensors, flatten(result)[0])
            if tape.failed and not ways.failed:
                ways.failed = tape.failed
                self.warn(ways.failed)
        return result

    def keep(self, ways: Ways, tape: Tape, build: Any, tensors: list[Tensor], results: list[Any]) -> str:
        """A second tape like an earlier one becomes a program; why not, if it cannot."""
        for earlier in ways.pending:
            reason = difference(earlier[0], tape)
            if reason is None:  # another way, which a check tells apart
                continue
            if reason:
                return reason
            if not (ways.outside or self.outside).same():  # type: ignore[union-attr]
                return "what it changes outside itself"
            program = Program(tape)
            ways.pending.remove(earlier)
            found = tried(program, tape, tensors)
            if found is None or not gives(found, tape, results):
                return "something that is not on the tape"
            if not self.exact:
                program = sparing(program, tape, tensors, found)
            ways.programs.insert(0, (program, build))
            self.recorded = 0
            return ""
        if len(ways.pending) + len(ways.programs) >= WAYS:
            return f"more than {WAYS} ways through it, for arguments of one kind,"
        ways.pending.append((tape, build))
        return ""

    @property
    def programs(self) -> list[Program]:
        return [program for ways in reversed(self.kinds.values()) for program, _ in ways.programs]

    @property
    def latest(self) -> Program:
        """The program that ran last. Raises LookupError if there is none, with the reason."""
        programs = self.programs
        if not programs:
            reasons = [why for why in (self.failed, *(ways.failed for ways in self.kinds.values())) if why]
            raise LookupError(
                f"{reasons[0]} cannot be replayed" if reasons else "no program yet: call it twice to record it"
            )
        return programs[0]

    def program(self) -> str:
        """`latest`, as the Python that runs."""
        return self.latest.source


# Running


def fits(program: Program, tensors: list[Tensor]) -> bool:
    """Are the Tensors from outside of the same kind as they were, and none of them an argument?"""
    for alias, value in program.aliases:
        other = alias()
        if other is not None and other._value is not value.held._value:
            return False
    for value in program.met:
        array, node = value.held._value, value.held._node
        if node is not value.leaf or array.shape != value.shape or array.dtype != value.dtype:
            return False
    return program.leaves.isdisjoint([each._node for each in tensors])


def handed_over(results: list[Any]) -> list[Any]:
    """Results as Tensors, in memory of their own."""
    for k, result in enumerate(results):
        if isinstance(result, np.ndarray | np.generic):
            results[k] = off_the_graph(owned(results, k))
    return results


def owned(arrays: Any, k: int) -> Any:
    """An array that nobody else holds, or a copy of it."""
    array = arrays[k]
    alone = type(array) is not np.ndarray or (array.base is None and sys.getrefcount(arrays[k]) == 3)
    return array if alone else array.copy()


def off_the_graph(value: Any) -> Tensor:
    out: Tensor = make(Tensor, value, None)
    out._cut = REPLAYED
    return out


def detached(result: Any) -> Any:
    """What f returned, as a replay returns it."""
    leaves, rebuild = flatten(result)
    return rebuild([
        off_the_graph(np.array(leaf._value)[()] if type(leaf._value) is np.ndarray else leaf._value)
        if isinstance(leaf, Tensor) else leaf for leaf in leaves
    ])  # fmt: skip


def deposit(program: Program, tensors: list[Tensor], gradients: list[Any]) -> None:
    """Add the gradients to what the leaves have."""
    with DEPOSIT:
        for k, each in enumerate(program.deposits):
            leaf = tensors[each.leaf.held] if each.leaf.kind == "argument" else each.leaf.held
            node = leaf._node
            held = node.grad
            node.grad = make(Tensor, owned(gradients, k) if held is None else held._value + gradients[k], None)

"""Threads and tasks: eight at a time give the serial results bit for bit, and none sees another's context.

The switch interval is a microsecond here, so that a race of a few bytecodes is run into and not waited for.
"""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from meta.planting import forget_plans

from tinygrad_edu import (
    Tensor,
    checkpoint,
    detect_anomaly,
    functional,
    grad,
    gradients,
    hvp,
    is_recording,
    jvp,
    no_grad,
    scope,
)
from tinygrad_edu.errors import NonFiniteError
from tinygrad_edu.render.view import view_of
from tinygrad_edu.testing import programs
from transformer import Transformer, TransformerConfig

THREADS = 8


@pytest.fixture(autouse=True)
def restless():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def together(work, count=THREADS):
    """work(k) for every k at once, each in a thread of its own, let go at the same moment; what they returned."""
    gate = threading.Barrier(count)

    def run(k):
        gate.wait(60)
        return work(k)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def bits(tree):
    """Everything in nested lists, tuples and dicts of arrays, to the last bit."""
    if isinstance(tree, dict):
        return {name: bits(part) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return [bits(part) for part in tree]
    if tree is None:
        return None
    array = np.asarray(tree.numpy() if isinstance(tree, Tensor) else tree)
    return str(array.dtype), array.shape, array.tobytes()


def work_on(seed):
    """Some of everything: reuse, branches, indices, checkpoint, second order, forward mode, scopes, no_grad."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((4, 5)), rng.standard_normal((5, 5))

    def f(a, b):
        with scope(f"work{seed}"):
            h = functional.softmax(a @ b, axis=-1)
            h = checkpoint(lambda h, b: np.tanh(h @ b) * h)(h, b)
            with no_grad():
                scale = 1.0 + h.max()
            h = np.where(h > 0, np.sqrt(np.abs(h) + 1.0), h[[0, 0, 3, 1]])
            return np.sum(h * h / scale)

    x = Tensor(a, requires_grad=True)
    y = f(x, b)
    y.backward()
    tangent = np.cos(a)
    return bits([y, x.grad, grad(f, argnums=(0, 1))(a, b), hvp(lambda a: f(a, b), (a,), (tangent,)),
                 jvp(lambda a: f(a, b), (a,), (tangent,))])  # fmt: skip


def test_eight_threads_give_the_serial_results_bit_for_bit():
    assert together(work_on) == [work_on(k) for k in range(THREADS)]


def test_also_where_every_plan_and_every_form_of_call_is_new():
    serial = work_on(0)
    for _ in range(5):
        forget_plans()
        assert together(lambda _: work_on(0)) == [serial] * THREADS


@settings(max_examples=15)
@given(program=programs())
def test_any_program_gives_each_thread_the_serial_gradients(program):
    def work(_):
        xs = [Tensor(value, requires_grad=True) for value in program.inputs]
        outputs = program(*xs)
        total = sum(np.sum(y * y) for y in (outputs if isinstance(outputs, tuple) else (outputs,)))
        return bits([outputs, gradients(total, xs, allow_unused=True)]) if total.requires_grad else bits(outputs)

    assert together(work) == [work(0)] * THREADS


def test_threads_share_a_model_and_even_one_graph():
    config = TransformerConfig(vocab_size=20, embed_dim=8, num_heads=2, num_layers=2, ffn_dim=6, max_seq_len=12)
    model = Transformer(config, seed=0)
    tokens, labels = np.arange(24).reshape(4, 6) % 20, np.array([0, 1, 4, 2])
    parameters = list(model.parameters())

    def own_graph(k):
        return bits(gradients(functional.cross_entropy(model(tokens), (labels + k) % 5), parameters))

    assert together(own_graph) == [own_graph(k) for k in range(THREADS)]
    shared = functional.cross_entropy(checkpoint(lambda h: np.tanh(h) * h)(model(tokens)), labels)
    serial = bits(gradients(shared, parameters))
    assert together(lambda _: bits(gradients(shared, parameters))) == [serial] * THREADS


def test_threads_pull_their_own_cotangents_through_one_checkpoint():
    """Its shares are kept between the rule of one argument and the next's: another thread may come in between."""
    x, w = Tensor(np.linspace(0.0, 1.0, 3), requires_grad=True), Tensor(np.ones(3), requires_grad=True)
    y = checkpoint(lambda x, w: np.sin(x) * w)(x, w)

    def work(k):
        g = Tensor(np.full(3, k + 1.0))
        return [bits(gradients(y, [x, w], g)) for _ in range(100)]

    assert together(work) == [work(k) for k in range(THREADS)]


def test_each_thread_has_its_own_scope_anomaly_and_no_grad():
    x = Tensor([-1.0, 1.0], requires_grad=True)

    def work(k):
        seen = []
        for _ in range(30):
            with scope(f"thread{k}"):
                if k % 3 == 0:
                    with no_grad():
                        seen.append((x * 2.0).requires_grad)
                elif k % 3 == 1:
                    with detect_anomaly(), pytest.raises(NonFiniteError), np.errstate(all="ignore"):
                        np.sqrt(x)
                else:
                    with np.errstate(all="ignore"):
                        y = np.sqrt(x)
                    seen.append({node.scope for node in view_of(y).nodes if node.kind == "operation"})
        return seen

    found = together(work)
    for k, seen in enumerate(found):
        expected = ([False], [], [{f"thread{k}"}])[k % 3]
        assert seen == expected * 30
    assert is_recording()


def test_a_new_thread_records_though_its_maker_does_not():
    """A thread starts in a context of its own; a task, and asyncio.to_thread, in a copy of its maker's."""
    with no_grad():
        assert together(lambda _: is_recording(), 2) == [True, True]
        assert not asyncio.run(in_another_thread())
    assert asyncio.run(in_another_thread())


async def in_another_thread():
    return await asyncio.to_thread(is_recording)


def test_tasks_that_take_turns_keep_their_own_contexts():
    async def work(k, x):
        with scope(f"task{k}"):
            y = x
            for step in range(5):
                if k % 2:
                    with no_grad():
                        await asyncio.sleep(0)
                        assert not (x * 2.0).requires_grad
                await asyncio.sleep(0)
                y = y * x + step
            return y

    async def everyone(xs):
        return await asyncio.gather(*(work(k, x) for k, x in enumerate(xs)))

    xs = [Tensor(0.5 + k, requires_grad=True) for k in range(THREADS)]
    for k, (x, y) in enumerate(zip(xs, asyncio.run(everyone(xs)), strict=True)):
        assert {node.scope for node in view_of(y).nodes if node.kind == "operation"} == {f"task{k}"}
        plain = asyncio.run(work(0, Tensor(x.numpy(), requires_grad=True)))
        assert y.item() == plain.item()
        assert gradients(y, x).item() == pytest.approx(
            6 * x.item() ** 5 + sum(step * (4 - step) * x.item() ** (3 - step) for step in range(4)), rel=1e-14
        )


def test_tasks_differentiate_while_others_wait_in_the_midst_of_it():
    """grad knows its variables by context: one task's are no inputs of another's."""

    async def work(k):
        async def slow(x):
            await asyncio.sleep(0)
            return x**3

        x = Tensor(float(k), requires_grad=True)
        y = await slow(x)
        inner = grad(lambda z: z**2 * float(k))(3.0)
        await asyncio.sleep(0)
        return gradients(y, x).item(), float(inner)

    async def everyone():
        return await asyncio.gather(*(work(k) for k in range(THREADS)))

    assert asyncio.run(everyone()) == [(3.0 * k * k, 6.0 * k) for k in range(THREADS)]

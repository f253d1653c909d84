"""The three transformers that are timed, and the peers that train them."""

import functools
import os
from typing import Any

from benchmarks import transformers
from benchmarks.transformers import Size
from benchmarks.workload import OURS, Workload

W0 = Size(batch=4, T=8, D=8, H=2, F=8, V=20, layers=2)
W1 = Size(batch=32, T=20, D=64, H=4, F=256, V=20, layers=2)
W2 = Size(batch=64, T=16, D=128, H=4, F=512, V=20, layers=4, decoder=True)
W3 = Size(batch=16, T=256, D=256, H=8, F=1024, V=65, layers=6, decoder=True, pre=True, activation="gelu")


def by_hand(size: Size) -> Any:
    from benchmarks.by_hand import by_hand

    return by_hand(size)


def steps(size: Size, counted: bool = True, **texts: Any) -> Workload:
    """The workload of one size; counted: with its share of the rate of products.

    PyTorch runs on one thread and on all, and so does the fastest of ours; engines without kernels take no part in W3.
    """
    threads = os.cpu_count() or 1
    built = {
        OURS: transformers.ours,
        f"{OURS} (captured)": transformers.captured,
        f"{OURS} (compiled)": transformers.compiled,
        f"{OURS} (captured, compiled)": functools.partial(transformers.captured, kernels=True),
        f"{OURS} (captured, compiled, {threads} threads)": functools.partial(
            transformers.captured, kernels=True, threads=threads
        ),
        "NumPy by hand": by_hand,
        "PyTorch": transformers.pytorch,
        f"PyTorch ({threads} threads)": functools.partial(transformers.pytorch, threads=threads),
    }
    if not size.decoder:
        fewer = functools.partial(transformers.captured, every_row=False)
        built |= {
            f"{OURS} (captured, fewer rows)": fewer,
            f"{OURS} (captured, fewer rows, compiled)": functools.partial(fewer, kernels=True),
            f"{OURS} (captured, fewer rows, compiled, {threads} threads)":
                functools.partial(fewer, kernels=True, threads=threads),
        }  # fmt: skip
    if not size.pre:
        built |= {
            "JAX jit": transformers.jax_jit, "MyGrad": transformers.mygrad, "HIPS autograd": transformers.autograd,
        }  # fmt: skip
    peers = {name: functools.partial(lambda case, build: build(size), build=build) for name, build in built.items()}
    name = texts["title"].partition(",")[0]
    texts = {"agree": 2e-5} | texts
    return Workload(cases=[name], peers=peers, unit="ms", work=counted * size.products(), **texts)

"""Generation: greedily, token by token, from the decoder of W3."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.sizes import W3
from benchmarks.transformers import EPS, model_of
from benchmarks.workload import OURS, Run, Workload

TOKENS = {"with a cache": 200, "every token anew": 40}


def greedy(case: str, new: Callable[[], Callable[[Any], Any]]) -> Run:
    """new() begins a sequence: a function from the tokens that come next, (1, t), to the last one's scores, (V,)."""
    count, cached = TOKENS[case], case == "with a cache"

    def generate(_: Any = None) -> list[float]:
        step, tokens = new(), [2]
        for _ in range(count):
            if not cached:
                step = new()
            scores = step(np.array([tokens[-1:] if cached else tokens]))
            tokens.append(int(scores.argmax()))
        return [*tokens, float(scores.max())]

    return Run({"generate": lambda _: generate() and None}, generate, operations=count)


def ours(case: str) -> Run:
    from tinygrad_edu import no_grad
    from transformer.layers import Cache

    model = model_of(W3)

    def new() -> Callable[[Any], Any]:
        cache = Cache()

        def step(tokens: Any) -> Any:
            with no_grad():
                return model(tokens, cache=cache).data[0, -1]

        return step

    return greedy(case, new)


def compiled(case: str) -> Run:
    from tinygrad_edu import compile_kernels

    compile_kernels()
    return ours(case)


def pytorch(case: str) -> Run:
    import torch
    from torch.nn import functional as f

    torch.set_num_threads(1)
    w = {name: torch.tensor(array) for name, array in W3.weights().items()}
    positions, D, H = torch.tensor(W3.positions()), W3.D, W3.H

    def norm(x: Any, name: str) -> Any:
        return f.layer_norm(x, (D,), w[f"{name}.weight"], w[f"{name}.bias"], EPS)

    def new() -> Callable[[Any], Any]:
        held = torch.empty(W3.layers, 2, 1, H, W3.T, D // H)  # keys and values of what was read
        read = [0]

        def step(tokens: Any) -> Any:
            start, end = read[0], read[0] + tokens.shape[1]
            read[0] = end
            x = w["embedding.weight"][torch.tensor(tokens)] + positions[start:end]
            for i in range(W3.layers):
                block = f"blocks.{i}"
                h = norm(x, f"{block}.norm1") @ w[f"{block}.attention.qkv.weight"]
                q, k, v = h.view(1, end - start, 3, H, D // H).permute(2, 0, 3, 1, 4)
                held[i, 0, :, :, start:end], held[i, 1, :, :, start:end] = k, v
                a = f.scaled_dot_product_attention(
                    q, held[i, 0, :, :, :end], held[i, 1, :, :, :end], is_causal=end - start > 1
                )
                x = x + a.transpose(1, 2).reshape(1, -1, D) @ w[f"{block}.attention.output.weight"]
                h, wide = norm(x, f"{block}.norm2"), f"{block}.feed_forward"
                h = f.gelu(h @ w[f"{wide}.up.weight"] + w[f"{wide}.up.bias"])
                x = x + h @ w[f"{wide}.down.weight"] + w[f"{wide}.down.bias"]
            return (norm(x, "norm") @ w["output.weight"] + w["output.bias"])[0, -1]

        return torch.no_grad()(step)

    return greedy(case, new)


WORKLOAD = Workload(
    title="Generation",
    about="The decoder of W3 writes greedily, one sequence at a time: 200 tokens with a cache of keys and values, 40 "
    "when every token is worked out anew. Milliseconds a token; the tokens were compared first.",
    cases=list(TOKENS),
    quick=(),
    peers={OURS: ours, f"{OURS} (compiled)": compiled, "PyTorch": pytorch},
    unit="ms",
    agree=2e-5,
    long=True,
)

"""The whole encoder and the whole decoder, parameter by parameter: by hand against differences of its own
forward pass, and derived by the engine against by hand.
"""

import numpy as np
import pytest
from by_hand.decoder import decoder, decoder_forward
from by_hand.encoder import encoder, encoder_forward
from by_hand.judge import assert_close, differences
from by_hand.model import transformer_backward, transformer_forward
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Tensor
from tinygrad_edu import functional as F
from transformer import Transformer, TransformerConfig

SEEDS = st.integers(0, 2**32 - 1)

# A way to build the model, in the configuration's words.
VARIANTS = st.fixed_dictionaries(
    {
        "norm": st.sampled_from(["post", "pre"]),
        "activation": st.sampled_from(["relu", "gelu", "silu"]),
        "positions": st.sampled_from(["sinusoidal", "learned", "rotary"]),
        "attention_bias": st.booleans(),
        "tie_embeddings": st.booleans(),
        "norm_eps": st.sampled_from([1e-5, 1e-2]),
        "num_layers": st.integers(1, 3),
        "pad_id": st.sampled_from([0, 2, None]),
    }
)
POOLINGS = ["first", "last", "mean", "max"]


def drawn(rng, variant):
    """A small model, all of its parameters drawn: biases of 0 and norms of 1 would hide what multiplies them."""
    H = int(rng.integers(1, 4))
    width = 2 * int(rng.integers(1, 3)) if variant.get("positions") == "rotary" else int(rng.integers(1, 4))
    sizes = {
        "vocab_size": int(rng.integers(4, 9)), "num_heads": H, "embed_dim": H * width,
        "ffn_dim": int(rng.integers(1, 7)), "max_seq_len": 6,
    }  # fmt: skip
    config = TransformerConfig(**sizes, **variant, dtype="float64")
    model = Transformer(config, seed=int(rng.integers(1000)))
    p = {name: rng.normal(size=w.shape) * (0.5 + 0.5 * (w.ndim == 1)) for name, w in model.state_dict().items()}
    model.load_state_dict(p)
    return model, p


def settings_by_hand(config):
    """The same choices for the hand; what the parameters' names say already is not told."""
    return {
        "num_heads": config.num_heads, "norm": config.norm, "activation": config.activation,
        "rotary": config.positions == "rotary", "pad_id": config.pad_id, "eps": config.norm_eps,
    }  # fmt: skip


def draw_tokens(rng, config, B, T):
    """Sequences of all lengths, filled up with padding; one is nothing else, now and then."""
    tokens = rng.integers(config.vocab_size, size=(B, T))
    if config.pad_id is not None:
        lengths = rng.integers(0, T + 1, size=B)
        tokens[np.arange(T) >= lengths[:, None]] = config.pad_id
    return tokens


def assert_same_gradients(model, expected):
    assert set(expected) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert_close(parameter.grad.numpy(), expected[name], name=name)


# Derived against by hand


@pytest.mark.parametrize("pooling", POOLINGS)
@settings(max_examples=30)
@given(seed=SEEDS, variant=VARIANTS, B=st.integers(1, 3), T=st.integers(1, 6))
def test_derived_gradients_of_the_encoder_are_the_ones_by_hand(pooling, seed, variant, B, T):
    rng = np.random.default_rng(seed)
    model, p = drawn(rng, variant | {"pooling": pooling})
    tokens = draw_tokens(rng, model.config, B, T)
    targets = rng.integers(model.config.vocab_size, size=B)
    loss = F.cross_entropy(model(tokens), targets)
    loss.backward()
    value, expected = encoder(p, tokens, targets, pooling=pooling, **settings_by_hand(model.config))
    assert_close(loss.numpy(), value)
    assert_same_gradients(model, expected)


@settings(max_examples=60)
@given(seed=SEEDS, variant=VARIANTS, B=st.integers(1, 3), T=st.integers(1, 6))
def test_derived_gradients_of_the_decoder_are_the_ones_by_hand(seed, variant, B, T):
    """One loss for each token, the next one; padding among the targets counts for nothing."""
    rng = np.random.default_rng(seed)
    model, p = drawn(rng, variant | {"pooling": None, "causal": True, "pad_id": 0})
    sequences = draw_tokens(rng, model.config, B, T + 1)
    tokens, targets = sequences[:, :T], sequences[:, 1:].copy()
    targets[0, 0] = 1  # one target at least is not padding
    loss = F.cross_entropy(model(tokens), targets, ignore=0)
    loss.backward()
    value, expected = decoder(p, tokens, targets, **settings_by_hand(model.config))
    assert_close(loss.numpy(), value)
    assert_same_gradients(model, expected)


@settings(max_examples=60)
@given(
    seed=SEEDS, variant=VARIANTS, B=st.integers(1, 3), T=st.integers(1, 6),
    pooling=st.sampled_from([*POOLINGS, None]), causal=st.booleans(), masked=st.booleans(),
)  # fmt: skip
def test_derived_pullback_of_the_logits_is_the_one_by_hand(seed, variant, B, T, pooling, causal, masked):
    """Any cotangent of the logits, not only what a cross-entropy sends; a mask of the caller's own."""
    rng = np.random.default_rng(seed)
    causal = causal and pooling != "first"
    model, p = drawn(rng, variant | {"pooling": pooling, "causal": causal})
    tokens = draw_tokens(rng, model.config, B, T)
    mask = rng.random((B, 1, T, T)) < 0.7 if masked else None
    z = model(tokens, mask)
    kept = {"pooling": pooling, "causal": causal, "mask": mask}
    value, saved = transformer_forward(p, tokens, **kept, **settings_by_hand(model.config))
    assert_close(z.numpy(), value)
    g = rng.normal(size=value.shape)
    z.backward(Tensor(g))
    assert_same_gradients(model, transformer_backward(g, p, saved))


def test_derived_gradients_of_the_lessons_encoder_are_the_ones_by_hand():
    """102,036 parameters as they start, on Max(1,6,2), and on that and a shorter one, filled up."""
    model = Transformer(TransformerConfig(vocab_size=20, dtype="float64"), seed=0)
    assert model.num_parameters() == 102_036
    p = model.state_dict()
    for rows, targets in [([[15, 17, 3, 19, 8, 19, 4, 18]], [8]), ([[15, 17, 3, 19, 8, 19, 4, 18]] * 2, [8, 4])]:
        tokens = np.array(rows)
        tokens[1:, 6:] = 0
        model.zero_grad()
        loss = F.cross_entropy(model(tokens), np.array(targets))
        loss.backward()
        value, expected = encoder(p, tokens, np.array(targets), num_heads=4)
        assert_close(loss.numpy(), value)
        assert_same_gradients(model, expected)


# By hand against differences


@pytest.mark.parametrize("seed", range(8))
def test_gradients_of_the_encoder_by_hand_agree_with_differences(seed):
    rng = np.random.default_rng(seed)
    p, choices = small(rng, ("post", "pre")[seed // 4])
    tokens, targets = np.array([[1, 3, 3, 2], [4, 2, 0, 0]]), np.array([2, 4])
    choices["pooling"] = POOLINGS[seed % 4]
    gradients = encoder(p, tokens, targets, **choices)[1]
    assert_slopes(lambda p: encoder_forward(p, tokens, targets, **choices)[0], p, gradients, rng)


@pytest.mark.parametrize("seed", range(8))
def test_gradients_of_the_decoder_by_hand_agree_with_differences(seed):
    rng = np.random.default_rng(seed)
    p, choices = small(rng, ("pre", "post")[seed // 4])
    tokens, targets = np.array([[1, 3, 3, 2], [4, 2, 0, 0]]), np.array([[3, 3, 2, 1], [2, 1, 0, 0]])
    gradients = decoder(p, tokens, targets, **choices)[1]
    assert_slopes(lambda p: decoder_forward(p, tokens, targets, **choices)[0], p, gradients, rng)


def small(rng, norm):
    """Drawn parameters, and the choices that fit. Smooth activations: a difference may not cross a kink."""
    rotary, learned, biased, tied = rng.integers(2, size=4).astype(bool)
    D, F, V, T = 4, 3, 5, 4
    shapes = {"embedding.weight": (V, D)}
    if learned:
        shapes["positions.weight"] = (T + 1, D)
    for name in ("blocks.0", "blocks.1"):
        shapes |= {f"{name}.attention.qkv.weight": (D, 3 * D), f"{name}.attention.output.weight": (D, D)}
        if biased:
            shapes |= {f"{name}.attention.qkv.bias": (3 * D,), f"{name}.attention.output.bias": (D,)}
        shapes |= {f"{name}.{one}.{part}": (D,) for one in ("norm1", "norm2") for part in ("weight", "bias")}
        shapes |= {f"{name}.feed_forward.up.weight": (D, F), f"{name}.feed_forward.up.bias": (F,)}
        shapes |= {f"{name}.feed_forward.down.weight": (F, D), f"{name}.feed_forward.down.bias": (D,)}
    if norm == "pre":
        shapes |= {"norm.weight": (D,), "norm.bias": (D,)}
    if not tied:
        shapes["output.weight"] = (D, V)
    shapes["output.bias"] = (V,)
    p = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    activation = ("silu", "gelu")[rng.integers(2)]
    return p, {"num_heads": 2, "norm": norm, "activation": activation, "rotary": bool(rotary)}


def assert_slopes(loss, p, gradients, rng):
    """Along one drawn direction of signs for each parameter: it moves with every element that is wrong."""
    assert list(gradients) == list(p)
    for name, w in p.items():
        signs = rng.choice([-1.0, 1.0], size=w.shape)
        (slope,) = differences(lambda h, name=name, w=w, signs=signs: loss(p | {name: w + h * signs}), [0.0], STEPS)
        assert_close(np.sum(signs * gradients[name]), slope, rtol=1e-6, name=name)


STEPS = 2.0**-11, 2.0**-14

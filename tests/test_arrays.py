"""Tensors over arrays of other libraries: NumPy's numbers, nothing moved without a word, nothing worked out unasked."""

import functools
import pickle

import numpy as np
import pytest
from calls import OPERATIONS, drawn
from elsewhere import compare, makers

from tinygrad_edu import Tensor, arrays, definitions, errors, functional, grad, gradients, hvp, nn, no_grad, optim
from tinygrad_edu.arrays import Foreign
from tinygrad_edu.arrays.lacking import LACKING
from transformer import Transformer, TransformerConfig

MAKERS = makers()
LIBRARIES = [name for name in ("array_api_strict", "dask") if name in MAKERS]
each_library = pytest.mark.parametrize("library", LIBRARIES or [pytest.param("", marks=pytest.mark.skip("none here"))])
RNG = np.random.default_rng(0)


@functools.cache
def drawn_call(operation):
    """The one with the most elements: some have none, or lead to none, which some libraries cannot reshape."""
    return max(drawn(operation, 5), key=lambda call: sum(array.size for array in call.arrays))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@each_library
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_has_numpys_numbers_or_is_listed(operation, library):
    """Value, gradient and second derivative to 1e-12; what raises is on the list, with the reason.

    On Dask, which is slow at so little, second derivatives only of what has rules of its own: all else is made of that.
    """
    try:
        compare(drawn_call(operation), MAKERS[library], twice=library != "dask" or operation.kind == "rule")
    except errors.UnsupportedError as refusal:
        assert operation.name in LACKING[library], refusal  # noqa: PT017, a refusal may be right


X, SQUARE = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 3))
REFUSED = {
    "dask": {
        "average": lambda x, s: np.average(x, weights=np.square(x), axis=0),
        "quantile": lambda x, s: np.quantile(x, 0.3),
        "percentile": lambda x, s: np.percentile(x, 30, axis=1),
        "median": lambda x, s: np.median(x, axis=0),
        "linalg.det": lambda x, s: grad(np.linalg.det)(s),
        "linalg.qr": lambda x, s: grad(lambda a: np.sum(np.linalg.qr(a)[1]))(s),
        "nanvar": lambda x, s: np.nanvar(x),
        "nanstd": lambda x, s: np.nanstd(x, axis=0),
        "nanmax": lambda x, s: np.nanmax(x),
        "nanmin": lambda x, s: np.nanmin(x, axis=1),
        "geomspace": lambda x, s: np.geomspace(np.square(x), 2.0, 3),
        "cov": lambda x, s: np.cov(x, aweights=np.square(x[0])),
    },
    "array_api_strict": {},
}


@each_library
def test_every_listed_operation_is_refused_with_the_reason_and_the_users_line(library):
    assert set(REFUSED[library]) == set(LACKING[library])
    for name, call in REFUSED[library].items():
        x, s = (Tensor(MAKERS[library](array)) for array in (X, SQUARE))
        with pytest.raises(errors.UnsupportedError, match=r"needs a value.*at test_arrays\.py:\d+"):
            call(x, s)
        assert name in {operation.name for operation in OPERATIONS}


# The same transformer


SHAPES = {
    "encoder": {},
    "decoder": {"causal": True, "pooling": None, "norm": "pre", "activation": "gelu", "positions": "rotary"},
    "averaged": {"pooling": "mean", "positions": "learned", "activation": "silu", "dropout": 0.1},
    "largest": {"pooling": "max", "tie_embeddings": True, "positions": "alibi"},
}


def losses_of(namespace, shape, make_optimizer=optim.Adam, steps=2, clip=False):
    """Of some steps of training, and the weights after them."""
    config = TransformerConfig(12, 8, 2, 1, 8, max_seq_len=8, dtype="float64", **SHAPES[shape])
    model = Transformer(config, seed=0)
    if namespace is not None:
        assert model.to(namespace) is model
    optimizer = make_optimizer(model.parameters(), lr=1e-2)
    draw = np.random.default_rng(1)
    found = []
    for _ in range(steps):
        tokens = draw.integers(0, 12, (3, 5))
        tokens[:, 0] = 3
        targets = draw.integers(0, 12, tokens.shape if config.pooling is None else 3)
        loss = functional.cross_entropy(model(tokens), targets)
        loss.backward()
        if clip:
            optim.clip_grad_norm(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found, model


NAMESPACES = {"dask": "dask.array", "array_api_strict": "array_api_strict"}


@pytest.mark.parametrize("shape", SHAPES)
@each_library
def test_a_transformer_trains_to_numpys_losses(library, shape):
    if library == "dask" and shape != "encoder":
        pytest.skip("Dask works out every step so far, each time that it is asked: one shape is enough")
    namespace = pytest.importorskip(NAMESPACES[library])
    expected, _ = losses_of(None, shape)
    found, model = losses_of(namespace, shape)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert all(type(parameter._value) is Foreign for parameter in model.parameters())


@pytest.mark.parametrize("make", [optim.SGD, optim.AdamW, optim.Lion])
def test_optimisers_clipping_and_averages_have_numpys_numbers(make):
    xp = pytest.importorskip("array_api_strict")
    (expected, plain), (found, moved) = (losses_of(each, "encoder", make, clip=True) for each in (None, xp))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for name, array in moved.state_dict().items():
        np.testing.assert_allclose(array, plain.state_dict()[name], rtol=1e-10, atol=1e-12)
    average = optim.MovingAverage(moved.named_parameters(), 0.5)
    average.update()
    with average.applied():
        assert all(type(parameter._value) is Foreign for parameter in moved.parameters())
    average.load_state_dict(average.state_dict())


def test_a_parameter_without_gradient_is_left_alone_and_states_travel():
    xp = pytest.importorskip("array_api_strict")
    w, v = (nn.Parameter(xp.asarray(RNG.standard_normal(3))) for _ in range(2))
    optimizer, before = optim.Adam([w, v], lr=0.1), v.numpy()
    for _ in range(2):
        (w * w).sum().backward()
        assert optimizer.step() == ["1"]
        optimizer.zero_grad()
    np.testing.assert_array_equal(v.numpy(), before)
    other = optim.Adam([w, v], lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    for name, array in other.state_dict().items():
        assert type(array) is np.ndarray
        np.testing.assert_array_equal(array, optimizer.state_dict()[name])


def test_a_model_comes_home_and_loads_what_numpy_saved():
    xp = pytest.importorskip("array_api_strict")
    _, model = losses_of(None, "encoder", steps=0)
    state = model.state_dict()
    model.to(xp).load_state_dict(state)
    assert all(type(parameter.data) is type(xp.asarray(0.0)) for parameter in model.parameters())
    model.to(np)
    assert all(type(parameter.data) is np.ndarray for parameter in model.parameters())
    np.testing.assert_array_equal(model.embedding.weight.numpy(), state["embedding.weight"])
    with pytest.raises(errors.UnsupportedError, match="no namespace"):
        model.to(pytest)


# Nothing is moved without a word


MIXED = {
    "operator": lambda x, a: x * a,
    "operator from the left": lambda x, a: a - x,
    "whole numbers": lambda x, a: x + np.arange(4),
    "function": lambda x, a: np.matmul(x, a.T),
    "definition": lambda x, a: np.tensordot(x, a.T, 1),
    "many": lambda x, a: np.concatenate([x, a]),
    "two tensors": lambda x, a: x + Tensor(a),
    "cotangent": lambda x, a: np.exp(x).backward(a),
    "gradient": lambda x, a: setattr(x, "grad", a),
    "data": lambda x, a: setattr(x, "data", a),
    "numpy asked": lambda x, a: np.asarray(x.detach()),
    "optimiser": lambda x, a: optim.SGD([x], 0.1, 0.9)._memory["velocity"].__iadd__(a),
}


@pytest.mark.parametrize("what", MIXED)
@each_library
def test_arrays_of_two_places_do_not_meet(library, what):
    x = Tensor(MAKERS[library](X), requires_grad=True)
    with pytest.raises((errors.MixedError, errors.UnsupportedError)):
        MIXED[what](x, X)


def test_the_refusal_names_both_places_the_line_and_the_remedy():
    xp = pytest.importorskip("array_api_strict")
    with pytest.raises(errors.MixedError, match=r"ndarray, float64\[3, 4\].*_strict.*like=.*test_arrays.py:\d"):
        Tensor(xp.asarray(X)) * X


@each_library
def test_what_is_no_operand_may_come_from_numpy(library):
    """Indices, masks and ids are looked at by NumPy anyway, and scalars have no place."""
    x = Tensor(MAKERS[library](X), requires_grad=True)
    rows = np.array([0, -1, 0])
    there = np.asarray(X, like=x)
    assert type(there._value) is Foreign
    found = np.sum(np.where(X > 0, x[rows] * 2.0 + np.float64(1.0), there[[0, 1, 2]]))
    found.backward()
    expected = Tensor(X, requires_grad=True)
    np.sum(np.where(X > 0, expected[rows] * 2.0 + 1.0, X)).backward()
    np.testing.assert_allclose(x.grad.numpy(), expected.grad.numpy(), rtol=1e-15)
    assert type(x.grad._value) is Foreign


@each_library
def test_one_place_is_one_element_and_parts_may_begin_beyond_the_end(library):
    x = Tensor(MAKERS[library](X), requires_grad=True)
    for index in (np.array([-3]), Tensor(MAKERS[library](np.array([0])))):
        np.testing.assert_array_equal(x[index].numpy(), X[[0]])
        (g,) = gradients(np.sum(x[index] * 2.0), [x])
        np.testing.assert_array_equal(g.numpy(), [[2.0] * 4, [0.0] * 4, [0.0] * 4])
    assert [part.tolist() for part in np.array_split(x, [1, 5, 7])] == [[X[0].tolist()], X[1:].tolist(), [], []]


# Nothing is worked out unasked


def test_dask_works_nothing_out_before_it_is_asked():
    dask = pytest.importorskip("dask")
    import dask.array as da

    worked = []
    x = Tensor(da.from_array(X).map_blocks(lambda block: worked.append(1) or block, dtype=float), requires_grad=True)
    worked.clear()
    loss = functional.cross_entropy(functional.layer_norm(x), [1, 2, 3])
    loss.backward()
    repr(loss), repr(x.grad)
    assert not worked
    with pytest.raises(errors.UnsupportedError, match="needs a value"):
        bool(loss > 1)
    assert loss.item() > 0
    assert worked
    assert dask.is_dask_collection(x.grad.data)


# What a tensor is, wherever it is


@each_library
def test_a_tensor_is_what_it_was_made_of(library):
    array = MAKERS[library](X)
    x = Tensor(array, requires_grad=True, name="x")
    assert type(x.data) is type(array)
    assert x.data is not array
    assert (x.shape, x.ndim, x.size, x.dtype, x.nbytes) == (X.shape, 2, 12, X.dtype, X.nbytes)
    assert library in x.device
    np.testing.assert_array_equal(x.numpy(), X)
    assert x.tolist() == X.tolist()
    assert x[0, 1].item() == X[0, 1]
    assert "Tensor(" in repr(x)
    with no_grad():
        assert [row.shape for row in x] == [(4,)] * 3
    if library == "dask":
        again = pickle.loads(pickle.dumps(x))
        np.testing.assert_array_equal(again.numpy(), X)


@each_library
def test_two_gradients_share_no_memory_and_add_up(library):
    x, y = (Tensor(MAKERS[library](X), requires_grad=True) for _ in range(2))
    np.sum(x + y).backward()
    assert x.grad._value is not y.grad._value
    np.sum(x + y).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(X.shape, 2.0))


@each_library
def test_transforms_take_and_give_the_librarys_arrays(library):
    array, v = MAKERS[library](SQUARE), MAKERS[library](X[:, :3].copy())

    def f(a):
        return np.sum(np.tanh(a) * a)

    found = grad(f)(array)
    assert type(found) is type(array)
    np.testing.assert_allclose(Tensor(found).numpy(), grad(f)(SQUARE), rtol=1e-14)
    _, pushed = hvp(f, (array,), (v,))
    np.testing.assert_allclose(Tensor(pushed[0]).numpy(), hvp(f, (SQUARE,), (X[:, :3],))[1][0], rtol=1e-13)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "gelu", "sigmoid", "silu", "layer_norm"])
@each_library
def test_a_kernel_and_its_definition_agree_there_too(library, name):
    x = Tensor(MAKERS[library](X * 30))
    kernel = getattr(functional, name)(x)
    with definitions():
        definition = getattr(functional, name)(x)
    np.testing.assert_allclose(kernel.numpy(), definition.numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(kernel.numpy(), getattr(functional, name)(X * 30), rtol=1e-12, atol=1e-14)


def test_numpys_own_arrays_are_not_wrapped():
    assert arrays.library_of(X) is None
    assert arrays.adopted([1.0]) is None
    assert type(Tensor(X)._value) is np.ndarray

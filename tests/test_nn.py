"""Modules: what they are made of, what they are called, what they refuse."""

import copy
import pickle

import numpy as np
import pytest

from tinygrad_edu import Tensor, nn
from tinygrad_edu.errors import ShapeError


def rng():
    return np.random.default_rng(0)


class Pair(nn.Module):
    def __init__(self, rng):
        self.first = nn.Linear(3, 2, rng=rng)
        self.scale = nn.Parameter(np.ones(2, np.float32))
        self.rest = nn.ModuleList([nn.LayerNorm(2), nn.Linear(2, 2, bias=False, rng=rng)])
        self.depth = 2

    def forward(self, x):
        x = self.first(x) * self.scale
        for layer in self.rest:
            x = layer(x)
        return x


NAMES = ["first.weight", "first.bias", "scale", "rest.0.weight", "rest.0.bias", "rest.1.weight"]


def test_parameters_are_named_by_their_path_in_order_of_definition():
    model = Pair(rng())
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [parameter.name for parameter in model.parameters()] == NAMES
    assert model.num_parameters() == 6 + 2 + 2 + 2 + 2 + 4
    assert all(isinstance(p, Tensor) and p.requires_grad and p.is_leaf for p in model.parameters())


def test_shared_parameter_is_listed_once_under_its_first_name():
    class Tied(nn.Module):
        def __init__(self):
            self.a = nn.Embedding(4, 3, rng=rng())
            self.b = nn.Embedding(4, 3, rng=rng())
            self.b.weight = self.a.weight
            self.again = self.a

    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["a.weight"]
    assert list(model.state_dict()) == ["a.weight"] and model.num_parameters() == 12


def test_recorded_operations_carry_the_path_of_their_module():
    y = Pair(rng())(Tensor(np.ones((1, 3), np.float32)))
    scopes, nodes = set(), [y._node]
    while nodes:
        node = nodes.pop()
        if hasattr(node, "inputs") and node.operation is not None:
            scopes.add(node.scope)
            nodes += node.inputs
    assert scopes == {"first", "", "rest.0", "rest.1"}


def test_misspelt_attribute_raises_with_a_suggestion_when_read_and_when_set():
    model = Pair(rng())
    with pytest.raises(AttributeError, match="Pair has no attribute 'frist'; did you mean 'first'"):
        model.frist  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'depth'.* made in __init__"):
        model.dpeth = 3
    model.depth = 3
    assert model.depth == 3 and not hasattr(model, "qqq")


def test_assignment_that_would_lose_parameters_is_refused():
    model = Pair(rng())
    with pytest.raises(TypeError, match="scale is a Parameter, a ndarray would replace it: assign scale.data"):
        model.scale = np.zeros(2)
    with pytest.raises(TypeError, match="first is a Module"):
        model.first = 1

    class Hidden(nn.Module):
        def __init__(self, container):
            self.layers = container

    for container in ([nn.LayerNorm(2)], (nn.Parameter([1.0]),), {"a": nn.LayerNorm(2)}):
        with pytest.raises(TypeError, match="would not be found; use ModuleList"):
            Hidden(container)
    with pytest.raises(TypeError, match="holds modules, not a int"):
        nn.ModuleList([1])


def test_modules_in_a_circle_are_refused():
    class Link(nn.Module):
        def __init__(self):
            self.next = None

    first, second, row = Link(), Link(), nn.ModuleList()
    first.next = second
    with pytest.raises(ValueError, match="Link.next: this Link holds the module itself"):
        second.next = first
    with pytest.raises(ValueError, match="holds the module itself"):
        first.next = first
    first.next = row
    with pytest.raises(ValueError, match=r"ModuleList\.0: this Link holds"):
        row.append(first)
    assert first.parameters() == []


def test_layers_refuse_settings_that_give_nan_and_take_lists():
    for make in (lambda: nn.LayerNorm(3, eps=-1.0), lambda: nn.RMSNorm(3, eps=np.nan)):
        with pytest.raises(ValueError, match="Norm: eps = .* 0 or more"):
            make()
    linear = nn.Linear(2, 1, rng=rng())
    np.testing.assert_allclose(linear([[1.0, 2.0]]).numpy(), np.array([[1.0, 2.0]]) @ linear.weight.numpy(), rtol=1e-6)
    assert nn.Linear(0, 0, rng=rng()).weight.shape == (0, 0)


def test_state_is_copied_out_and_in():
    one, other = Pair(rng()), Pair(np.random.default_rng(1))
    state = one.state_dict()
    assert list(state) == NAMES and all(type(array) is np.ndarray for array in state.values())
    kept = {name: array.copy() for name, array in state.items()}
    other.load_state_dict(state)
    for array in state.values():
        array += 1
    for name, parameter in [*one.named_parameters(), *other.named_parameters()]:
        np.testing.assert_array_equal(parameter.numpy(), kept[name])
        assert parameter.dtype == np.float32


def test_state_that_does_not_fit_is_refused_as_a_whole_and_in_one_message():
    model = Pair(rng())
    before = model.state_dict()
    state = {name: array + 1 for name, array in before.items()}
    del state["scale"]
    state.update({"extra": np.ones(1), "first.weight": np.ones((2, 3)), "rest.0.bias": np.ones(2, complex)})
    with pytest.raises(ValueError) as error:
        model.load_state_dict(state)
    for words in ("nothing was loaded", "missing: scale", "unexpected: extra", "first.weight is (3, 2) here, (2, 3)",
                  "rest.0.bias is float32 here, complex128"):  # fmt: skip
        assert words in str(error.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_state_may_be_partial_when_not_strict():
    model = Pair(rng())
    model.load_state_dict({"scale": np.array([5.0, 6.0]), "extra": 1}, strict=False)
    np.testing.assert_array_equal(model.scale.numpy(), [5, 6])
    with pytest.raises(ValueError, match="shape: scale"):
        model.load_state_dict({"scale": np.ones(3)}, strict=False)


def test_copies_and_pickles_are_whole_and_independent():
    model = Pair(rng())
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model.first))):
        mine = dict((model if isinstance(twin, Pair) else model.first).named_parameters())
        for name, parameter in twin.named_parameters():
            assert type(parameter) is nn.Parameter and parameter.requires_grad
            np.testing.assert_array_equal(parameter.numpy(), mine[name].numpy())
            assert not np.shares_memory(parameter.data, mine[name].data)
        assert len(mine) == len(twin.parameters())
        with pytest.raises(AttributeError):
            twin.misspelt = 1


def test_train_and_eval_reach_every_module_and_switch_dropout():
    class Dropping(nn.Module):
        def __init__(self):
            self.layers = nn.ModuleList([nn.Dropout(0.5, rng=rng())])

        def forward(self, x):
            return self.layers(x)

    model, x = Dropping(), Tensor(np.ones(100))
    assert model.training and 20 < (model(x).numpy() == 0).sum() < 80
    assert model.eval() is model and not model.layers[0].training
    np.testing.assert_array_equal(model(x).numpy(), x.numpy())
    assert model.train().layers[0].training


def test_zero_grad_forgets_every_gradient():
    model = Pair(rng())
    model(Tensor(np.ones((2, 3), np.float32))).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_repr_is_a_tree_with_counts():
    assert repr(Pair(rng())).splitlines() == [
        "Pair  18 parameters",
        "  first: Linear(3, 2)  8 parameters",
        "  rest: ModuleList  8 parameters",
        "    0: LayerNorm(2, eps=1e-05)  4 parameters",
        "    1: Linear(2, 2, bias=False)  4 parameters",
    ]


def test_layers_start_as_documented_and_repeat_from_their_generator():
    linear = nn.Linear(300, 100, rng=rng(), dtype="float64")
    assert linear.weight.shape == (300, 100) and linear.weight.dtype == np.float64
    assert abs(linear.weight.numpy().var() * 400 / 2 - 1) < 0.05
    assert (linear.bias.numpy() == 0).all()
    again = nn.Linear(300, 100, rng=rng())
    np.testing.assert_array_equal(again.weight.numpy(), linear.weight.numpy().astype(np.float32))
    table = nn.Embedding(200, 50, rng=rng(), std=0.5)
    assert abs(table.weight.numpy().std() - 0.5) < 0.02
    x = Tensor(rng().normal(size=(4, 6)).astype(np.float32))
    np.testing.assert_allclose(nn.LayerNorm(6)(x).numpy().mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose((nn.RMSNorm(6)(x).numpy() ** 2).mean(-1), 1, rtol=1e-4)


def test_linear_is_affine_and_names_a_width_that_does_not_fit():
    linear = nn.Linear(3, 2, rng=rng())
    x = rng().normal(size=(4, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(linear(Tensor(x)).numpy(), x @ linear.weight.numpy(), rtol=1e-6)
    with pytest.raises(ShapeError, match=r"last axis of x \(2, 4\) must be 3"):
        linear(Tensor(np.ones((2, 4))))
    with pytest.raises(IndexError, match="id 7 at position 1"):
        nn.Embedding(4, 3, rng=rng())([0, 7])


def test_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()()

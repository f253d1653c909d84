"""One sum, the same to the last bit, on any number of ranks; and what the seam between ranks is made of."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threads import on_ranks

import transformer.summation
from tinygrad_edu import Tensor, optim
from tinygrad_edu.errors import CotangentError, NotTrackedError
from transformer.communicator import LOCAL, Communicator, fingerprint
from transformer.summation import Tree, summed

SEEDS = st.integers(0, 2**32 - 1)


def tree_of(terms, numbers):
    tree = Tree()
    for number in numbers:
        tree.add(number, 1, terms[number])
    return tree


def in_order_of_the_tree(terms):
    """The sum as the definition has it: halves of the next power of two, down to single terms."""
    if len(terms) == 1:
        return terms[0]
    half = 1 << (len(terms) - 1).bit_length() - 1
    return in_order_of_the_tree(terms[:half]) + in_order_of_the_tree(terms[half:])


def hard_terms(seed, count, size, dtype=np.float32):
    """Numbers of very different sizes, so that another order is another sum."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, size)) * 10.0 ** rng.integers(-4, 5, (count, size))).astype(dtype)


@given(seed=SEEDS, count=st.integers(1, 40))
def test_a_tree_adds_halves_of_the_next_power_of_two(seed, count):
    terms = hard_terms(seed, count, 50)
    assert np.array_equal(tree_of(terms, range(count)).total(), in_order_of_the_tree(terms))


@settings(max_examples=25)
@given(
    seed=SEEDS, count=st.integers(1, 20), size=st.integers(1, 90), ranks=st.integers(1, 5),
    bucket=st.sampled_from([1, 7, 32, 1000]),
)  # fmt: skip
def test_the_sum_has_the_same_bits_on_any_number_of_ranks(seed, count, size, ranks, bucket):
    terms = hard_terms(seed, count, size)

    def work(comm):
        total = np.full(size, np.nan, np.float32)
        shares = [comm.share(count, rank) for rank in range(comm.size)]
        summed(tree_of(terms, shares[comm.rank]), shares, total, comm)
        return total

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer.summation, "BUCKET", bucket)
        found = on_ranks(ranks, work)
    for total in found:
        assert np.array_equal(total, in_order_of_the_tree(terms))


@given(seed=SEEDS, count=st.integers(1, 64))
def test_the_error_of_the_sum_grows_with_the_height_of_the_tree(seed, count):
    """|ŝ − s| ≤ γ_h Σ|x|, h = ⌈log₂ M⌉, γ_h = h u / (1 − h u): each term passes through h roundings at most."""
    terms = hard_terms(seed, count, 30)
    exact = np.array([math.fsum(column) for column in terms.T.astype(float).tolist()])
    height = (count - 1).bit_length()
    bound = height * 2.0**-24 / (1 - height * 2.0**-24) * np.abs(terms.astype(float)).sum(axis=0)
    assert (np.abs(tree_of(terms, range(count)).total() - exact) <= bound).all()


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("terms_each", [1, 2, 8])
def test_each_rank_sends_what_a_ring_would(ranks, terms_each):
    """2 n (N − 1)/N numbers, where its terms are one node of the tree, however many they are."""
    count, size = ranks * terms_each, 1200

    def work(comm):
        shares = [comm.share(count, rank) for rank in range(comm.size)]
        summed(tree_of(np.ones((count, size)), shares[comm.rank]), shares, np.empty(size), comm)

    on_ranks(ranks, work)
    assert on_ranks.sent == [2 * size * (ranks - 1) // ranks] * ranks


# The seam


@given(count=st.integers(0, 100), size=st.integers(1, 9))
def test_shares_are_in_order_as_equal_as_can_be_and_leave_nothing_out(count, size):
    comm = Communicator()
    comm.size = size
    shares = [comm.share(count, rank) for rank in range(size)]
    assert [k for share in shares for k in share] == list(range(count))
    lengths = [len(share) for share in shares]
    assert lengths == sorted(lengths, reverse=True) and lengths[0] - lengths[-1] <= 1


def test_words_of_every_rank_arrive_on_every_rank():
    words = [{"loss": [0.1, 1e-300, -math.inf]}, None, "naïve \U0001f600", [True, 2**60, [], {}]]
    found = on_ranks(len(words), lambda comm: (comm.gather_words(words[comm.rank]), comm.words_of_first(words[0])))
    assert found == [(words, words[0])] * len(words)
    assert LOCAL.gather_words(words[0]) == [words[0]]


def test_arrays_of_the_first_arrive_bit_for_bit():
    own = {"a": np.array([[1.5, np.nan], [-0.0, np.inf]], np.float32), "b": np.array(7), "c": np.zeros((0, 3), bool)}
    for given_ in on_ranks(3, lambda comm: comm.arrays_of_first(own if comm.rank == 0 else None)):
        for name, array in own.items():
            assert given_[name].dtype == array.dtype and given_[name].shape == array.shape
            assert given_[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(("numbers", "odd"), [([5, 5, 5], []), ([5, 6, 5], [1]), ([6, 5, 5], [0]), ([5, 6], [1])])
def test_the_odd_one_out_is_named_on_all_ranks(numbers, odd):
    assert on_ranks(len(numbers), lambda comm: comm.odd_ones(numbers[comm.rank])) == [odd] * len(numbers)


@given(seed=SEEDS, size=st.integers(1, 200), dtype=st.sampled_from(["float32", "float64", "uint8"]), data=st.data())
def test_a_fingerprint_shows_every_bit_that_flips(seed, size, dtype, data):
    array = np.random.default_rng(seed).integers(0, 256, size * np.dtype(dtype).itemsize, np.uint8)
    before = fingerprint([array.view(dtype)])
    array[data.draw(st.integers(0, array.size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert fingerprint([array.view(dtype)]) != before
    assert 0 <= before < 1 << 64


def test_a_fingerprint_shows_two_numbers_that_changed_places():
    array = np.random.default_rng(0).normal(size=10)
    swapped = array[[0, 1, 5, 3, 4, 2, 6, 7, 8, 9]]
    assert fingerprint([array[:5], array[5:]]) == fingerprint([array]) != fingerprint([swapped])


# Gradients as one array


@given(seed=SEEDS, shapes=st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=4))
def test_gradients_go_into_one_array_and_out_of_it(seed, shapes):
    rng = np.random.default_rng(seed)
    parameters = [(f"p{k}", Tensor(rng.normal(size=shape), requires_grad=True)) for k, shape in enumerate(shapes)]
    wanted = [rng.normal(size=shape) for shape in shapes]
    flat = np.concatenate([np.ravel(array) for array in wanted])
    optim.spread_gradient(parameters, flat)
    for (_, parameter), array in zip(parameters, wanted, strict=True):
        assert np.array_equal(parameter.grad.numpy(), array)
    again = optim.flat_gradient(parameters)
    assert np.array_equal(again, flat)
    flat[...] = again[...] = np.nan  # nobody's gradient
    assert all(np.isfinite(parameter.grad.numpy()).all() for _, parameter in parameters)


def test_a_missing_gradient_and_a_wrong_size_are_named():
    parameters = [("w", Tensor(np.ones(3), requires_grad=True)), ("b", Tensor(0.0, requires_grad=True))]
    parameters[0][1].sum().backward()
    with pytest.raises(NotTrackedError, match="'b' has no gradient"):
        optim.flat_gradient(parameters)
    with pytest.raises(CotangentError, match=r"\(3,\) given, the parameters have 4 elements"):
        optim.spread_gradient(parameters, np.ones(3))

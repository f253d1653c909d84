"""Answers are right, splits share nothing, batches say what is padding, and a seed settles every byte."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.tasks import DigitTask, Example, Split, make_splits, task
from transformer.tokens import EOS, OPERATIONS, PAD, InputError, decode, encode, parse

# By the words of the lessons, one question at a time; the task computes whole columns.
MEANING = {
    "First": lambda numbers: numbers[0],
    "Second": lambda numbers: numbers[1],
    "Last": lambda numbers: numbers[-1],
    "Max": lambda numbers: sorted(numbers)[-1],
    "Min": lambda numbers: sorted(numbers)[0],
}


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    """As many inputs as three digits have; where more exist, a sample is drawn. The same code, in less time."""
    monkeypatch.setattr(task, "POOL", 1000)


SMALL = [DigitTask(9, 2), DigitTask(1, 3), DigitTask(7, 3)]
WIDE = DigitTask(99, 2)


@pytest.mark.parametrize("task", [DigitTask(), DigitTask(99, 2), DigitTask(9, 7), DigitTask(12345, 3)])
def test_every_answer_is_what_the_operation_means(task):
    examples = task.examples(np.random.default_rng(0))
    for example in examples[::7]:
        operation, numbers = parse(example.question, task.arguments, task.upper)
        assert example.answer == str(MEANING[operation](numbers))
        assert example.operation == operation
        assert len(encode(example.question)) <= task.longest and len(example.answer) <= task.longest_answer


def test_there_are_5000_inputs_of_three_digits_and_all_are_used():
    splits = make_splits(DigitTask(), seed=0)
    assert {name: len(split) for name, split in splits.items()} == {"train": 4000, "validation": 500, "test": 500}


@pytest.mark.parametrize("task", [*SMALL, DigitTask(), WIDE, DigitTask(99, 3)])
def test_no_question_is_in_two_splits(task):
    splits = make_splits(task, seed=1, decoder=True)
    questions = [example.question for split in splits.values() for example in split.examples]
    assert len(questions) == len(set(questions)) == 5 * min(1000, (task.upper + 1) ** task.arguments)


def test_each_split_holds_equally_many_inputs_of_each_operation():
    for split in make_splits(DigitTask(), seed=2).values():
        counts = [sum(example.operation == name for example in split.examples) for name in OPERATIONS]
        assert len(set(counts)) == 1


@pytest.mark.parametrize("task", [*SMALL, WIDE])
def test_every_answer_that_an_operation_can_have_is_learnt(task):
    for seed in range(5):
        splits = make_splits(task, seed, decoder=True)
        possible = {(e.operation, e.answer) for split in splits.values() for e in split.examples}
        assert {(e.operation, e.answer) for e in splits["train"].examples} == possible


def test_where_nearly_every_input_has_an_answer_of_its_own_some_are_held_out_all_the_same():
    splits = make_splits(DigitTask(10**9, 2), seed=0, decoder=True)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [4000, 500, 500]


@given(st.integers(0, 2**32), st.integers(1, 400))
@settings(max_examples=20)
def test_a_sample_is_balanced_over_operations_and_stays_within_its_split(seed, count):
    split = make_splits(DigitTask(9, 2), seed=3)["train"]
    drawn = [split.examples[k] for k in split.sample(count, np.random.default_rng(seed))]
    assert len(drawn) == count
    counts = [sum(example.operation == name for example in drawn) for name in OPERATIONS]
    assert max(counts) - min(counts) <= 1


def test_an_answer_is_drawn_as_often_as_the_square_root_of_the_number_of_its_inputs():
    split = make_splits(DigitTask(), seed=0)["train"]
    available = Counter((example.operation, example.answer) for example in split.examples)
    drawn = Counter(split.examples[k] for k in split.sample(50_000, np.random.default_rng(0)))
    per_answer = Counter()
    for example, count in drawn.items():
        per_answer[example.operation, example.answer] += count
    for operation in OPERATIONS:
        roots = {key: np.sqrt(count) for key, count in available.items() if key[0] == operation}
        for key, root in roots.items():
            expected = 10_000 * root / sum(roots.values())
            assert abs(per_answer[key] - expected) < 6 * np.sqrt(expected)
    assert len(drawn) == len(split)  # every input has its turn


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    def dealt(seed):
        split = make_splits(DigitTask(30, 3), seed, decoder=True)["train"]
        indices = split.sample(96, np.random.default_rng(seed))
        return b"".join(batch.tokens.tobytes() + batch.targets.tobytes() for batch in split.batches(32, indices))

    assert dealt(5) == dealt(5) != dealt(6)


@given(st.integers(1, 40))
@settings(max_examples=20)
def test_batches_deal_every_example_once_and_in_order(size):
    split = make_splits(DigitTask(11, 2), seed=0, decoder=True)["test"]
    rows = [decode(row) for batch in split.batches(size) for row in batch.tokens]
    assert rows == [example.question + example.answer for example in split.examples]


def test_a_batch_is_as_wide_as_its_longest_row_and_padded_on_the_right():
    split = Split([Example("Max(1,6,2)", "6", "Max"), Example("Max(10,6)", "10", "Max")], decoder=True)
    (batch,) = split.batches(2)
    wide = "Max ( 1 , 6 , 2 ) 6".split()
    assert batch.tokens.shape == batch.targets.shape == (2, len(wide))
    assert batch.tokens[1].tolist() == [*encode("Max(10,6)"), 3, 2]
    (narrow,) = split.batches(1, np.array([0]))
    assert narrow.tokens.shape == (1, 9)


@pytest.mark.parametrize("task", SMALL)
def test_a_decoder_is_asked_for_the_answer_and_its_end_and_nothing_else(task):
    for split in make_splits(task, seed=0, decoder=True).values():
        for example, tokens, targets in zip(split.examples, split.tokens, split.targets, strict=True):
            asked = targets != PAD
            assert decode(targets[asked]) == example.answer and targets[asked][-1] == EOS
            # What stands one place to the right is what is asked for.
            shifted = np.append(tokens[1:], PAD)
            assert (targets[asked][:-1] == shifted[asked][:-1]).all()
            assert asked.argmax() == len(encode(example.question)) - 1


def test_an_encoder_is_asked_for_the_one_token_of_the_answer():
    split = make_splits(DigitTask(), seed=0)["test"]
    assert [decode([target]) for target in split.targets] == [example.answer for example in split.examples]


def test_an_encoder_refuses_answers_of_two_digits():
    with pytest.raises(ValueError, match="train a decoder"):
        make_splits(DigitTask(10, 2), seed=0)


@pytest.mark.parametrize("values", [{"upper": 0}, {"upper": True}, {"arguments": 1}, {"upper": 1.5}, {"upper": 10**18}])
def test_impossible_tasks_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        DigitTask(**values)


def test_a_task_refuses_questions_that_are_not_its_own():
    task = DigitTask(9, 3)
    task.check("Max(1,2,3)")
    for question in ("Max(1,2)", "Max(1,2,10)", "Max(1,2,3,4)"):
        with pytest.raises(InputError):
            task.check(question)

"""Every task: answers mean what they say, no question is in two splits, and what is not a question is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transformer.tasks import (
    TASKS,
    ArithmeticTask,
    DigitTask,
    Example,
    NestedTask,
    SortTask,
    Split,
    TextTask,
    make_splits,
    make_task,
    register,
    task,
)
from transformer.tokens import EOS, PAD, VOCABULARY, InputError


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    monkeypatch.setattr(task, "POOL", 200)


DRAWN = st.one_of(
    st.builds(DigitTask, st.integers(8, 999), st.integers(3, 10), st.sampled_from([0, 2])),
    st.builds(NestedTask, st.integers(5, 30), st.integers(2, 3), st.integers(1, 3)),
    st.builds(ArithmeticTask, st.integers(5, 30), st.integers(2, 3), st.integers(1, 3)),
    st.builds(SortTask, st.integers(5, 99), st.integers(3, 6)),
)
# Written as a program of Python and evaluated: the task itself walks over a tree.
MEANING = {
    "First": lambda *numbers: numbers[0],
    "Second": lambda *numbers: numbers[1],
    "Last": lambda *numbers: numbers[-1],
    "Max": lambda *numbers: max(numbers),
    "Min": lambda *numbers: min(numbers),
    "Add": lambda *numbers: sum(numbers),
    "Sort": lambda *numbers: ",".join(map(str, sorted(numbers))),
}


@settings(max_examples=12)
@given(one=DRAWN, seed=st.integers(0, 2**32))
def test_answers_are_right_and_no_question_is_in_two_splits(one, seed):
    """Drawn tasks, drawn seeds: as questions, and as the tokens that the model reads."""
    splits = make_splits(one, seed, decoder=True)
    questions = [example.question for split in splits.values() for example in split.examples]
    assert len(questions) == len(set(questions))
    spelt = [tuple(one.encode(question)) for question in questions]
    assert len(spelt) == len(set(spelt)) and max(map(len, spelt)) <= one.longest
    for example in [example for split in splits.values() for example in split.examples][::17]:
        assert example.answer == str(eval(example.question, dict(MEANING))) == one.answer(example.question)
        assert len(one.vocabulary.spell(example.answer)) <= one.longest_answer
        assert one.vocabulary.decode(one.encode(example.question)) == example.question


@settings(max_examples=10)
@given(one=DRAWN, seed=st.integers(0, 2**32))
def test_the_same_seed_draws_the_same_examples(one, seed):
    first, again = (one.examples(np.random.default_rng(seed)) for _ in range(2))
    assert first == again


@settings(max_examples=10)
@given(one=DRAWN, loss=st.sampled_from(["answer", "all"]))
def test_the_loss_is_on_the_answer_and_its_end_or_on_all_that_follows(one, loss):
    split = make_splits(one, 0, decoder=True, loss=loss)["test"]
    for example, tokens, targets in zip(split.examples, split.tokens, split.targets, strict=True):
        question, answer = one.encode(example.question), one.vocabulary.spell(example.answer)
        row = [*question, *answer, EOS]
        assert tokens[tokens != PAD].tolist() == row[:-1]
        asked = row[1:] if loss == "all" else [PAD] * (len(question) - 1) + row[len(question) :]
        assert targets[: len(asked)].tolist() == asked and not targets[len(asked) :].any()


@pytest.mark.parametrize("one", [DigitTask(99, 3, 2), NestedTask(9, 3, 3), SortTask()])
def test_a_curriculum_begins_with_the_shortest_of_each_operation(one):
    train = make_splits(one, 0, decoder=True)["train"]
    easy = train.easiest(0.2)
    for operation in {example.operation for example in train.examples}:
        every = sorted(len(e.question + e.answer) for e in train.examples if e.operation == operation)
        kept = sorted(len(e.question + e.answer) for e in easy.examples if e.operation == operation)
        assert len(kept) == max(1, int(0.2 * len(every)))
        assert sum(kept) <= 1.1 * sum(every[: len(kept)]) < sum(kept) * 1.2  # tokens and letters differ a little
    assert train.easiest(1.0).examples == train.examples


@pytest.mark.parametrize(
    ("one", "question", "caret", "words"),
    [
        (NestedTask(), "Max(First(2,8),Second(5,1)", 26, "it ends early"),
        (NestedTask(), "Max(First(2,Last(1,2)),3)", 12, "too deep inside each other; 2 are allowed"),
        (NestedTask(), "Max(1,2,3)", 7, r"expected '\)'"),
        (NestedTask(), "Max(1)", 5, "expected ','"),
        (NestedTask(), "Add(1,2)", 0, "expected First"),
        (NestedTask(), "Max(max(1,2),3)", 4, "did you mean Max?"),
        (ArithmeticTask(), "Add(1,20)", 6, "20 is too large"),
        (ArithmeticTask(), "Add(1,2)3", 8, "over here"),
        (SortTask(), "Sort(1,Sort(2,3))", 7, "too deep"),
        (SortTask(), "Sort(1,2,3,4,5,6)", 14, r"expected '\)'"),
        (DigitTask(9, 4, 2), "Max(1,2,3,4,5)", 13, "from 2 to 4 are allowed"),
        (NestedTask(), "Max(" * 5000, 8, "too deep"),
    ],
)
def test_a_caret_stands_where_a_question_leaves_the_task(one, question, caret, words):
    with pytest.raises(InputError, match=words) as refused:
        one.encode(question)
    assert refused.value.position == caret


def test_blanks_do_not_matter_and_a_long_question_is_refused():
    one = NestedTask(99)
    assert one.encode(" Max ( First(2, 8), 51 )") == one.encode("Max(First(2,8),51)")
    with pytest.raises(InputError, match="at most 5"):
        one.encode("Max(1,2)", longest=5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: NestedTask(depth=0), "depth = 0"), (lambda: NestedTask(arguments=11), "10 at most"),
        (lambda: ArithmeticTask(upper=9 * 10**17), "more than 18 digits"),
        (lambda: SortTask(arguments=1), "arguments = 1"),
        (lambda: DigitTask(9, 3, 4), "fewest = 4"), (lambda: TextTask("x", length=1), "length = 1"),
        (lambda: make_task("chess", {}), "no task 'chess', only digits, nested"),
        (lambda: make_task("sort", {"depth": "2"}), "no option 'depth', only upper, arguments"),
        (lambda: make_task("sort", {"upper": "many"}), "upper = 'many'"),
        (lambda: make_task("text", {}), "--option file="),
    ],
)  # fmt: skip
def test_impossible_tasks_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("name", ["digits", "nested", "arithmetic", "sort"])
def test_a_task_survives_json_and_its_tokens_come_after_the_lessons(name):
    one = make_task(name, {"arguments": "3"})
    options = one.to_dict()
    assert make_task(options.pop("name"), options) == one
    assert one.vocabulary.tokens[:20] == VOCABULARY and one.vocabulary.tokens[20:] == one.further
    one.adopt(one.vocabulary.tokens)
    with pytest.raises(ValueError, match="not the model's"):
        one.adopt([*VOCABULARY, "Other"])


def test_a_name_that_is_taken_is_refused():
    with pytest.raises(ValueError, match="there is a task 'sort' already, transformer.tasks.sorting.SortTask"):

        @register
        @dataclasses.dataclass(frozen=True)
        class Mine(SortTask):
            pass

    assert TASKS["sort"] is SortTask


# Text


TEXT = "The quick brown fox (number 1) jumps over the lazy dog, and the dog sleeps on.\n" * 3


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    words = np.random.default_rng(0).choice(TEXT.split(" "), 1500)
    path.write_text(" ".join(words), encoding="utf-8")
    return path


@pytest.mark.parametrize("merges", [0, 40])
def test_windows_of_a_text_are_its_tokens_and_none_is_in_two_splits(file, merges):
    one = TextTask(str(file), length=16, merges=merges)
    splits = make_splits(one, 0, decoder=True, loss="all")
    rows = [
        (*tokens, targets[-1])
        for split in splits.values()
        for tokens, targets in zip(split.tokens.tolist(), split.targets.tolist(), strict=True)
    ]
    assert len(set(rows)) == len(rows) and all(len(row) == 17 and PAD not in row for row in rows)
    for split in splits.values():
        assert (split.tokens[:, 1:] == split.targets[:, :-1]).all()
    ids = one.vocabulary.spell(one.text)
    assert one.vocabulary.decode(ids) == one.text
    everywhere = {tuple(ids[start : start + 17]) for start in range(len(ids) - 16)}
    assert set(rows) <= everywhere and len(rows) > 0.8 * len(ids) / 16
    assert len(ids) < 0.7 * len(one.text) if merges else len(ids) == len(one.text)


@settings(max_examples=25)
@given(data=st.data(), seed=st.integers(0, 2**32), length=st.integers(3, 9), merges=st.sampled_from([0, 6]))
def test_no_held_out_window_stands_anywhere_in_the_text_that_is_learnt(tmp_path_factory, data, seed, length, merges):
    """Drawn texts in which passages come again, shifted by what was inserted before them."""
    path = tmp_path_factory.mktemp("drawn") / "text"
    verses = data.draw(st.lists(st.text("ab ", min_size=1, max_size=25), min_size=2, max_size=6))
    order = data.draw(st.lists(st.sampled_from(verses), min_size=30, max_size=60))
    path.write_text("".join(order) + "".join(np.random.default_rng(seed).choice(list("abcd "), 300)))
    one = TextTask(str(path), length, merges)
    try:
        splits = make_splits(one, seed, decoder=True, loss="all")
    except ValueError as error:
        assert "repeats itself" in str(error) or "too few" in str(error)
        return
    rows = {
        name: [(*t, u[-1]) for t, u in zip(split.tokens.tolist(), split.targets.tolist(), strict=True)]
        for name, split in splits.items()
    }
    validation, test = np.random.default_rng(seed).permutation(10)[:2]
    pieces = [tuple(piece) for piece in np.array_split(one.vocabulary.spell(one.text), 10)]
    learnt = [piece for k, piece in enumerate(pieces) if k not in (validation, test)]
    shifted = {piece[k : k + length + 1] for piece in learnt for k in range(len(piece) - length)}
    held = pieces[validation]
    assert set(rows["train"]) <= shifted and not shifted & {*rows["validation"], *rows["test"]}
    assert not set(rows["test"]) & {held[k : k + length + 1] for k in range(len(held) - length)}
    windows = [held[k : k + length + 1] for k in range(0, len(held) - length, length)]
    assert rows["validation"] == list(dict.fromkeys(window for window in windows if window not in shifted))
    assert all(len(each) == len(set(each)) for each in rows.values())


def test_a_text_that_only_repeats_itself_and_one_too_short_are_told_so(tmp_path):
    (tmp_path / "x").write_text("la " * 500)
    with pytest.raises(ValueError, match="repeats itself: every window of the validation part"):
        make_splits(TextTask(str(tmp_path / "x"), 12), 0, decoder=True, loss="all")
    (tmp_path / "x").write_text("la " * 100)
    with pytest.raises(ValueError, match="tokens are too few for windows of 12: 130 are needed"):
        make_splits(TextTask(str(tmp_path / "x"), 12, merges=9), 0, decoder=True, loss="all")


def test_a_text_that_has_changed_is_refused_and_a_model_knows_its_own_tokens(file):
    one = TextTask(str(file), length=16)
    tokens = one.vocabulary.tokens
    assert one.digest and make_task("text", {k: v for k, v in one.to_dict().items() if k != "name"}) == one
    file.write_text(file.read_text() + "!")
    later = dataclasses.replace(one)
    with pytest.raises(ValueError, match="has changed since"):
        later.examples(np.random.default_rng(0))
    file.unlink()
    alone = dataclasses.replace(one)
    alone.adopt(tokens)
    assert alone.vocabulary.decode(alone.encode("the fox")) == "the fox"
    with pytest.raises(InputError, match="never seen it") as refused:
        alone.check("the fox€")
    assert refused.value.position == 7
    with pytest.raises(InputError, match="prompt is empty"):
        alone.check("")


@pytest.mark.parametrize(("data", "words"), [(b"too short", "too few"), (b"\xff" * 5000, "byte 0 is no UTF-8")])
def test_a_file_that_is_no_text_is_refused(tmp_path, data, words):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        TextTask(str(tmp_path / "x")).examples(np.random.default_rng(0))


def test_a_split_needs_an_example():
    with pytest.raises(ValueError, match="at least one"):
        Split([], decoder=True)
    assert len(Split([Example("Max(1,2)", "2", "Max")], decoder=True).easiest(0.1)) == 1

"""Questions become the ids of the lessons, and everything else is refused at the right character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformer.tokens import OPERATIONS, VOCABULARY, InputError, Question, decode, encode, parse

QUESTIONS = st.builds(
    Question, st.sampled_from(OPERATIONS), st.lists(st.integers(0, 10**6), min_size=2, max_size=12).map(tuple)
)


def test_ids_are_those_of_the_lessons():
    assert encode("Max(1,6,2)") == [15, 17, 3, 19, 8, 19, 4, 18]
    assert [VOCABULARY.index(token) for token in ("[PAD]", "[EOS]", "0", "9", "First", "Second", "Last")] == [
        0, 1, 2, 11, 12, 13, 14,
    ]  # fmt: skip
    assert len(VOCABULARY) == 20


@given(QUESTIONS)
def test_decoding_undoes_encoding(question):
    assert decode(encode(str(question))) == str(question)
    assert parse(str(question)) == question


@given(QUESTIONS, st.data())
def test_blanks_between_words_change_nothing(question, data):
    blank = st.sampled_from(["", " ", "  ", "\t"])
    words = [question.operation, "(", str(question.arguments[0])]
    words += [word for number in question.arguments[1:] for word in (",", str(number))] + [")"]
    spaced = "".join(data.draw(blank) + word for word in words) + data.draw(blank)
    assert encode(spaced) == encode(str(question))


def test_a_number_is_spelt_digit_by_digit():
    assert encode("Min(10,99)") == [16, 17, 3, 2, 19, 11, 11, 18]


@pytest.mark.parametrize(
    ("text", "caret", "words"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"),
        ("max(1,2)", 0, "did you mean Max?"),
        ("Sum(1,2)", 0, "First, Second, Last, Max or Min"),
        ("Max", 3, "expected '('"),
        ("Max 1,2", 4, "expected '('"),
        ("Max(", 4, "a whole number"),
        ("Max()", 4, "a whole number"),
        ("Max(1)", 5, "2 arguments"),
        ("Max(1,)", 6, "a whole number"),
        ("Max(1,2", 7, "',' or ')'"),
        ("Max(1,2]", 7, "',' or ')'"),
        ("Max(1 2)", 6, "expected ','"),
        ("Max(1,-2)", 6, "a whole number"),
        ("Max(1,2.5)", 7, "',' or ')'"),
        ("Max(1,07)", 6, "write 7"),
        ("Max(1,٣)", 6, "a whole number"),
        ("Max(1,2))", 8, "over here"),
        ("Max(1,2)Max(1,2)", 8, "over here"),
        ("Max(1," + "9" * 5000 + ")", 6, "at most 18"),
    ],
)
def test_a_caret_stands_under_the_wrong_character(text, caret, words):
    with pytest.raises(InputError) as refused:
        encode(text)
    problem, shown, pointer = str(refused.value).split("\n")
    assert refused.value.position == caret
    assert words in problem
    assert pointer.index("^") - 4 == caret and shown[4:] == text[:60]


@pytest.mark.parametrize(("text", "caret"), [("Max(1,2)", 7), ("Max(1,2,3,4)", 9)])
def test_another_number_of_arguments_than_asked_for_is_refused(text, caret):
    with pytest.raises(InputError, match="3 arguments are allowed here") as refused:
        parse(text, arguments=3)
    assert refused.value.position == caret


def test_a_number_that_is_too_large_is_refused():
    with pytest.raises(InputError, match="10 is too large; numbers from 0 to 9"):
        parse("Max(1,10)", upper=9)


def test_a_question_that_is_too_long_is_refused_at_the_first_token_too_many():
    assert len(encode("Max(12,3)", longest=7)) == 7
    with pytest.raises(InputError, match="at most 6") as refused:
        encode("Max(12, 3)", longest=6)
    assert refused.value.position == 9


@given(st.text(max_size=30))
def test_any_other_text_is_refused_or_read_back_the_same(text):
    try:
        question = parse(text)
    except InputError as refused:
        assert 0 <= refused.position <= len(text)
    else:
        assert str(question) == "".join(text.split())


@pytest.mark.parametrize("number", [-1, 20, 10**9])
def test_an_id_that_is_no_token_is_refused(number):
    with pytest.raises(ValueError, match=f"id {number} is no token"):
        decode([3, number])


def test_padding_and_the_end_write_nothing():
    assert decode([8, 1, 0, 0]) == "6"

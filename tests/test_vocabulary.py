"""Ids never change, text comes back as it went in, and pairs are joined by how often they come."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transformer.tokens import VOCABULARY, InputError
from transformer.vocabulary import Pieces, Vocabulary, Words, characters, joined_pairs

TEXTS = st.text(st.sampled_from("ab cde\n0(,é"), min_size=1, max_size=60)


@given(TEXTS, st.integers(0, 30))
def test_pieces_write_the_text_they_were_read_from(text, merges):
    pieces = Pieces(joined_pairs(text, merges))
    ids = pieces.spell(text)
    assert pieces.decode(ids) == text and len(ids) <= len(text)
    assert pieces.tokens[:20] == VOCABULARY
    assert [pieces.tokens[k] for k in Pieces(characters(text)).spell(text)] == list(text)


@given(TEXTS)
def test_the_first_pair_that_is_joined_is_the_most_frequent(text):
    grown = joined_pairs(text, 1)[len(characters(text)) :]
    pairs = Counter(
        a + b
        for a, b in zip(text, text[1:], strict=False)
        if not b.isspace()  # a blank begins a new piece
    )
    if grown:
        assert pairs[grown[0]] == max(pairs.values()) >= 2
    else:
        assert max(pairs.values(), default=0) < 2


def test_pairs_are_joined_step_by_step():
    """aaabdaaabac, an old example: aa comes most often, then of what is left ab, then both together."""
    tokens = joined_pairs("aaabdaaabac", 3)[len(characters("abcd")) :]
    assert tokens == ("aa", "ab", "aaab")
    pieces = Pieces(joined_pairs("aaabdaaabac", 3))
    assert [pieces.tokens[k] for k in pieces.spell("aaabdaaabac")] == ["aaab", "d", "aaab", "a", "c"]


def test_a_text_that_cuts_a_word_is_spelt_as_in_the_whole():
    text = "the then there other mother the other"
    pieces = Pieces(joined_pairs(text, 12))
    ids = pieces.spell(text)
    for start in range(len(ids)):
        for end in range(start + 1, len(ids) + 1):
            assert pieces.spell(pieces.decode(ids[start:end])) == ids[start:end]


def test_names_of_operations_are_no_pieces_of_a_text():
    pieces = Pieces(characters("Maximum First"))
    assert [pieces.tokens[k] for k in pieces.spell("Max")] == ["M", "a", "x"]


def test_words_take_names_whole_and_digits_one_by_one():
    words = Words(("Add", "Sort"))
    assert words.spell("Add(10, 2)") == [20, 17, 3, 2, 19, 4, 18] and words.ids["Sort"] == 21
    assert words.decode([20, 17, 3, 2, 19, 4, 18, 1, 0]) == "Add(10,2)"
    with pytest.raises(InputError, match="'Mul' is no token; there are 0 1") as refused:
        words.spell("Add(1,Mul(2,3))")
    assert refused.value.position == 6
    with pytest.raises(ValueError, match="id 22 is no token"):
        words.decode([22])


@pytest.mark.parametrize("tokens", [["a"], [*VOCABULARY[:19], "x"], [*VOCABULARY, "Max"]])
def test_a_vocabulary_that_would_change_an_id_is_refused(tokens):
    with pytest.raises(ValueError, match="begins with the 20 tokens"):
        Vocabulary(tokens)


@pytest.mark.parametrize("word", ["", "2", "a b", "+", "Größe"])
def test_a_further_token_must_be_a_word(word):
    with pytest.raises(ValueError, match="must be a word"):
        Words((word,))

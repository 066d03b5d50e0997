"""Shapes of texts: what a reader calls a character, what is shouted, what is made of emoji."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.policy import LengthRule, RepetitionRule, ShapeRule
from streams.core.normalise import fold
from streams.core.shapes import graphemes_of_plain, has_shape, is_harmless, is_repetitive


def harmless(text, characters_max=5):
    rule = LengthRule(id="l", action="allow", characters_max=characters_max)
    return is_harmless(fold(text).text, rule)


def shaped(text, **fields):
    return has_shape(text, fold(text).text, ShapeRule(id="s", action="label", **fields))


@pytest.mark.parametrize("text", ["abcde", "ẹ́ẹ́ẹ́ẹ́ẹ́", "a\u0301bcde", "q\u0308" * 5])
def test_a_letter_with_its_mark_is_one_character(text):
    assert harmless(text)
    assert not harmless(text + "a")


@pytest.mark.parametrize(
    "text", ["a\u0301\u0302\u0303", "\u0301", "没事", "かな", "ไทย", "हाँ", "да", "👍", "ok\u20dd"]
)
def test_heaped_marks_and_other_scripts_are_never_harmless(text):
    assert not harmless(text, 64)


@given(st.lists(st.sampled_from(["a", "é", "ẹ", " ", "!", "…"]), max_size=20), st.booleans())
def test_the_count_is_that_of_what_a_reader_sees(characters, decomposed):
    plain = "".join(characters)
    if decomposed:
        plain = plain.replace("é", "e\u0301").replace("ẹ", "e\u0323")
    assert graphemes_of_plain(plain) == len(characters)


def test_the_same_line_over_and_over_is_repetition_and_blank_lines_do_not_count():
    rule = RepetitionRule(id="r", action="label", lines_min=4)
    assert is_repetitive("come here now\n\n" * 4, rule)
    assert not is_repetitive("come here now\n" * 3, rule)
    assert not is_repetitive("one\ntwo\nthree\nfour\nfive", rule)
    assert not is_repetitive("come here now\n" * 9, RepetitionRule(id="r", action="label"))


@pytest.mark.parametrize("text", ["THIS IS VERY LOUD INDEED", "ЭТО ОЧЕНЬ ГРОМКО, ПРАВДА!"])
def test_shouting_is_told_by_the_share_of_capitals_in_any_script_that_has_them(text):
    assert shaped(text, capitals_share=0.9)
    assert not shaped(text.lower(), capitals_share=0.9)
    assert not shaped(text, capitals_share=0.9, characters_min=40)


def test_scripts_without_capitals_do_not_shout():
    assert not shaped("这是一个没有大写字母的句子" * 5, capitals_share=0.0)


def test_mentions_are_counted_and_addresses_are_none():
    assert shaped("@a @b @c", mentions_over=2)
    assert not shaped("@a @b x@c.example", mentions_over=2)


def test_emoji_are_counted_without_their_selectors_and_skin_tones():
    assert shaped("👍🏽❤️" * 10, emoji_share=1.0)
    assert not shaped("👍🏽❤️" * 10 + "x" * 10, emoji_share=0.9)
    assert not shaped("👍", emoji_share=0.5)


def test_where_several_limits_are_given_all_must_be_exceeded():
    assert shaped("HELLO YOU ALL THERE @a @b", capitals_share=0.8, mentions_over=1, characters_min=5)
    assert not shaped("HELLO YOU ALL THERE @a", capitals_share=0.8, mentions_over=1, characters_min=5)


def is_plainly_repetitive(folded: str, rule: RepetitionRule) -> bool:
    """What `is_repetitive` means, written without a care for time."""
    runs = [(char, len(list(run))) for char, run in groupby(folded)]
    words = folded.split()
    return any(length >= rule.run_min and char not in " \t\r\n-=_*~#." for char, length in runs) or (
        len(words) >= rule.words_min
        and max(words.count(word) for word in set(words)) >= rule.word_share * len(words)
    )


@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from(["a", "go", "b", "-", " ", "\n", "\u3000", "no way ", "go "]), st.integers(1, 12)
        ),
        max_size=8,
    ),
    run_min=st.integers(5, 16),
    words_min=st.integers(3, 8),
    word_share=st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]),
)
@example(parts=[("go ", 11), ("b", 1)], run_min=5, words_min=12, word_share=0.9)
@example(parts=[("a", 1), ("go ", 10)], run_min=5, words_min=3, word_share=0.9)
def test_every_shortcut_finds_what_a_look_at_everything_finds(parts, run_min, words_min, word_share):
    text = "".join(part * times for part, times in parts)
    rule = RepetitionRule(
        id="r", action="label", run_min=run_min, words_min=words_min, word_share=word_share, lines_min=0
    )
    assert is_repetitive(text, rule) == is_plainly_repetitive(text, rule)


@given(
    text=st.text("AbCdE é.É", max_size=40),
    share=st.sampled_from([0.0, 0.3, 0.55, 0.8, 1.0]),
    least=st.integers(1, 20),
)
def test_a_share_of_capitals_is_that_of_the_letters_if_there_are_enough(text, share, least):
    rule = ShapeRule(id="s", action="label", capitals_share=share, characters_min=least)
    letters = [char for char in text if char.isupper() or char.islower()]
    shouted = len(letters) >= least and sum(map(str.isupper, letters)) / len(letters) >= share
    assert has_shape(text, text.casefold(), rule) == shouted

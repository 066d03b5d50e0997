"""What a very short text must not say, however it is spelled, and what it may consist of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.forms import Forms
from streams.core.normalise import fold
from streams.core.wariness import Beware, is_word, known, words_in

BEWARE = Beware(["kill", "him", "no way", "hell"])


@pytest.mark.parametrize(
    "text",
    [
        "kill", "No way!", "no, way", "kìll", "hìm", "ķiļļ", "ki ll it", "kil'l it", "ki-ll", "k i l l",
        "kiill", "killl", "hiim", "hîîm", "khill him", "the n oway", "ki ĺl", "ḧïm", "h\u0308im",
    ],
)  # fmt: skip
def test_a_word_to_beware_of_is_found_with_accents_cut_up_or_doubled(text):
    assert BEWARE.are_in(Forms(text))


@pytest.mark.parametrize("text", ["skill", "a skilled one", "hello", "shell", "the lake", "killer", ""])
def test_a_word_that_only_has_it_within_is_none(text):
    assert not BEWARE.are_in(Forms(text))


@given(st.text(max_size=30))
def test_without_words_to_beware_of_none_is_found(text):
    assert not Beware([]).are_in(Forms(text))


@given(st.sampled_from(["kill", "poison"]), st.text("aeiou .,!'", max_size=6), st.data())
def test_a_word_cut_at_any_place_by_any_sign_is_found(word, around, data):
    cut = data.draw(st.integers(1, len(word) - 1))
    sign = data.draw(st.sampled_from([" ", "-", "'", ", ", "… ", "\n", ". "]))
    assert Beware([word]).are_in(Forms(f"{around} {word[:cut]}{sign}{word[cut:]}"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don\u2019t panic, it's ok-ish!", ["don't", "panic", "it's", "ok", "ish"]),
        ("'quoted' words", ["quoted", "words"]),
        ("tre\u0300s q\u0308uick", ["très", "q\u0308uick"]),
        ("...", []),
    ],
)
def test_words_are_letters_and_apostrophes_between_them(text, words):
    assert words_in(fold(text).text) == words


@given(st.text(min_size=1, max_size=12))
def test_what_is_one_word_is_known_by_it(text):
    if is_word(text):
        assert known([text]) == {*words_in(fold(text).text)}
    assert not is_word(f"{text} {text}")

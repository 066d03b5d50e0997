"""The forms of a text: what they leave out, what they never merge, how long they get, and the way back."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.core.normalise import FLOOD, GROWTH_MAX, INVISIBLE, MARKS_MAX, STYLED, digest_form, fold
from streams.core.traced import TracedText

# Characters that meet in folding: marks, jamo, halfwidth voicing marks, joiners, tags, alphabets, ligatures.
AWKWARD = (
    "aAeEßİıſΣςΐﬁ½²①ＡａＺ𝐀𝒷ⓐ🄰㎯ﷺ㌖"
    "\u0301\u0323\u0344\u0345\u3099\uff9eｶﾊ\u1100\u1161\u11a8가"
    "\u200b\u200d\u200c\ufe0f\u202e\u00ad\u2066\U000e0041\x00\x1b\n\t 👍👩❤1#\u20e3"
    "नि\u093cه\u0f73คำ漢字かなЖж"
)
awkward_texts = st.text(st.sampled_from(AWKWARD), max_size=30)
any_texts = st.text(st.characters(), max_size=60) | awkward_texts | st.text(max_size=60)


@given(any_texts)
@example("")
@example("\ud800 alone")
def test_any_string_has_both_forms_and_they_agree(text):
    form = digest_form(text)
    folded = fold(text)
    assert form.data == folded.text.encode("utf-8", "surrogatepass")
    assert 0.0 <= folded.obfuscation <= 1.0
    assert (folded.obfuscation > 0) == bool(folded.flags)


@given(any_texts)
def test_a_folded_text_has_at_most_four_times_the_characters(text):
    assert len(fold(text).text) <= GROWTH_MAX * len(text)


@pytest.mark.slow
def test_no_character_of_unicode_folds_to_more_than_four():
    longest = max(len(fold(chr(code)).text) for code in range(sys.maxunicode + 1))
    assert longest == GROWTH_MAX


@given(any_texts, any_texts)
def test_composed_and_decomposed_texts_have_the_same_digest_form(before, behind):
    text = before + behind
    assert (
        digest_form(unicodedata.normalize("NFC", text)).data
        == digest_form(unicodedata.normalize("NFD", text)).data
    )


def test_case_width_and_composition_are_folded():
    assert fold("ＣＡＦÉ").text == fold("cafe\u0301").text == "café"


@pytest.mark.parametrize(
    ("one", "other"),
    [("l33t", "leet"), ("раypal", "paypal"), ("coool", "cool"), ("f.r.e.e", "free"), ("a  b", "a b")],
)
def test_texts_that_may_mean_different_things_are_not_merged(one, other):
    assert digest_form(one).data != digest_form(other).data


@pytest.mark.parametrize(
    "hidden",
    [
        "\u200b",
        "\u200d",
        "\u202e",
        "\u2066",
        "\ufeff",
        "\u00ad",
        "\x00",
        "\x1b",
        "\x7f",
        "\U000e0068",
        "\u3164",
    ],
)
def test_what_is_invisible_is_left_out_and_said(hidden):
    text = f"he{hidden}llo"
    assert digest_form(text).data == b"hello"
    assert not digest_form(text).is_whole
    assert fold(text).flags == (INVISIBLE,)
    assert fold(text).obfuscation == pytest.approx(1 / 6)


@pytest.mark.parametrize("text", ["plain", "naïve café", "Жж", "漢字 かな", "a\tb\r\nc", "👍", "é" * 100])
def test_ordinary_texts_are_whole_and_hide_nothing(text):
    assert digest_form(text).is_whole
    assert fold(text).flags == ()


@pytest.mark.parametrize(
    "text",
    [
        "❤\ufe0f", "👩\u200d🔬", "نمی\u200cخواهم", "क्\u200dष", "1\ufe0f\u20e3", "©\ufe0f", "🏳\ufe0f\u200d🌈",
        "👩🏽\u200d⚕\ufe0f", "👁\ufe0f\u200d🗨\ufe0f", "ە\u200cو", "ශ්\u200dරී", "☎\ufe0e", "➡\ufe0f", "ℹ\ufe0f",
    ],
)  # fmt: skip
def test_joiners_that_a_script_or_an_emoji_needs_are_no_sign_of_hiding(text):
    assert not digest_form(text).is_whole
    assert fold(text).flags == ()


@pytest.mark.parametrize(
    "before", ["Nice work.", "Nice work. ", "Nice work…", "don’", "a", "1", "漢", "\n", "", "-"]
)
@pytest.mark.parametrize("hidden", ["\u200c", "\u200d", "\ufe0e", "\ufe0f", "\ufe0e\ufe0f", "\u200c\u200d"])
def test_joiners_and_selectors_that_nothing_needs_are_a_sign_of_hiding(before, hidden):
    assert fold(before + hidden).flags == (INVISIBLE,)


@given(
    st.sampled_from(["Nice work. ", "❤", "👩", "نمی", "क्", "1", "see…"]),
    st.lists(st.sampled_from("\u200c\u200d\ufe0e\ufe0f"), min_size=3, max_size=60).map("".join),
    any_texts,
)
def test_of_a_row_of_joiners_and_selectors_two_at_the_most_are_ordinary(before, hidden, behind):
    folded = fold(before + hidden + behind)
    assert INVISIBLE in folded.flags
    text = before + hidden + behind
    assert folded.obfuscation >= (len(hidden) - 2) / len(text) - 1e-9


def test_letters_of_other_alphabets_are_folded_and_said():
    folded = fold("𝓯𝓻𝓮𝓮 ⓕⓡⓔⓔ ｆｒｅｅ")
    assert folded.text == "free free free"
    assert folded.flags == (STYLED,)


def test_a_flood_of_marks_is_thinned_and_said():
    text = "z" + "\u0335" * 500 + "algo"
    assert fold(text).flags == (FLOOD,)
    assert fold(text).text.count("\u0335") == MARKS_MAX
    assert not digest_form(text).is_whole


def test_marks_that_would_have_to_be_sorted_for_seconds_are_cut_first():
    # Alternating classes are the worst case of canonical ordering: quadratic, 1 s for 32,000 of them.
    for pair in ("\u0323\u0301", "\uff9e\u0301", "\u0f73\u0f71"):
        text = "a" + pair[::-1] * 16_000
        assert len(fold(text).text) <= MARKS_MAX * 2 + 1


@pytest.mark.parametrize("place", range(2 * MARKS_MAX))
def test_the_shortest_flood_is_found_at_any_place(place):
    assert fold("x" * place + "\u0301" * (MARKS_MAX + 1) + "x" * 9).flags == (FLOOD,)


@given(st.integers(MARKS_MAX + 1, 200), any_texts, any_texts)
def test_a_flood_is_found_wherever_it_stands(length, before, behind):
    assert FLOOD in fold(before + "\u0301" * length + behind).flags


def folding(text):
    return TracedText(text, lambda piece: fold(piece).text)


@given(any_texts)
def test_the_traced_form_is_the_folded_form(text):
    assert folding(text).formed == fold(text).text


@given(any_texts, st.data())
def test_a_span_of_the_folded_text_leads_back_to_what_folds_to_it(text, data):
    traced = folding(text)
    start = data.draw(st.integers(0, len(traced.formed)))
    end = data.draw(st.integers(start, len(traced.formed)))
    first, last = traced.original((start, end))
    assert 0 <= first <= last <= len(text)
    assert traced.formed[start:end] in fold(text[first:last]).text


def test_a_span_leaves_out_what_is_not_part_of_it():
    text = "\u200bso ﬁne \u200bＣＡＦＥ\u0301 here"
    traced = folding(text)
    start = traced.formed.index("café")
    first, last = traced.original((start, start + 4))
    assert text[first:last] == "ＣＡＦＥ\u0301"

"""The forms in which evasion is undone: how long they get, what they keep, where their parts came from."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.core.evasion import base_of, words_of
from streams.core.forms import DISGUISED, FORM_NAMES, Forms
from streams.core.lookalikes import GONE, JOINED, PLAIN, SEEN
from streams.core.matching import Terms, needles
from streams.core.normalise import GROWTH_MAX
from streams.core.signs import NONE, signs_in
from streams.core.tables import DISTINCT_MAX, read_by

# What evasion is made of, and what it is not: all of it together, close to each other.
AWKWARD = "aAbilLI1|!0@$34 .-_\u0336\u0301éßﬁϲϹаеоСсНкяЯαηΩ漢字かगเ\u200b\u200d🅰🇸ᴀʙ①Ⅷ𝓯ｆ,;'’\n\t²½ﷺ\U000e0061"
awkward_texts = st.text(st.sampled_from(AWKWARD), max_size=40)
any_texts = st.text(max_size=60) | awkward_texts
words = st.sampled_from(
    ["free", "buy", "all", "good", "casino", "купить", "naïve", "u.s.a.", "buy now", "免費", "4chan"]
)


@given(any_texts)
@example("")
def test_no_form_has_more_than_four_times_the_characters_and_two_blanks(text):
    forms = Forms(text)
    for form in FORM_NAMES:
        assert len(forms.text_of(form) or "") <= GROWTH_MAX * len(text) + 2


@given(any_texts)
def test_both_readings_go_character_by_character(text):
    plain, seen = words_of(base_of(text))
    assert [len(word) for word in plain] == [len(word) for word in seen]


@given(any_texts)
@example("\u0190\u024a\u2c7e\u2c7f")
def test_reading_twice_is_reading_once(text):
    """What a letter is seen as may differ with its case: Greek's small sigma is seen as `o`."""
    plain = read_by(PLAIN, base_of(text))
    assert read_by(PLAIN, plain) == plain
    seen = read_by(SEEN, plain)
    assert read_by(SEEN, seen) == seen


@given(st.text(st.characters(), max_size=200) | any_texts)
def test_a_text_is_read_alike_by_whichever_way_is_faster(text):
    for table in (PLAIN, SEEN):
        assert read_by(table, text) == text.translate(table)
    assert len({*text}) <= 200 > DISTINCT_MAX


@given(any_texts)
def test_no_mark_of_ours_is_left_in_a_form(text):
    for form in FORM_NAMES:
        made = Forms(text).text_of(form) or ""
        assert GONE not in made
        assert JOINED not in made


@given(any_texts)
def test_a_text_without_signs_has_nothing_undone(text):
    forms = Forms(text)
    if signs_in(forms.folded.text) == NONE:
        assert forms.undone is None
        assert forms.flags == forms.folded.flags
    assert 0.0 <= forms.obfuscation <= 1.0
    assert (forms.obfuscation > 0) == bool(forms.flags)


@given(any_texts, words, any_texts, st.booleans())
def test_a_place_leads_back_to_where_its_term_is_found_again(before, word, behind, whole_words):
    terms = Terms((needle, 0) for needle in needles(word, whole_words=whole_words, evasion=True))
    text = f"{before} {word} {behind}"
    forms = Forms(text)
    places = list(terms.places(forms))
    assert bool(places) == bool(terms.owners_in(forms))
    for place in places:
        start, end = forms.span(place.form, place.start, place.end)
        assert 0 <= start < end <= len(text)


@pytest.mark.parametrize(
    ("word", "text", "covered"),
    [
        ("free", "get FR33 now", "FR33"),
        ("free", "get it f r e e now", "f r e e"),
        ("free", "it's f.r.e.e!", "f.r.e.e"),
        ("free", "so freeeeee", "freeeeee"),
        ("free", "\u200bfrее\u200b!", "frее"),
        ("buy now", "oh bυy n0w!", "bυy n0w"),
        ("casino", "the ϹΑSΙΝΟ", "ϹΑSΙΝΟ"),
        ("free", "x f\u0336r\u0336e\u0336e\u0336 x", "f\u0336r\u0336e\u0336e\u0336"),
        ("купить", "хочу kупить", "kупить"),
        ("免費", "現在 免.費.送", "免.費.送"),
    ],
)
def test_a_hidden_word_is_found_and_its_span_covers_it(word, text, covered):
    terms = Terms((needle, 0) for needle in needles(word, evasion=True))
    forms = Forms(text)
    spans = [forms.span(place.form, place.start, place.end) for place in terms.places(forms)]
    assert covered in [text[start:end].strip("\u200b") for start, end in spans]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("ass", "455"),
        ("ass", "an A5 page"),
        ("god", "good"),
        ("all", "ail"),
        ("cop", "Куда сор несёшь"),
        ("sex", "echo $exit"),
        ("all", "me@lists.example"),
        ("see", "base32"),
        ("ill", "Miller"),
        ("abc", "aabc"),
        ("ano", "año"),
        ("boo", "0x8000000b00"),
    ],
)
def test_ordinary_text_is_no_disguise(word, text):
    for whole_words in (True, False):
        plain = Terms((needle, 0) for needle in needles(word, whole_words=whole_words))
        terms = Terms((needle, 0) for needle in needles(word, whole_words=whole_words, evasion=True))
        assert terms.owners_in(Forms(text)) == plain.owners_in(Forms(text))


@pytest.mark.parametrize("text", ["fr33 s3x", "f r e e", "frее", "s̶e̶x", "ꜰʀᴇᴇ"])
def test_a_text_that_hides_words_says_so(text):
    assert DISGUISED in Forms(text).flags
    assert Forms(text).obfuscation > 0


@pytest.mark.parametrize(
    "text",
    [
        "mp3 and h264 for $5!",
        "Привет, как дела?",
        "Τι κάνεις;",
        "naïve Straße, Łódź",
        "xxx@example.com",
        "sooo good",
        "50°C",
    ],
)
def test_ordinary_languages_numbers_and_addresses_hide_nothing(text):
    assert Forms(text).flags == ()
    assert Forms(text).obfuscation == 0


def test_unicodes_confusables_of_a_letter_are_seen_as_it():
    seen = {char: read_by(SEEN, char) for char in "аеорсухіѕјԁһΑΒΕΖΗΙΚΜΝΟΡΤΧαορν"}
    assert "".join(seen.values()).isascii()
    assert re.fullmatch("[a-z]+", "".join(seen.values()))

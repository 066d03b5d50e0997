"""What is looked up of drawn-out letters is what counting them letter by letter says."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from streams.core.drawn_out import DRAWN_OUT_MIN, DrawnOut
from streams.core.lookalikes import one_symbol

WORDS = st.lists(st.text("abil", min_size=1, max_size=12), min_size=1, max_size=5)


def rows_of(word):
    """How often each symbol of a word is repeated, and how often at most one letter of it."""
    rows, at = [], 0
    for _, row in groupby(one_symbol(word)):
        length = sum(1 for _ in row)
        rows.append((length, max(sum(1 for _ in same) for _, same in groupby(word[at : at + length]))))
        at += length
    return rows


def counted(words):
    """Of each letter of the squeezed text: its row, its longest row of one letter, if its word is doubled."""
    letters = [(1, 1, False)]
    for word in words:
        rows = rows_of(word)
        doubled = len(rows) > 1 and all(longest > 1 for _, longest in rows)
        letters += [*((row, longest, doubled) for row, longest in rows), (1, 1, False)]
    return letters


def is_drawn_out(letters, spelt):
    fits = [
        longest >= max(DRAWN_OUT_MIN, as_spelt) or doubled
        for (_, longest, doubled), as_spelt in zip(letters, spelt, strict=True)
    ]
    differs = [row != as_spelt for (row, _, _), as_spelt in zip(letters, spelt, strict=True)]
    return any(differs) and all(fit for fit, differ in zip(fits, differs, strict=True) if differ)


@given(words=WORDS, data=st.data())
def test_a_look_says_what_counting_letter_by_letter_says(words, data):
    drawn_out = DrawnOut(f" {' '.join(words)} ")
    start = data.draw(st.integers(0, len(drawn_out.text) - 1))
    end = data.draw(st.integers(start + 1, len(drawn_out.text)))
    spelt = [
        1 if letter == " " else data.draw(st.integers(1, 4), label=letter)
        for letter in drawn_out.text[start:end]
    ]
    spelled = "".join(letter * times for letter, times in zip(drawn_out.text[start:end], spelt, strict=True))
    expected = is_drawn_out(counted(words)[start:end], spelt)
    assert drawn_out.is_at(start, end, spelled) == expected
    assert drawn_out.is_at(start, end, spelled) == expected, "asked again, it says the same"


@given(words=WORDS, data=st.data())
def test_a_place_in_the_squeezed_text_leads_back(words, data):
    read = f" {' '.join(words)} "
    drawn_out = DrawnOut(read)
    start = data.draw(st.integers(0, len(drawn_out.text) - 1))
    end = data.draw(st.integers(start + 1, len(drawn_out.text)))
    first, last = drawn_out.unsqueezed(start, end)
    assert DrawnOut(read[first:last]).text == drawn_out.text[start:end]


def test_a_row_longer_than_a_byte_counts_is_drawn_out():
    assert DrawnOut(f" fr{'e' * 1_000} ").is_at(0, 5, " free ")


def test_a_row_of_two_letters_that_look_alike_is_not_drawn_out():
    assert not DrawnOut(" kil1 ".replace("1", "i")).is_at(0, 4, " kill ")
    assert DrawnOut(" kiii ").is_at(0, 4, " kii ")


def test_several_blanks_are_as_one():
    assert DrawnOut(" freee   mooon ").is_at(0, 9, " free moon ")
    assert not DrawnOut(" freee   mon ").is_at(0, 9, " free moon ")
    assert not DrawnOut(" fre   mon ").is_at(0, 9, " free moon ")

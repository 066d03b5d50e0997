"""What covers a disguise is told by looking it up, as comparing character by character tells it."""

from __future__ import annotations

import re
from itertools import compress, count
from operator import ne

from hypothesis import given
from hypothesis import strategies as st

from streams.core.evasion import Undone, Words, base_of, words_of
from streams.core.lookalikes import GONE
from streams.core.signs import NONE

PLACES = st.integers(0, 30)


def covers_disguise(words, evaded, start, end, spelled):
    """By the definition: each word's part at a place, compared character by character."""
    plain, seen = words
    at = 1
    for number, word in enumerate(evaded):
        first, last = max(0, start - at), min(len(word), end - at)
        at += len(word) + 1
        if first < last and plain[number] != seen[number]:
            if GONE in seen[number]:
                return True
            if spelled.startswith(" ") or last - first == len(word):
                if plain[number][first:last] != seen[number][first:last]:
                    return True
            elif not re.fullmatch("[^@]{2,}@[^@]{2,}", plain[number]):
                signs = "0123456789@$!|"
                begins = len(plain[number]) - len(plain[number].lstrip(signs))
                ends = len(plain[number].rstrip(signs))
                differing = sum(
                    plain[number][one] != seen[number][one]
                    for one in range(max(first, begins), min(last, ends))
                )
                if 0 < differing <= (last - first) / 2:
                    return True
    return False


@given(text=st.text("ails15@$. \u0336\u0430\u0441", min_size=1, max_size=30), data=st.data())
def test_a_look_at_a_place_says_what_comparing_it_character_by_character_says(text, data):
    words = words_of(base_of(text))
    undone = Undone(words, list(compress(count(), map(ne, *words))), NONE)
    start = data.draw(st.integers(0, len(undone.evaded.text) - 1))
    end = data.draw(st.integers(start + 1, len(undone.evaded.text)))
    # What was looked at before makes no difference.
    undone.is_in_disguise(*sorted(data.draw(st.tuples(PLACES, PLACES))), "a")
    found = undone.evaded.text[start:end]
    assert undone.is_in_disguise(start, end, found) == covers_disguise(
        words, undone.evaded.words, start, end, found
    )


def test_a_word_of_marks_alone_does_not_hide_what_stands_behind_it():
    words = Words(["a", "\u0336\u0336", "k", "fr33"], ["a", GONE * 2, "k", "free"])
    undone = Undone(words, [1, 3], NONE)
    start = undone.squeezed.text.index("fre")
    assert undone.word_numbers("squeezed", start, start + 3) == [3]

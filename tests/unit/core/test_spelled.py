"""Terms that would lose what they mean as whole words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.forms import Forms
from streams.core.matching import Terms, needles
from streams.core.spelled import words_without_signs


@pytest.mark.parametrize(
    ("term", "left"),
    [
        ("a$$", "a"),
        ("@ss", "ss"),
        ("＠ss", "ss"),
        ("f**k", "f k"),
        ("f*ck", "f ck"),
        ("$hit", "hit"),
        ("sh!t", "sh t"),
        ("a$$hole", "a hole"),
        ("c++", "c"),
        ("C#", "c"),
        ("18+", "18"),
        ("a.", "a"),
        ("£100", "100"),
        ("🍆 pic", "pic"),
    ],
)
def test_a_term_that_is_another_word_without_its_signs_is_known(term, left):
    assert words_without_signs(term) == left


@pytest.mark.parametrize(
    "term",
    [
        "buy now",
        "buy-now!",
        "buy  now",
        "e-mail",
        "don't",
        "a.k.a.",
        "U.S.A.",
        "#metoo",
        "no!",
        "24/7",
        "法轮·功",
        "a",
    ],
)
def test_a_term_that_says_the_same_without_its_signs_stays(term):
    assert words_without_signs(term) == ""


@given(st.text("ab1 $@*!+#.-'", min_size=1, max_size=8))
def test_no_term_that_stays_finds_a_plain_letter_where_it_has_a_sign_for_one(term):
    wanted = needles(term)
    if not wanted or words_without_signs(term) or term.strip() in {"a", "b", "1"}:
        return
    found = Terms((needle, 0) for needle in wanted)
    assert not any(found.owners_in(Forms(text)) for text in ("a", "b", "1"))

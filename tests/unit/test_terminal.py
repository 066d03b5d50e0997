"""What a stranger wrote cannot steer a terminal, hide in it, or look like something else."""

from __future__ import annotations

import ast
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.terminal import fit, safe, visible

ANY_TEXT = st.text(st.characters())  # Surrogates, too.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, (even) 100 %!", "plain text, (even) 100 %!"),
        ("Grüße, 你好, שלום", "Grüße, 你好, שלום"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202egpj.exe", "user\\u202egpj.exe"),
        ("zero\u200bwidth\u2060", "zero\\u200bwidth\\u2060"),
        ("\ufeff\u3164\ufe0f", "\\ufeff\\u3164\\ufe0f"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("C:\\x1b", "C:\\\\x1b"),
        ("a\u2028b\x85", "a\\u2028b\\x85"),
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "\\u0301\\u0301"),
    ],
)
def test_a_text_is_shown_so(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(ANY_TEXT)
def test_nothing_but_visible_characters_and_blanks_is_left(text: str) -> None:
    shown = safe(text)
    assert shown.isprintable()
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(ANY_TEXT)
def test_what_is_only_made_visible_differs_in_backslashes_alone(text: str) -> None:
    assert visible(text).isprintable()
    assert visible(text.replace("\\", "")) == safe(text.replace("\\", ""))
    assert visible("C:\\x " + text).startswith("C:\\x ")


@given(ANY_TEXT)
def test_two_texts_never_look_the_same(text: str) -> None:
    literal = safe(text).replace('"', '\\"')
    assert ast.literal_eval(f'"{literal}"') == text


@given(st.text(st.characters(codec="utf-8")), st.integers(0, 30))
def test_a_fitted_text_takes_no_more_columns_than_there_are(text: str, columns: int) -> None:
    fitted = fit(safe(text), columns)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in fitted)
    marks = sum(unicodedata.combining(char) > 0 for char in fitted)
    assert len(fitted) - marks + wide <= columns
    assert fitted == safe(text) or fitted.endswith("…") or columns == 0

"""How faults are written and drawn: strictly, with a sentence for each mistake, and at the rates given."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.nodes.reference.faults import (
    BadFault,
    Delay,
    Drop,
    Garble,
    Hang,
    Huge,
    Status,
    draw,
    parse_fault,
    parse_rates,
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("status_503", Status(503)),
        (" delay_250 ", Delay(250)),
        ("hang", Hang()),
        ("drop", Drop(is_midway=False)),
        ("drop_midway", Drop(is_midway=True)),
        ("not_json", Garble("not_json")),
        ("truncated", Garble("truncated")),
        ("unknown_label", Garble("unknown_label")),
        ("huge_16", Huge(16)),
    ],
)
def test_every_fault_has_a_name(text, fault):
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no fault"),
        ("status", "no fault"),
        ("status=503", "no fault"),
        ("status_200", "from 400 to 599"),
        ("status_٥٠٣", "from 400 to 599"),
        ("delay_-5", "from 1 to"),
        ("delay_1e3", "from 1 to"),
        ("delay_" + "9" * 40, "from 1 to"),
        ("hang_5", "no fault"),
        ("HANG", "no fault"),
    ],
)
def test_a_fault_that_cannot_be_read_is_told_in_a_sentence(text, says):
    with pytest.raises(BadFault, match=says):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hang", "needs a rate"),
        ("hang=", "from 0 to 1"),
        ("hang=often", "from 0 to 1"),
        ("hang=1.5", "from 0 to 1"),
        ("hang=nan", "from 0 to 1"),
        ("hang=0.6,drop=0.6", "add up to 1.2"),
        ("hang=0.1,,drop=0.1", "needs a rate"),
        ("quux=0.1", "no fault"),
    ],
)
def test_rates_that_cannot_be_read_are_told_in_a_sentence(text, says):
    with pytest.raises(BadFault, match=says):
        parse_rates(text)


def test_no_faults_are_written_as_nothing():
    assert parse_rates("") == parse_rates("  ") == ()


def test_faults_are_drawn_at_their_rates():
    rates = parse_rates("status_503=0.1,hang=0.3")
    chance = random.Random(7)
    drawn = Counter(draw(rates, chance.random()) for _ in range(10_000))
    assert abs(drawn[Status(503)] - 1_000) < 150
    assert abs(drawn[Hang()] - 3_000) < 250
    assert drawn.total() == 10_000


@given(st.text(max_size=60))
def test_no_text_makes_the_parsers_raise_anything_else(text):
    for parse in (parse_fault, parse_rates):
        told = ""
        try:
            parse(text)
        except BadFault as error:
            told = str(error)
        assert not told or told.isprintable()

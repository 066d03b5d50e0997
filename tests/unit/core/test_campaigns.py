"""Campaigns: counted by the records' time, told once a step, for many authors only, within bounds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import SOURCE, VERDICT

from schemas.event import Moderate
from schemas.wire import decode_campaign, encode
from streams.core.campaigns import CampaignBounds, CampaignMeter, Growth, campaign_of
from streams.core.judging import Case

WINDOW_MS = 4_000
BOUNDS = CampaignBounds(copies_min=10, authors_min=3, window_ms=WINDOW_MS, texts_max=100)
TEXT = "1" * 32


def sent(
    copies: int,
    *,
    authors: int = 1_000_000,
    every_ms: int = 1,
    begin_ms: int = 0,
    meter: CampaignMeter | None = None,
    bounds: CampaignBounds = BOUNDS,
) -> list[Growth]:
    """What was told of so many copies, written by so many in turn."""
    meter = meter or CampaignMeter()
    told = (
        meter.count(TEXT, f"author-{number % authors}", begin_ms + number * every_ms, bounds)
        for number in range(copies)
    )
    return [growth for growth in told if growth is not None]


def test_below_the_threshold_nothing_is_told():
    assert sent(9) == []


def test_the_threshold_and_each_doubling_are_told_once():
    told = sent(1_000)
    assert [(growth.step, growth.copies) for growth in told] == [
        *((1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 640))
    ]
    assert [(growth.first_seen_ms, growth.last_seen_ms) for growth in told[:2]] == [(0, 9), (0, 19)]


def test_one_author_who_repeats_a_text_is_no_campaign():
    assert sent(1_000, authors=2) == []


def test_the_step_is_told_as_soon_as_there_are_enough_authors():
    meter = CampaignMeter()
    assert sent(50, authors=2, meter=meter) == []
    assert meter.count(TEXT, "a third one", 50, BOUNDS) == Growth(3, 51, 3, 0, 50)


def test_a_flood_of_one_author_costs_no_more_than_counting():
    """3 us a copy; to count the authors again with each takes twenty times that."""
    began_s = time.process_time()
    assert sent(20_000, authors=1, every_ms=0) == []
    assert time.process_time() - began_s < 0.6


def test_those_without_a_name_are_one_author():
    meter = CampaignMeter()
    assert [meter.count(TEXT, "", at_ms, BOUNDS) for at_ms in range(100)] == [None] * 100


@pytest.mark.parametrize("authors", [3, 10, 50, 200, 1_000, 20_000])
def test_authors_are_estimated_within_a_fifth(authors):
    """Three times the sketch's 6.5 %; the hashes are the same in each run."""
    bounds = BOUNDS._replace(copies_min=2 * authors, window_ms=1_000_000)
    (growth,) = sent(2 * authors, authors=authors, bounds=bounds)
    assert growth.authors_estimated == pytest.approx(authors, rel=0.2, abs=0.5)


def test_copies_that_come_slowly_are_no_campaign():
    """At most a window and one pane of it are counted: ten and a quarter of that."""
    assert sent(10_000, every_ms=WINDOW_MS // 7) == []
    assert sent(10_000, every_ms=WINDOW_MS // 11)


def test_after_a_quiet_window_a_campaign_begins_anew():
    meter = CampaignMeter()
    assert [growth.step for growth in sent(20, meter=meter)] == [1, 2]
    again = sent(20, meter=meter, begin_ms=20 + WINDOW_MS)
    assert [growth.step for growth in again] == [1, 2]
    assert again[0].first_seen_ms == 20 + WINDOW_MS


def test_while_it_goes_on_no_step_is_told_twice():
    meter = CampaignMeter()
    told = sent(5_000, every_ms=WINDOW_MS // 50, meter=meter)
    assert [growth.step for growth in told] == [1, 2, 3]


def test_what_is_older_than_the_window_is_too_late():
    meter = CampaignMeter()
    sent(9, meter=meter, begin_ms=100_000)
    assert [meter.count(TEXT, f"late-{n}", 0, BOUNDS) for n in range(50)] == [None] * 50
    assert meter.count(TEXT, "in time", 100_010, BOUNDS) == Growth(1, 10, 10, 100_000, 100_010)


def test_another_window_counts_anew():
    meter = CampaignMeter()
    sent(9, meter=meter)
    wider = BOUNDS._replace(window_ms=100 * WINDOW_MS)
    assert sent(9, meter=meter, begin_ms=9, bounds=wider) == []
    assert len(sent(1, meter=meter, begin_ms=18, bounds=wider)) == 1


def test_the_text_that_was_quiet_for_the_longest_time_is_forgotten():
    meter = CampaignMeter()
    sent(9, meter=meter)
    for number in range(99):
        meter.count(f"{number:032}", "a", 9, BOUNDS)
    assert len(sent(1, meter=meter, begin_ms=9)) == 1
    for number in range(100):
        meter.count(f"{number:032}", "a", 9, BOUNDS)
    assert repr(meter) == "<CampaignMeter 100 texts>"
    assert sent(9, meter=meter, begin_ms=10) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.integers(-1, 12_000)), max_size=120))
def test_every_step_is_reached_by_as_many_copies_as_it_says(copies):
    meter, bounds = CampaignMeter(), BOUNDS._replace(copies_min=3, authors_min=2)
    seen: dict[str, int] = {}
    for text, author, at_ms in copies:
        digest = f"{text:032}"
        seen[digest] = seen.get(digest, 0) + 1
        growth = meter.count(digest, f"author-{author}", at_ms, bounds)
        if growth is not None:
            assert 3 * 2 ** (growth.step - 1) <= growth.copies <= seen[digest]
            assert 2 <= growth.authors_estimated <= 9
            assert growth.first_seen_ms <= growth.last_seen_ms


def test_a_campaign_tells_nothing_of_the_text_or_of_who_wrote_it():
    event = Moderate(v=1, id="post-secret", tenant="forum", author="ann-secret", text="words-secret")
    case = Case(event, TEXT, "low", SOURCE, VERDICT.policy)
    campaign = campaign_of(case, Growth(2, 25, 7, -1, 90))
    assert decode_campaign(encode(campaign)) == campaign
    assert b"secret" not in encode(campaign)
    assert (campaign.tenant, campaign.kind, campaign.step, campaign.copies) == ("forum", "moderate", 2, 25)
    assert (campaign.first_seen_ms, campaign.last_seen_ms) == (0, 90)

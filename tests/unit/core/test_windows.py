"""Long content in windows: nothing is left out unsaid, and what fits is shown whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import AnalyzeUser, HealthCheck, Moderate, ReviewBan, Scan
from schemas.verdict import Result, ScoredLabel
from streams.core.answers import Judgement
from streams.core.windows import (
    ENVELOPE_TOKENS,
    WINDOW_BYTES_MIN,
    WINDOWS_MAX,
    views_of,
    window_bytes,
    worst_of,
)

ROOM = WINDOW_BYTES_MIN
texts = st.text(st.characters(codec="utf-8"), max_size=40).map(lambda text: (text or "x") * 60)
draws = st.floats(0, 1, exclude_max=True)


def post(text: str) -> Moderate:
    return Moderate(v=1, id="1", text=text)


@given(texts, draws)
def test_no_window_is_too_long_and_each_is_a_piece_of_the_text(text, draw):
    views = views_of(post(text), ROOM, draw)
    assert 1 <= len(views.events) <= WINDOWS_MAX
    for event in views.events:
        assert len(event.text.encode()) <= ROOM
        assert event.text in text


@given(texts, draws)
def test_the_coverage_is_the_share_of_the_text_that_is_shown(text, draw):
    size = len(text.encode())
    views = views_of(post(text), ROOM, draw)
    assert 0 < views.coverage <= 1
    shown = sum(len(event.text.encode()) for event in views.events)
    assert views.coverage * size <= shown + 1
    if size <= ROOM:
        assert (views.events, views.coverage) == ((post(text),), 1.0)


@pytest.mark.parametrize("length", [ROOM + 1, 2 * ROOM, 2 * ROOM + 1, 3 * ROOM])
def test_up_to_three_windows_everything_is_shown(length):
    assert views_of(post("x" * length), ROOM, 0.5).coverage == 1.0


def test_beyond_that_head_and_tail_are_shown_and_a_middle_that_chance_places():
    text = "".join(f"{number:05}" for number in range(2_000))
    seen = set()
    for step in range(100):
        head, middle, tail = (event.text for event in views_of(post(text), ROOM, step / 100).events)
        assert (text.startswith(head), text.endswith(tail)) == (True, True)
        place = text.index(middle)
        assert ROOM <= place <= len(text) - 2 * ROOM
        seen.update(range(place, place + ROOM))
    # No place in the middle is safe to hide in.
    assert seen >= set(range(ROOM, len(text) - ROOM - 100))


def test_what_stands_around_a_post_takes_its_room():
    event = Scan(v=1, id="1", text="x" * 900, context={"title": "t" * 300})
    assert len(views_of(event, 1_000, 0.0).events) == 2


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (ReviewBan(v=1, id="1", account="a", ground="g", evidence=tuple("abcdefgh" * 20)), "evidence"),
        (AnalyzeUser(v=1, id="1", account="a", posts=tuple(f"{n:03}" * 30 for n in range(100))), "posts"),
        (HealthCheck(v=1, id="1", samples=("x" * 5_000, "short", "y" * 5_000)), "samples"),
    ],
)
@given(draw=draws)
def test_of_many_texts_as_many_are_shown_as_fit_in_their_order(event, field, draw):
    (shown,), coverage = views_of(event, ROOM, draw)
    texts = getattr(shown, field)
    whole = getattr(event, field)
    assert sum(len(text.encode()) for text in texts) <= ROOM
    assert texts
    assert coverage == pytest.approx(sum(map(len, texts)) / sum(map(len, whole)), abs=1e-4)
    places = iter(whole)
    assert all(any(place.startswith(text) for place in places) for text in texts)
    assert whole[0].startswith(texts[0])


def test_a_context_that_is_too_small_leaves_a_little_room_all_the_same():
    assert window_bytes(8_192, 3_000, 92) == 3 * (8_192 - 1_000 - 92 - ENVELOPE_TOKENS)
    assert window_bytes(8_192, 3_000, 92, 1) == 8_192 - 3_000 - 92 - ENVELOPE_TOKENS
    assert window_bytes(512, 30_000, 92) == WINDOW_BYTES_MIN


def label(name: str, score: float) -> ScoredLabel:
    return ScoredLabel(name=name, score=score)


def test_the_worst_window_is_the_answer():
    clean = Judgement((), 0.99, mass=0.95)
    spam = Judgement((label("spam", 0.7),), 0.7, mass=0.97)
    worse = Judgement((label("hate", 0.8), label("spam", 0.9)), 0.9, mass=0.99)
    assert worst_of([clean, spam, worse]) == Judgement(
        (label("spam", 0.9), label("hate", 0.8)), 0.9, mass=0.95
    )
    assert worst_of([clean, clean._replace(confidence=0.6)]) == clean._replace(confidence=0.6)


def test_one_window_is_left_as_it_is():
    only = Judgement((), 0.7, Result(outcome="uphold"), mass=0.5)
    assert worst_of([only]) is only

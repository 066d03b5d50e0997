"""The verdict that counts has the highest `rev`, and of equal ones is the first, however the log is read."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.effective import EffectiveVerdicts
from schemas.event import Source
from schemas.verdict import PolicyRef, Timing, Verdict

SOME = Verdict(
    v=1,
    verdict_id="0" * 32,
    tenant="acme",
    id="post-1",
    content_digest="0" * 32,
    kind="moderate",
    priority="critical",
    rev=1,
    status="provisional",
    action="review",
    labels=(),
    confidence=1.0,
    decided_by="rule",
    reasons=(),
    policy=PolicyRef(id="default", version=1, digest="0" * 32),
    timing=Timing(kafka_ms=0.0, queue_ms=0.0, inference_ms=0.0, total_ms=0.0),
    attempts=0,
    coverage=1.0,
    source=Source(topic="content.critical", partition=0, offset=0, timestamp_ms=0),
    decided_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def verdict(rev: int, **fields: object) -> Verdict:
    return msgspec.structs.replace(SOME, rev=rev, **fields)


def key_of(one: Verdict) -> tuple[str, str, str]:
    return one.tenant, one.id, one.content_digest


# Few keys and few revisions, so that they meet; `run` tells one verdict of the log from another.
entries = st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from("12"), st.integers(1, 4))
logs = st.lists(entries, min_size=1, max_size=30).map(
    lambda log: [
        verdict(rev, tenant=tenant, id=event_id, content_digest=digest * 32, run=str(place))
        for place, (tenant, event_id, digest, rev) in enumerate(log)
    ]
)
# How a consumer goes through a log: so many records on, then so many back; at last, to the end.
walks = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


def read(log: list[Verdict], walk: list[tuple[int, int]]) -> list[Verdict]:
    seen, place = [], 0
    for onward, back in walk:
        stop = min(len(log), place + onward)
        seen += log[place:stop]
        place = max(0, stop - back)
    return seen + log[place:]


@given(logs, walks)
def test_reading_parts_of_the_log_again_gives_the_same_answer(log, walk):
    first_of_highest = {}
    for one in log:
        if key_of(one) not in first_of_highest or one.rev > first_of_highest[key_of(one)].rev:
            first_of_highest[key_of(one)] = one

    effective, table = EffectiveVerdicts(), {}
    for one in read(log, walk):
        if effective.add(one):
            table[key_of(one)] = one

    assert table == first_of_highest


@given(logs, walks)
def test_no_verdict_takes_effect_twice(log, walk):
    effective = EffectiveVerdicts()
    told = [one.run for one in read(log, walk) if effective.add(one)]
    assert told
    assert len(told) == len(set(told))


@given(logs, st.integers(1, 3))
def test_it_never_knows_more_keys_than_it_may(log, keys_max):
    effective = EffectiveVerdicts(keys_max)
    for one in log:
        effective.add(one)
        assert len(effective) <= keys_max
    assert len(effective) == min(keys_max, len({key_of(one) for one in log}))


def test_a_higher_revision_counts_and_a_lower_one_that_comes_late_does_not():
    effective = EffectiveVerdicts()
    answers = [effective.add(verdict(rev)) for rev in (1, 2, 1, 2, 5, 3)]
    assert answers == [True, True, False, False, True, False]


def test_an_edited_text_is_another_judgement_under_the_same_id():
    effective = EffectiveVerdicts()
    assert effective.add(verdict(2))
    assert effective.add(verdict(1, content_digest="1" * 32))


def test_what_was_not_seen_for_longest_is_forgotten_first():
    effective = EffectiveVerdicts(keys_max=2)
    for event_id in ("a", "b", "a", "c"):
        effective.add(verdict(1, id=event_id))
    assert not effective.add(verdict(1, id="a"))
    assert effective.add(verdict(1, id="b"))


def test_it_says_how_full_it_is():
    effective = EffectiveVerdicts(keys_max=5)
    effective.add(verdict(1))
    assert repr(effective) == "<EffectiveVerdicts [1 of at most 5 keys]>"


def test_room_for_no_key_is_refused():
    with pytest.raises(ValueError, match="keys_max must be at least 1"):
        EffectiveVerdicts(keys_max=0)

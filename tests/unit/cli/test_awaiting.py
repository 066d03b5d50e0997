"""`send --wait` takes the answers to what it sent, and no others."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from samples import LETTER, SOURCE, VERDICT

from infra.awaiting import Awaited, Place

HERE = Place("content.critical", 3, 10)


def _awaited() -> Awaited:
    awaited = Awaited()
    awaited.expect("forum", "post", HERE)
    return awaited


def test_the_verdict_on_the_sent_event_is_taken_once() -> None:
    awaited = _awaited()
    assert awaited.take(VERDICT)
    assert len(awaited) == 0
    assert not awaited.take(VERDICT)


def test_a_dead_letter_is_an_answer_too_by_the_event_that_it_began_with() -> None:
    assert _awaited().take(LETTER)


def test_an_answer_to_an_earlier_post_under_the_same_id_is_not_taken() -> None:
    awaited = _awaited()
    assert not awaited.take(replace(VERDICT, source=replace(SOURCE, offset=9)))
    assert awaited.ids == ["post"]


def test_neither_another_tenants_nor_another_events_verdict_is_taken() -> None:
    awaited = _awaited()
    assert not awaited.take(replace(VERDICT, tenant="shop"))
    assert not awaited.take(replace(VERDICT, id="other"))


def test_after_a_provisional_verdict_the_final_one_is_awaited() -> None:
    awaited = _awaited()
    assert not awaited.take(replace(VERDICT, status="provisional", rev=1))
    assert awaited.take(VERDICT)


@given(st.permutations([10, 11, 12]))
def test_two_versions_of_a_post_under_one_id_are_each_answered_in_whatever_order(order: list[int]) -> None:
    awaited = Awaited()
    for offset in (10, 11, 12):
        awaited.expect("forum", "post", HERE._replace(offset=offset))
    assert len(awaited) == 3
    for left, offset in zip((2, 1, 0), order, strict=True):
        assert awaited.take(replace(VERDICT, source=replace(SOURCE, offset=offset)))
        assert awaited.ids == ["post"] * left
        assert not (left and awaited.take(replace(VERDICT, source=replace(SOURCE, offset=9))))


@given(st.permutations([*range(8), *range(8)]))
def test_each_sent_event_gets_exactly_one_answer_in_whatever_order_they_come(order: list[int]) -> None:
    awaited, offsets = Awaited(), count(100)
    places = {f"post-{number}": Place("content.critical", 0, next(offsets)) for number in range(8)}
    for event_id, place in places.items():
        awaited.expect("forum", event_id, place)
    taken = [
        number
        for number in order
        if awaited.take(
            replace(
                VERDICT,
                id=f"post-{number}",
                source=replace(SOURCE, partition=0, offset=places[f"post-{number}"].offset),
            )
        )
    ]
    assert sorted(taken) == [*range(8)]
    assert len(awaited) == 0

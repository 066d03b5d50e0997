"""Refusals are told once of each topic and error, and once when the last refused record has passed."""

from __future__ import annotations

from streams.core.refusals import Refusals

TOLD = "Kafka does not take what goes to verdicts ({}); it is tried again and again"


def test_each_error_of_a_topic_is_told_once_however_often_it_comes():
    refusals = Refusals()
    told = [refusals.refused("verdicts", "GONE", is_first=at < 3) for at in range(1_000)]
    assert told == [TOLD.format("GONE"), *[""] * 999]
    assert refusals.refused("verdicts", "LATE", is_first=False) == TOLD.format("LATE")
    assert "dead-letters" in refusals.refused("dead-letters", "GONE", is_first=True)
    assert repr(refusals) == "<Refusals 1 for dead-letters, 3 for verdicts>"


def test_that_a_topic_is_taken_again_is_told_when_its_last_record_has_passed():
    refusals = Refusals()
    for _ in range(2):
        refusals.refused("verdicts", "GONE", is_first=True)
    refusals.refused("dead-letters", "GONE", is_first=True)
    passed = [refusals.ended("verdicts") for _ in range(2)]
    assert passed == ["", "Kafka takes what goes to verdicts again"]
    assert repr(refusals) == "<Refusals 1 for dead-letters>"


def test_what_is_refused_after_that_is_told_anew():
    refusals = Refusals()
    for _ in range(3):
        assert refusals.refused("verdicts", "GONE", is_first=True) == TOLD.format("GONE")
        assert refusals.ended("verdicts")
    assert repr(refusals) == "<Refusals none>"

"""That Kafka takes nothing is told once, and once that it does again."""

from __future__ import annotations

from infra.load.taking import SILENT_MS_MAX, Taking


def test_silence_is_told_once_and_its_end_once_with_what_was_lost() -> None:
    taking = Taking(0)
    told = [taking.look(now, confirmed=5, lost=0, under_way=9) for now in range(0, 60_000, 1_000)]
    assert [at for at, sentence in enumerate(told) if sentence] == [SILENT_MS_MAX / 1_000]
    assert not taking.is_taking
    # Everything under way was given up: Kafka is not back for that.
    assert not taking.look(61_000, confirmed=5, lost=9, under_way=0)
    assert not taking.is_taking
    assert "not sent so far: 9" in taking.look(62_000, confirmed=6, lost=9, under_way=0)
    assert taking.is_taking
    assert not taking.look(63_000, confirmed=7, lost=9, under_way=0)


def test_who_sends_nothing_waits_for_nothing() -> None:
    taking = Taking(0)
    assert not any(taking.look(now, confirmed=0, lost=0, under_way=0) for now in range(0, 60_000, 1_000))
    # The silence counts from the first that is under way.
    assert not taking.look(60_000, confirmed=0, lost=0, under_way=1)
    assert taking.look(59_000 + SILENT_MS_MAX, confirmed=0, lost=0, under_way=1)

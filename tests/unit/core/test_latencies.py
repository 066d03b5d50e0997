"""Latencies answers: what is old keeps nobody from asking, and a few say nothing of the slowest."""

from __future__ import annotations

from streams.core.latencies import FRESH_MS, Latencies


def test_the_fastest_of_late_is_known_and_forgotten():
    recent = Latencies()
    recent.answered(0.0, 50.0)
    recent.answered(FRESH_MS, 200.0)
    assert recent.fastest_ms(FRESH_MS) == 50.0
    assert recent.fastest_ms(FRESH_MS + 1) == 200.0
    assert recent.fastest_ms(3 * FRESH_MS) == 0.0


def test_what_19_of_20_answers_took_is_known_from_eight_on():
    recent = Latencies()
    for number in range(7):
        recent.answered(0.0, float(number))
    assert recent.slow_ms() is None
    for number in range(200):
        recent.answered(0.0, float(number))
    assert recent.slow_ms() == 196.0

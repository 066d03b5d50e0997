"""The tests' own way of waiting: it gives the answer, it ends, and it says what did not come."""

from __future__ import annotations

import time
from itertools import count

import pytest
from deadline import DeadlineMissedError, eventually, until


def test_until_gives_the_first_true_answer() -> None:
    answers = iter([0, None, "", "there"])
    assert until(lambda: next(answers), within_s=5) == "there"


def test_until_ends_at_its_deadline_and_says_what_it_waited_for() -> None:
    before = time.monotonic()
    with pytest.raises(DeadlineMissedError, match="the moon is green"):
        until(lambda: False, within_s=0.05, what="the moon is green")
    assert 0.05 <= time.monotonic() - before < 5


async def test_eventually_takes_functions_and_coroutine_functions() -> None:
    asked = count()

    async def third_time() -> bool:
        return next(asked) == 2

    assert await eventually(third_time, within_s=5)
    assert next(asked) == 3
    assert await eventually(lambda: "now", within_s=5) == "now"


async def test_eventually_ends_at_its_deadline() -> None:
    with pytest.raises(DeadlineMissedError, match=r"last answer was 0"):
        await eventually(lambda: 0, within_s=0.05)

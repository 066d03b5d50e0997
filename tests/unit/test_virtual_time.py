"""The virtual loop: timers go off in order and on time, and a standstill is told."""

from __future__ import annotations

import asyncio

import pytest
from virtual_time import LoopClock, Standstill, run


def test_an_hour_passes_at_once_and_exactly():
    async def scenario():
        clock = LoopClock()
        began_ms, began_wall_ms = clock.now_ms(), clock.wall_ms()
        await asyncio.sleep(3_600)
        return clock.now_ms() - began_ms, clock.wall_ms() - began_wall_ms

    assert run(scenario()) == (3_600_000.0, 3_600_000)


def test_timers_go_off_in_their_order():
    async def scenario():
        order: list[float] = []

        async def sleeper(delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            order.append(delay_s)

        await asyncio.gather(*map(sleeper, (3, 1, 2)))
        return order

    assert run(scenario()) == [1, 2, 3]


def test_where_nothing_will_ever_happen_it_says_so():
    async def scenario():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Standstill):
        run(scenario())

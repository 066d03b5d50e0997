"""The slots of the reference node: never more than there are, first come first served, none ever lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.nodes.reference.slots import QueueFull, Slots


class Request:
    """A request that holds its slot until it is told to let go."""

    def __init__(self, slots: Slots) -> None:
        self.let_go = asyncio.Event()
        self.is_served = False
        self.task = asyncio.create_task(self._hold(slots))

    async def _hold(self, slots: Slots) -> None:
        async with slots.slot():
            self.is_served = True
            await self.let_go.wait()


async def settle() -> None:
    """Let every task run until it waits for something that only the test can do."""
    for _ in range(4):
        await asyncio.sleep(0)


async def test_those_who_wait_are_served_in_the_order_of_their_coming():
    slots = Slots(1, queue_max=3)
    requests = [Request(slots) for _ in range(4)]
    for served in range(4):
        await settle()
        assert [r.is_served for r in requests] == [n <= served for n in range(4)]
        requests[served].let_go.set()
    await asyncio.gather(*(r.task for r in requests))
    assert slots.busy == slots.waiting == 0


async def test_a_full_line_takes_nobody():
    slots = Slots(1, queue_max=1)
    requests = [Request(slots) for _ in range(2)]
    await settle()
    with pytest.raises(QueueFull):
        async with slots.slot():
            pytest.fail("there was no slot to be had")
    assert repr(slots) == "<Slots 1/1 busy, 1/1 waiting>"
    for request in requests:
        request.let_go.set()
    await asyncio.gather(*(r.task for r in requests))


async def test_a_request_cancelled_in_the_moment_of_its_turn_gives_the_slot_to_the_next():
    slots = Slots(1, queue_max=2)
    first, second, third = (Request(slots) for _ in range(3))
    await settle()
    first.let_go.set()
    # The first lets go, which hands the slot to the second; before that one runs, it is cancelled.
    await asyncio.sleep(0)
    second.task.cancel()
    await settle()
    assert not second.is_served
    assert third.is_served
    assert slots.busy == 1
    third.let_go.set()
    await asyncio.gather(third.task)
    assert slots.busy == 0


async def test_a_slot_passes_over_a_request_that_was_cancelled_just_before():
    slots = Slots(1, queue_max=2)
    first, second, third = (Request(slots) for _ in range(3))
    await settle()
    # In one turn of the loop: the first lets go, and the second, still in the line, is cancelled.
    first.let_go.set()
    second.task.cancel()
    await settle()
    assert first.task.done()
    assert third.is_served
    third.let_go.set()
    await asyncio.gather(first.task, third.task)
    assert slots.busy == slots.waiting == 0


@given(
    st.integers(1, 3),
    st.integers(0, 4),
    st.lists(
        st.tuples(st.sampled_from(["come", "finish", "cancel", "turn"]), st.integers(0, 9)), max_size=40
    ),
)
def test_whoever_comes_finishes_or_is_cancelled_no_slot_is_lost_or_given_twice(slot_count, queue_max, steps):
    async def play() -> None:
        slots = Slots(slot_count, queue_max=queue_max)
        alive: list[Request] = []
        for what, which in steps:
            if what == "come":
                alive.append(Request(slots))
            elif what == "turn":
                # Only here does the loop turn: cancellations and hand-overs are to meet between two turns.
                await asyncio.sleep(0)
            elif alive:
                request = alive[which % len(alive)]
                request.let_go.set() if what == "finish" else request.task.cancel()
            served = sum(r.is_served and not r.task.done() for r in alive)
            assert served <= slots.busy <= slot_count
            assert slots.waiting <= queue_max
        for request in alive:
            request.let_go.set()
        results = await asyncio.gather(*(r.task for r in alive), return_exceptions=True)
        assert all(
            result is None or isinstance(result, QueueFull | asyncio.CancelledError) for result in results
        )
        assert slots.busy == slots.waiting == 0

    asyncio.run(play())

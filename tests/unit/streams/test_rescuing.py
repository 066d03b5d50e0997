"""Reading by another way ends soon once nobody waits for it: a process cannot end before its threads."""

from __future__ import annotations

import asyncio
import time

from deadline import eventually

from streams.rescuing import Rescuer

# Nobody listens there, so nobody ever answers.
NOBODY = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0}
# A turn of half a second, and closing; left alone it would be ten seconds.
ENDS_WITHIN_S = 4.0


class Watched(Rescuer):
    """Tells whether somebody reads."""

    readers = 0

    def read(self, *where: object) -> list[object]:
        self.readers += 1
        try:
            return super().read(*where)
        finally:
            self.readers -= 1


async def test_who_waits_for_an_answer_ends_within_a_turn_once_it_is_closed():
    rescuer = Watched(NOBODY)
    reading = asyncio.ensure_future(asyncio.to_thread(rescuer.read, "topic", 0, 0, 1))
    await eventually(lambda: rescuer.readers, within_s=5)
    rescuer.close()
    assert await asyncio.wait_for(reading, ENDS_WITHIN_S) == []


async def test_who_comes_after_it_was_closed_does_not_wait_at_all():
    rescuer = Rescuer(NOBODY)
    rescuer.close()
    began = time.monotonic()
    assert await asyncio.to_thread(rescuer.read, "topic", 0, None, 1) == []
    assert time.monotonic() - began < ENDS_WITHIN_S

"""What waiting costs on asyncio itself: a task for each record that sleeps, with neither Kafka nor a book.

So many tasks are under way at once as there are to be records in flight.
"""

from __future__ import annotations

import asyncio

from infra.bench.engine_suite.jobs import Job, Stopwatch


async def run(job: Job, watch: Stopwatch) -> None:
    """Begin one whenever one ends."""
    [source] = job.records
    room = asyncio.Semaphore(job.in_flight)
    jobs: set[asyncio.Task[None]] = set()

    async def one() -> None:
        await asyncio.sleep(job.wait_ms / 1_000)
        room.release()
        watch.confirmed(source)

    watch.begin()
    for _ in range(job.total):
        await room.acquire()
        task = asyncio.ensure_future(one())
        jobs.add(task)
        task.add_done_callback(jobs.discard)
    await asyncio.gather(*jobs)
    watch.end()

"""Stock Faust as its users write it, in three patterns that lose: the process that `chaos.stock` runs.

Nothing of the engine is in here. Each pattern copies numbers to the output, and waits until the copy is
confirmed before the event is acknowledged.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable

import faust

from chaos.numbers import copy_key, place_of
from chaos.worker import Options

_STRAGGLERS = 0.02
_STRAGGLER_S = 1.5
_FAILURES = 0.01
_PAUSE_EVERY_S = 0.2
_PAUSE_S = 0.02


def make_app(options: Options) -> faust.App:
    """The app of one pattern."""
    app = faust.App(
        f"{options.prefix}group",
        broker=f"kafka://{options.bootstrap}",
        datadir=options.directory,
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        broker_commit_interval=0.2,
        broker_session_timeout=options.session_timeout_ms / 1_000,
        broker_heartbeat_interval=0.5,
        consumer_auto_offset_reset="earliest",
        key_serializer="raw",
        value_serializer="raw",
    )
    PATTERNS[options.work](app, options)
    return app


def _noack_and_tasks(app: faust.App, options: Options) -> None:
    """Events are worked on in tasks of their own, and acknowledged when they end."""
    copy = _copier(app, options)
    tasks: set[asyncio.Task[None]] = set()

    async def work(event: faust.EventT) -> None:
        if random.random() < _STRAGGLERS:
            await asyncio.sleep(_STRAGGLER_S)
        await copy(event.value)
        event.ack()

    @app.agent(_inputs(app, options))
    async def agent(stream: faust.StreamT) -> None:
        async for event in stream.noack().events():
            task = asyncio.ensure_future(work(event))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def _take_and_gather(app: faust.App, options: Options) -> None:
    """Events are worked on in batches, of which some items fail."""
    copy = _copier(app, options)

    async def work(value: bytes) -> None:
        if random.random() < _FAILURES:
            raise ValueError("an item that fails")
        await copy(value)

    @app.agent(_inputs(app, options))
    async def agent(stream: faust.StreamT) -> None:
        async for values in stream.take(100, within=0.2):
            await asyncio.gather(*map(work, values))


def _pause_partitions(app: faust.App, options: Options) -> None:
    """All that is assigned is paused and resumed again and again, by Faust's own means."""
    copy = _copier(app, options)

    @app.agent(_inputs(app, options), concurrency=50)
    async def agent(stream: faust.StreamT) -> AsyncIterator[None]:
        async for value in stream:
            await copy(value)
            yield

    @app.timer(_PAUSE_EVERY_S)
    async def pause() -> None:
        assigned = app.consumer.assignment()
        app.consumer.pause_partitions(assigned)
        await asyncio.sleep(_PAUSE_S)
        app.consumer.resume_partitions(assigned)


PATTERNS: dict[str, Callable[[faust.App, Options], None]] = {
    "noack and tasks": _noack_and_tasks,
    "take and gather": _take_and_gather,
    "pause_partitions": _pause_partitions,
}


def _inputs(app: faust.App, options: Options) -> faust.TopicT:
    return app.topic(f"{options.prefix}urgent", f"{options.prefix}patient", value_serializer="raw")


def _copier(app: faust.App, options: Options) -> Callable[[bytes], object]:
    output = app.topic(f"{options.prefix}out", value_serializer="raw", key_serializer="raw")

    @functools.cache
    def working() -> None:
        sys.stdout.write("working\n")
        sys.stdout.flush()

    async def copy(value: bytes) -> None:
        place = place_of(int(value))
        key = copy_key(place, 0, options.maker)
        await (await output.send(key=key, value=value, partition=place.partition))
        working()

    return copy


async def _main(options: Options) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    sys.stdout.write("up\n")
    app = make_app(options)
    await app.start()
    await stopping.wait()
    await app.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(_main(Options(**json.loads(sys.argv[1]))))

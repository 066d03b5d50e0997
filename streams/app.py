"""One Faust app per stage: the engine's transport under it, everything it should not do switched off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import faust

from streams.failing import Failing
from streams.fetching import TransportOptions
from streams.partitions import Batch
from streams.ports import Clock, Record
from streams.transport import BatchTopic, BatchTransport, PromptTableManager

_BATCHES_QUEUED_MAX = 4_096
# For so long Faust waits, after a rebalance, to hear where the group stands; then it would give up without a
# word, and the flow would never be resumed. Another rebalance ends the wait, or a stop.
_COMMITS_WITHIN_S = 10 * 365 * 86_400.0
SLICE_MS = 1.0
"""How long a stage works before it lets others have the loop. One text of the largest size takes 5 ms by
itself.
"""


def stage_app(
    *, group: str, options: TransportOptions, datadir: Path, instance: str | None, commit_interval_ms: int
) -> faust.App:
    """The app of one stage. Nothing is started; nothing listens on a port."""
    app = faust.App(
        group,
        # The transport takes servers and credentials from its options; this only names the driver.
        broker="kafka://127.0.0.1",
        datadir=str(datadir),
        Topic=BatchTopic,
        TableManager=PromptTableManager,
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_group_instance_id=instance,
        broker_commit_interval=commit_interval_ms / 1_000,
        broker_request_timeout=_COMMITS_WITHIN_S,
        stream_buffer_maxsize=_BATCHES_QUEUED_MAX,
        stream_wait_empty=True,
    )
    app.transport = app.producer_transport = BatchTransport(app, options)

    async def shut(*_: object, **__: object) -> None:
        options.rescuer.close()

    # After the drain, when nobody fetches any more.
    app.on_before_shutdown.connect(shut)
    return app


async def each_batch(
    stream: faust.StreamT[Batch], handle: Callable[[Batch], Awaitable[None]], failing: Failing
) -> None:
    """Hand an agent's batches to its stage, as long as they are ours.

    The stage settles, when what it led to is safe. What it raises ends in `failing`: Faust would restart the
    agent and forget the batch, and its partition would never move again.
    """
    async for batch in stream.noack():  # type: ignore[attr-defined]  # Faust's interface forgot it.
        if batch.take():
            await failing.handle(batch, handle)


async def each_record(
    stream: faust.StreamT[Batch], handle: Callable[[Record], Awaitable[None]], failing: Failing
) -> None:
    """Hand an agent's records to its stage one by one; each is settled when `handle` returns."""

    async def alone(part: Batch) -> None:
        await handle(part.records[0])
        part.settle_all()

    async for batch in stream.noack():  # type: ignore[attr-defined]  # Faust's interface forgot it.
        if batch.take():
            async for record in in_turns(batch.records, failing.clock):
                part = batch.part((record,))
                if batch.is_wanted:
                    await failing.handle(part, alone)
                else:
                    part.abandon((record.offset,))


async def in_turns(records: Sequence[Record], clock: Clock) -> AsyncIterator[Record]:
    """The records, with a turn for others whenever a slice of time is over."""
    others_turn_ms = clock.now_ms() + SLICE_MS
    for record in records:
        yield record
        if clock.now_ms() >= others_turn_ms:
            await asyncio.sleep(0)
            others_turn_ms = clock.now_ms() + SLICE_MS

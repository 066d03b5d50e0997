"""One Faust app per stage: the engine's transport under it, everything it should not do switched off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import faust

from streams.partitions import Batch
from streams.transport import BatchTopic, BatchTransport, PromptTableManager, TransportOptions

_BATCHES_QUEUED_MAX = 4_096
SLICE_MS = 2.0
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
        stream_buffer_maxsize=_BATCHES_QUEUED_MAX,
        stream_wait_empty=True,
    )
    app.transport = app.producer_transport = BatchTransport(app, options)
    return app


async def each_batch(
    stream: faust.StreamT[Batch],
    handle: Callable[[Batch], Awaitable[None]],
    stop_worker: Callable[[Exception], None],
) -> None:
    """Hand an agent's batches to its stage, as long as they are ours.

    Stages turn what goes wrong with a record into a dead letter, so what they raise is a bug of the stage
    itself. Faust would restart the agent and forget the batch, and its partition would never move again: the
    worker stops instead, and whoever starts next gets the batch anew.
    """
    async for batch in stream.noack():  # type: ignore[attr-defined]  # Faust's interface forgot it.
        if batch.take():
            try:
                await handle(batch)
            except Exception as bug:  # noqa: BLE001 - nothing that a stage raises may be forgotten
                batch.abandon(record.offset for record in batch.records)
                stop_worker(bug)
                return

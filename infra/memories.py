"""Making the memories of a worker out of its settings: where they lie, and how they reach their changelog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from infra.kafka import librdkafka_options
from schemas.settings import Settings
from streams.ports import Clock, MemoryLimits, Publisher
from streams.remembered import RocksMemory
from streams.remembering import Memories
from streams.restoring import Changelog
from streams.rocks import BlockCache
from streams.topics import Topics


def memories_of(
    settings: Settings,
    *,
    worker: str,
    bootstrap: str,
    publisher: Publisher,
    clock: Clock,
    on_usable: Callable[[], None],
) -> Memories:
    """The memories, not started; each worker has a directory of its own, as each store has one owner."""
    cache = BlockCache(settings.memory.cache_bytes_max)

    def opened(directory: Path, limits: MemoryLimits) -> RocksMemory:
        return RocksMemory(directory, limits, cache)

    topics = Topics.of(settings.topics)
    return Memories(
        settings.memory,
        directory=Path(settings.data_dir) / "memory" / worker,
        open_memory=opened,
        changelog=Changelog(topics.memory, librdkafka_options(settings.kafka, bootstrap)),
        publisher=publisher,
        clock=clock,
        on_usable=on_usable,
    )

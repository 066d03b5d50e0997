"""CPU of an answer from each tier, of a miss, and of a put with its record in the changelog.

All sides hold the same memos under the same digests, and give a `Memo`. The dict keeps what the disk keeps,
bytes, so that its price is what any store must pay for a decoded answer; SQLite is in WAL mode, and told not
to wait for the disk, as RocksDB does not either.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.measuring import Prepare, Timed, cpu_us_per_event
from infra.bench.memory_suite.memos import LIMITS, NOW_MS, memo, placed, question
from infra.bench.report import Finding
from infra.kafka import librdkafka_options, producer_options
from schemas.memory import Memo
from schemas.settings import KafkaSettings, MemorySettings
from schemas.wire import decode_memo, encode
from streams.clock import SystemClock
from streams.publishing import KafkaPublisher
from streams.remembered import RocksMemory
from streams.remembering import Memories
from streams.restoring import Changelog
from streams.rocks import BlockCache

ASKED = 20_000
PUTS = 10_000
# As many as a worker has under way: more would only wait.
_PUTS_AT_ONCE = 500
_PARTITION = 0
_CACHE_BYTES = MemorySettings().cache_bytes_max
_GC_THRESHOLDS = (5_000, 40, 50)
_HIT_MEMORY_US, _HIT_DISK_US, _PUT_US = 3.0, 15.0, 20.0

LookUp = Callable[[str], Memo | None]


class Sqlite:
    """A peer on disk: one table, one row a memo."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE memos (question BLOB PRIMARY KEY, memo BLOB) WITHOUT ROWID")

    def put(self, memos: Iterable[Memo]) -> None:
        """Each in a transaction of its own, as each is confirmed by itself."""
        for one in memos:
            self._db.execute("INSERT OR REPLACE INTO memos VALUES (?, ?)", _row(one))

    def fill(self, memos: Iterable[Memo]) -> None:
        """All in one."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO memos VALUES (?, ?)", map(_row, memos))
        self._db.execute("COMMIT")

    def look_up(self, digest: str) -> Memo | None:
        """The answer to one question."""
        row = self._db.execute(
            "SELECT memo FROM memos WHERE question = ?", (bytes.fromhex(digest),)
        ).fetchone()
        return None if row is None else decode_memo(row[0])

    def close(self) -> None:
        """Give the file back."""
        self._db.close()


def _row(one: Memo) -> tuple[bytes, bytes]:
    return bytes.fromhex(one.question_digest), encode(one)


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """Fill all three, and ask them in turns."""
    entries = effort.events
    plain = {question(number): encode(memo(number)) for number in range(entries)}
    sqlite = Sqlite(arena.directory / "peer.sqlite")
    sqlite.fill(map(memo, range(entries)))
    # Where a worker looks for partition 0. Its offset is not written: the changelog of the puts is empty.
    place = arena.directory / "cost" / str(_PARTITION)
    ours = RocksMemory(place, LIMITS, BlockCache(_CACHE_BYTES))
    for number in range(entries):
        ours.remember([placed(number)], number)
    # As a worker does once it has started: what stands is not looked at again and again by the collector.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    yield Finding(what="entries held", ours=ours.stats().entries, unit="memos")
    yield Finding(what="on disk", ours=ours.stats().bytes / entries, unit="bytes a memo")
    yield from _answers(ours, sqlite, plain, effort)
    ours.close()
    yield from asyncio.run(_puts(arena, sqlite, entries, effort))
    sqlite.close()


def _answers(ours: RocksMemory, sqlite: Sqlite, plain: dict[str, bytes], effort: Effort) -> Iterable[Finding]:
    entries = len(plain)
    recent = [question(number) for number in range(entries - LIMITS.entries_max // 2, entries)]
    drawn = random.Random(7)  # noqa: S311 - the same in every run
    older = [question(drawn.randrange(entries)) for _ in range(ASKED)]
    unknown = [question(entries + number) for number in range(ASKED)]

    def of_ours(digest: str) -> Memo | None:
        return ours.look_up((digest,), NOW_MS)

    def of_plain(digest: str) -> Memo | None:
        value = plain.get(digest)
        return None if value is None else decode_memo(value)

    sides = {
        "in process": _asking(of_ours, recent * (ASKED // len(recent)), is_there=True, first=recent),
        "on disk": _asking(of_ours, older, is_there=True),
        "a miss": _asking(of_ours, unknown, is_there=False),
        "dict": _asking(of_plain, older, is_there=True),
        "dict, a miss": _asking(of_plain, unknown, is_there=False),
        "sqlite": _asking(sqlite.look_up, older, is_there=True),
        "sqlite, a miss": _asking(sqlite.look_up, unknown, is_there=False),
    }
    spent = cpu_us_per_event(sides, rounds=effort.rounds)
    yield Finding(what="hit in process", ours=spent["in process"], unit="us", target=_HIT_MEMORY_US)
    yield Finding(what="hit on disk", ours=spent["on disk"], unit="us", target=_HIT_DISK_US)
    yield Finding(what="the same, beside a dict", ours=spent["on disk"], unit="us", peer=spent["dict"])
    yield Finding(what="the same, beside SQLite", ours=spent["on disk"], unit="us", peer=spent["sqlite"])
    yield Finding(what="miss, beside a dict", ours=spent["a miss"], unit="us", peer=spent["dict, a miss"])
    yield Finding(what="miss, beside SQLite", ours=spent["a miss"], unit="us", peer=spent["sqlite, a miss"])


def _asking(look_up: LookUp, asked: Sequence[str], *, is_there: bool, first: Sequence[str] = ()) -> Prepare:
    def prepare() -> Timed:
        for digest in first:
            look_up(digest)

        def ask() -> int:
            found = 0
            for digest in asked:
                found += look_up(digest) is not None
            if found != (len(asked) if is_there else 0):
                raise AssertionError(f"{found} of {len(asked)} were found")
            return len(asked)

        return ask

    return prepare


async def _puts(arena: Arena, sqlite: Sqlite, entries: int, effort: Effort) -> Sequence[Finding]:
    """Into the store that holds all these. A put is over when Kafka has its record and the store has it."""
    kafka = KafkaSettings(bootstrap=arena.bootstrap)
    publisher = KafkaPublisher(producer_options(kafka, arena.bootstrap), on_fatal=print)
    cache, clock, usable = BlockCache(_CACHE_BYTES), SystemClock(), asyncio.Event()
    memories = Memories(
        MemorySettings(bytes_max=LIMITS.bytes_max),
        directory=arena.directory / "cost",
        open_memory=lambda directory, limits: RocksMemory(directory, limits, cache),
        changelog=Changelog(arena.topic("memory"), librdkafka_options(kafka, arena.bootstrap)),
        publisher=publisher,
        clock=clock,
        on_usable=usable.set,
    )
    await memories.start()
    memories.own([_PARTITION])
    await usable.wait()
    held = memories.status().figures.entries
    ours: list[float] = []
    peer: list[float] = []
    for turn in range(effort.rounds):
        fresh = [memo(entries + turn * PUTS + number) for number in range(PUTS)]
        timed = cpu_us_per_event({"sqlite": _inserting(sqlite, fresh)}, rounds=1)
        peer.append(timed["sqlite"])
        ours.append(await _remember(memories, fresh))
    await memories.stop()
    await publisher.close(10)
    middle = effort.rounds // 2
    spent, inserted = sorted(ours)[middle], sorted(peer)[middle]
    return [
        Finding(what="entries held before the puts", ours=held, unit="memos"),
        Finding(what="put with changelog record", ours=spent, unit="us", target=_PUT_US),
        Finding(what="the same, beside SQLite without one", ours=spent, unit="us", peer=inserted),
    ]


def _inserting(sqlite: Sqlite, memos: Sequence[Memo]) -> Prepare:
    def insert() -> int:
        sqlite.put(memos)
        return len(memos)

    return lambda: insert


async def _remember(memories: Memories, memos: Sequence[Memo]) -> float:
    """CPU of each put, of all threads: librdkafka's own, too."""
    began_ns = time.process_time_ns()
    for first in range(0, len(memos), _PUTS_AT_ONCE):
        left = [_PUTS_AT_ONCE]
        over = asyncio.Event()

        def done(left: list[int] = left, over: asyncio.Event = over) -> None:
            left[0] -= 1
            if not left[0]:
                over.set()

        for one in memos[first : first + _PUTS_AT_ONCE]:
            memories.remember(_PARTITION, one, done)
        await over.wait()
    return (time.process_time_ns() - began_ns) / 1_000 / len(memos)

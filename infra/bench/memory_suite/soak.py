"""A process that remembers digests as they go by, and tells its resident memory now and then: for `bounded`.

python -m infra.bench.memory_suite.soak ours|dict|sqlite DIGESTS DIRECTORY
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from infra.bench.engine_suite.memory import resident_mb
from infra.bench.memory_suite.memos import LIMITS, placed
from streams.remembered import RocksMemory
from streams.rocks import BlockCache

LOOKS = 50
_CACHE_BYTES = 8 << 20
# So little that most of what goes by must leave.
_BYTES_MAX = 128 << 20


# What takes about as much in SQLite, index and all.
_SQLITE_ROWS_MAX = _BYTES_MAX // 900
_SQLITE_AT_ONCE = 1_000


class Side(Protocol):
    """Who remembers."""

    def put(self, number: int) -> None: ...
    def held(self) -> tuple[int, int]:
        """How many memos, and their bytes on disk."""
        ...


class Ours:
    """Bounded by bytes."""

    def __init__(self, directory: Path) -> None:
        limits = LIMITS._replace(bytes_max=_BYTES_MAX)
        self._memory = RocksMemory(directory, limits, BlockCache(_CACHE_BYTES))
        self._memory.restored(0)

    def put(self, number: int) -> None:
        self._memory.remember([placed(number)], number)

    def held(self) -> tuple[int, int]:
        stats = self._memory.stats()
        return stats.entries, stats.bytes


class Plain:
    """Not bounded."""

    def __init__(self, _directory: Path) -> None:
        self._values: dict[str, bytes] = {}

    def put(self, number: int) -> None:
        one = placed(number)
        self._values[one.memo.question_digest] = one.value

    def held(self) -> tuple[int, int]:
        return len(self._values), 0


class Sqlite:
    """Bounded by rows, the oldest go first; a thousand in a transaction, or it would take an hour."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._file = directory / "memos.sqlite"
        self._db = sqlite3.connect(self._file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE memos (number INTEGER PRIMARY KEY, question BLOB, memo BLOB)")
        self._db.execute("CREATE INDEX questions ON memos (question)")
        self._rows: list[tuple[int, bytes, bytes]] = []

    def put(self, number: int) -> None:
        one = placed(number)
        self._rows.append((number, bytes.fromhex(one.memo.question_digest), one.value))
        if len(self._rows) >= _SQLITE_AT_ONCE:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO memos VALUES (?, ?, ?)", self._rows)
            self._db.execute("DELETE FROM memos WHERE number <= ?", (number - _SQLITE_ROWS_MAX,))
            self._db.execute("COMMIT")
            self._rows.clear()

    def held(self) -> tuple[int, int]:
        (rows,) = self._db.execute("SELECT count(*) FROM memos").fetchone()
        return rows + len(self._rows), sum(one.stat().st_size for one in self._file.parent.iterdir())


_SIDES: dict[str, Callable[[Path], Side]] = {"ours": Ours, "dict": Plain, "sqlite": Sqlite}


def main(side: str, digests: int, directory: Path) -> None:
    """Print a line for each look: how many went by, megabytes resident, memos held, bytes on disk."""
    remembering = _SIDES[side](directory)
    for number in range(1, digests + 1):
        remembering.put(number)
        if number % (digests // LOOKS) == 0:
            print(number, resident_mb(os.getpid()), *remembering.held(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

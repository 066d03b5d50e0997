"""One RocksDB on disk: memos by question, and the offset up to which the changelog was taken in.

The only place that knows rocksdict; what goes wrong there leaves as a `StoreFault`. Beside the offset stands
which changelog that is an offset of. Expiry and eviction are
RocksDB's own FIFO compaction: files are as old as what was written to them, the oldest is dropped whole once
all files together are too large or it is older than any answer may stand. Nothing is scanned, and nothing
rewritten but small neighbouring files into larger ones (docs/decisions/0012 measured it).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from struct import pack, unpack
from tempfile import TemporaryDirectory
from typing import Literal

import rocksdict as rocks

_MEMOS = "memos"
_NEXT_OFFSET = b"next offset"
_SOURCE = b"source"
_TRIED = b"tried"
# 16 MiB hold some 20,000 memos, which become a file of 6 MiB; four such files become one of 23 MiB, and stay.
# Larger files would leave too much at once, smaller ones would have a look-up ask more filters.
_WRITE_BUFFER_BYTES = 16 << 20
_MERGE_FILES = 4
# What all stores of a worker may hold in such buffers; a partition that writes little is then flushed sooner.
_BUFFERS_BYTES_MAX = 64 << 20
# Two column families share one log, which is kept until both were flushed.
_LOG_BYTES_MAX = 64 << 20
_OFFSETS_BUFFER_BYTES = 256 << 10
_BLOOM_BITS = 10
# rocksdict keeps the interpreter to itself while it opens a store, whatever thread that is in, and what takes
# its time there is the log: 6 ms for each MiB on an idle machine, 20 ms on a busy one. A longer log than this
# is written into files by a child before; flushing and closing let other threads run.
_LOG_BYTES_QUICK = 2 << 20
_CHILD = "import sys, rocksdict; rocksdict.Rdict(sys.argv[1]).close()"
# It takes some 0.3 s. One that hangs is killed, and the log is read here.
_CHILD_S_MAX = 10.0
# How RocksDB begins to say that a living process has the store, which may be this one.
_HELD = ("IO error: While lock file: ", "IO error: lock hold by current process")
# How rocksdict ends what went wrong with a file of its own: no space left on device (os error 28).
_OF_THE_SYSTEM = " (os error "
# A file that should be there is not, and neither time nor room brings it back.
_GONE = "IO error: No such file or directory"
# What rocksdict and RocksDB write where they open a store.
_NOT_LINKED = frozenset({"rocksdict-config.json", "LOCK", "LOG"})

Fault = Literal["corrupt", "locked", "unwritable"]


class StoreFault(Exception):
    """What RocksDB could not do, by what helps: other files, another time, or room."""

    def __init__(self, code: Fault, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class BlockCache:
    """What all stores of a worker share, within bounds: blocks that were read, and buffers to write."""

    def __init__(self, size_bytes: int) -> None:
        self.cache = rocks.Cache(size_bytes)
        self.buffers = rocks.WriteBufferManager(_BUFFERS_BYTES_MAX, allow_stall=False)


class RocksStore:
    """An open store. Every method raises a `StoreFault`, and nothing else."""

    def __init__(
        self, directory: Path, cache: BlockCache, *, bytes_max: int, ttl_s: int, is_read_only: bool = False
    ) -> None:
        self.is_read_only = is_read_only
        """Opened only to be read: it holds no lock, and needs nothing that could be written."""
        try:
            opened = _opened_to_read if is_read_only else _opened_to_write
            self._db = opened(directory, _offsets_shape(cache), _memos_shape(cache, bytes_max))
            self._memos = self._db.get_column_family(_MEMOS)
            self._family: rocks.ColumnFamily | None = self._db.get_column_family_handle(_MEMOS)
            self._unlogged = rocks.WriteOptions()
            # A property, whatever rocksdict's stubs say.
            self._unlogged.disable_wal = True  # type: ignore[method-assign,assignment]
            self.bound(bytes_max=bytes_max, ttl_s=ttl_s)
        except Exception as trouble:
            raise _fault(trouble) from None

    def __repr__(self) -> str:
        return "<RocksStore, to be read>" if self.is_read_only else "<RocksStore>"

    def get(self, key: bytes) -> bytes | None:
        """What stands under a key."""
        try:
            found: bytes | None = self._memos.get(key)
        except Exception as trouble:
            raise _fault(trouble) from None
        return found

    def write(
        self,
        changes: Iterable[tuple[bytes, bytes | None]],
        next_offset: int | None,
        *,
        is_logged: bool = True,
    ) -> None:
        """Changes, and the offset after them, all or nothing; None deletes.

        What is not logged is lost with the process until somebody calls `flush`.
        """
        batch = rocks.WriteBatch(raw_mode=True)
        try:
            for key, value in changes:
                if value is None:
                    batch.delete(key, self._family)
                else:
                    batch.put(key, value, self._family)
            if next_offset is not None:
                batch.put(_NEXT_OFFSET, pack(">q", next_offset))
            self._db.write(batch, None if is_logged else self._unlogged)
        except Exception as trouble:
            raise _fault(trouble) from None

    @property
    def next_offset(self) -> int | None:
        """As it was written last."""
        found = self._told(_NEXT_OFFSET)
        return None if found is None else int(unpack(">q", found)[0])

    @property
    def source(self) -> str | None:
        """The changelog that it is filled from, as it was told last."""
        found = self._told(_SOURCE)
        return None if found is None else found.decode()

    def belong_to(self, source: str) -> None:
        """Be filled from this changelog from now on."""
        self._tell(_SOURCE, source.encode())

    def try_out(self) -> None:
        """Write something, to find out whether that is possible."""
        self._tell(_TRIED, b"")

    def _told(self, key: bytes) -> bytes | None:
        try:
            found: bytes | None = self._db.get(key)
        except Exception as trouble:
            raise _fault(trouble) from None
        return found

    def _tell(self, key: bytes, value: bytes) -> None:
        try:
            self._db.put(key, value)
        except Exception as trouble:
            raise _fault(trouble) from None

    @property
    def entries(self) -> int:
        """How many memos there are, nearly: one that was written twice counts twice for a while."""
        return self._figure("rocksdb.estimate-num-keys")

    @property
    def size_bytes(self) -> int:
        """What the memos take, on disk and before they are there."""
        return self._figure("rocksdb.total-sst-files-size") + self._figure("rocksdb.size-all-mem-tables")

    def _figure(self, name: str) -> int:
        try:
            return self._memos.property_int_value(name) or 0
        except Exception as trouble:
            raise _fault(trouble) from None

    def bound(self, *, bytes_max: int, ttl_s: int) -> None:
        """Limits that hold from the next file on; options that rocksdict has no other words for."""
        if self.is_read_only:
            return
        try:
            self._memos.set_options(
                {
                    "compaction_options_fifo": f"{{allow_compaction=true;max_table_files_size={bytes_max};}}",
                    "ttl": str(ttl_s),
                }
            )
        except Exception as trouble:
            raise _fault(trouble) from None

    def flush(self) -> None:
        """Write out what is in memory."""
        try:
            self._memos.flush()
        except Exception as trouble:
            raise _fault(trouble) from None

    def close(self) -> None:
        """Give the files back, also where a last write fails: nothing may refer to them any more."""
        self._family = None
        problems: list[Exception] = []
        for part in (self._memos, self._db):
            try:
                part.close()
            except Exception as trouble:
                problems.append(trouble)
        del self._memos, self._db, part
        if problems:
            fault = _fault(problems[0])
            problems.clear()
            raise fault


def _opened_to_write(directory: Path, offsets: rocks.Options, memos: rocks.Options) -> rocks.Rdict:
    directory.mkdir(parents=True, exist_ok=True)
    _shorten_log(directory)
    return rocks.Rdict(str(directory), offsets, {_MEMOS: memos})


def _opened_to_read(directory: Path, offsets: rocks.Options, memos: rocks.Options) -> rocks.Rdict:
    """Through links, for rocksdict writes a file of its own where it opens a store, also to read it only.

    RocksDB opens all files at once and holds them: the links are needed no longer than that. Where not even
    they can be made, the store's own directory may still take the few bytes.
    """
    files = [file.absolute() for file in directory.iterdir() if file.name not in _NOT_LINKED]
    access = rocks.AccessType.read_only(error_if_log_file_exist=False)
    try:
        with TemporaryDirectory(prefix="penstock-") as links:
            for file in files:
                Path(links, file.name).symlink_to(file)
            return rocks.Rdict(links, offsets, {_MEMOS: memos}, access)
    except OSError:
        return rocks.Rdict(str(directory), offsets, {_MEMOS: memos}, access)


def _shorten_log(directory: Path) -> None:
    """Leave little of the log to be read here: what a kill or a full disk leaves may be tens of MiB."""
    if sum(log.stat().st_size for log in directory.glob("*.log")) > _LOG_BYTES_QUICK:
        try:
            subprocess.run(
                [sys.executable, "-P", "-c", _CHILD, str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_CHILD_S_MAX,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return


def _memos_shape(cache: BlockCache, bytes_max: int) -> rocks.Options:
    table = rocks.BlockBasedOptions()
    table.set_bloom_filter(_BLOOM_BITS, block_based=False)
    table.set_block_cache(cache.cache)
    # Filters and indices stay outside the cache: 5 MiB for a million memos, and misses four times as quick.
    table.set_cache_index_and_filter_blocks(v=False)
    fifo = rocks.FifoCompactOptions()
    fifo.max_table_files_size = bytes_max
    shape = _shape(_WRITE_BUFFER_BYTES)
    shape.set_block_based_table_factory(table)
    shape.set_compaction_style(rocks.DBCompactionStyle.fifo())
    shape.set_fifo_compaction_options(fifo)
    shape.set_level_zero_file_num_compaction_trigger(_MERGE_FILES)
    # A memo's JSON is half field names and references that others have, too.
    shape.set_compression_type(rocks.DBCompressionType.lz4())
    return shape


def _offsets_shape(cache: BlockCache) -> rocks.Options:
    shape = _shape(_OFFSETS_BUFFER_BYTES)
    shape.set_write_buffer_manager(cache.buffers)
    shape.create_if_missing(create_if_missing=True)
    shape.create_missing_column_families(create_missing_cfs=True)
    shape.set_max_total_wal_size(_LOG_BYTES_MAX)
    shape.set_keep_log_file_num(1)
    shape.set_max_background_jobs(2)
    return shape


def _shape(buffer_bytes: int) -> rocks.Options:
    shape = rocks.Options(raw_mode=True)
    shape.set_write_buffer_size(buffer_bytes)
    shape.set_max_write_buffer_number(2)
    return shape


def _fault(trouble: Exception) -> StoreFault:
    """What RocksDB's words mean: rocksdict raises them as bare `Exception`s."""
    if isinstance(trouble, OSError):
        return StoreFault("unwritable", trouble.strerror or str(trouble).partition(_OF_THE_SYSTEM)[0])
    detail = str(trouble).split("\n", 1)[0]
    if detail.endswith(")") and _OF_THE_SYSTEM in detail:
        return StoreFault("unwritable", detail.partition(_OF_THE_SYSTEM)[0])
    # By how it begins: what follows may name the directory, and that may be called anything.
    if detail.startswith(_HELD):
        return StoreFault("locked", "another process has it open")
    if detail.startswith(_GONE):
        return StoreFault("corrupt", "a file is missing")
    if detail.startswith("IO error"):
        return StoreFault("unwritable", _reason(detail))
    return StoreFault("corrupt", detail.partition(":")[0])


def _reason(detail: str) -> str:
    """The operating system's words, without the path."""
    return detail.rpartition(": ")[2] or detail

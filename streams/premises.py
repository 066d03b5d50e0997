"""The directory of a store, apart from what RocksDB does in it: its mark, its way aside, its room.

Where only a process that holds the store may do something, the caller sees to that.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from streams.leftovers import ASIDE

# Less room than two of the store's largest files is none.
_ROOM_BYTES = 64 << 20
# As much as a store writes at once; a quota, or a limit on the size of files, shows only when it is met.
_PROBE_BYTES = 8 << 20
_PROBE = "probe"
# Left in the directory of a store that was found corrupt while it was at work.
_MARK = "corrupt"

log = logging.getLogger("penstock.memory")


class Premises:
    """Where one store lies."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __str__(self) -> str:
        return str(self.directory)

    def mark(self, why: object) -> None:
        """Have the next start fill the store anew."""
        log.warning("%s cannot be read everywhere (%s): the next start fills it anew", self, why)
        try:
            (self.directory / _MARK).touch()
        except OSError:
            log.warning("%s could not be marked", self)

    @property
    def is_marked(self) -> bool:
        """Whether it is to be filled anew."""
        try:
            return (self.directory / _MARK).exists()
        except OSError:
            return False

    def move_aside(self, why: object) -> None:
        """Keep the last one that was of no use, for whoever wants to know why."""
        aside = self.directory.with_name(f"{self.directory.name}{ASIDE}")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            self.directory.rename(aside)
            # Its day begins now.
            aside.touch()
        except OSError as trouble:
            log.warning("%s is of no use (%s) and stays: %s", self, why, trouble.strerror)
        else:
            log.warning("%s moved to %s and is filled anew: %s", self, aside.name, why)

    def empty(self) -> None:
        """Remove all there is."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def has_room(self) -> bool:
        """Whether files can be written here, by having written one: free space alone does not say so."""
        probe = self.directory / _PROBE
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.directory).free < _ROOM_BYTES:
                return False
            with probe.open("wb", buffering=0) as file:
                written = file.write(bytes(_PROBE_BYTES))
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            _remove(probe)
        return written == _PROBE_BYTES


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError:
        # It may not even be looked for there.
        return

"""The log files of children: each line with its time and the child's name, rotated by size.

A child writes into a pipe, the supervisor reads it piece by piece and calls `write`. What cannot be written
(a full disk) is dropped and counted: a log must not stop the child that it is about.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BufferedWriter
from pathlib import Path

# A longer line is broken: a child that never ends its line must not fill the memory.
LINE_BYTES_MAX = 16_384
# What is kept of the last line, for the sentence that says why a child died.
_LAST_LINE_BYTES_MAX = 500
_COMPLAINT = b"penstock: "
_COMPLAINT_CHARS_MAX = 4_000


class Lines:
    """Cuts a stream of bytes into prefixed lines, and remembers the last one."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._rest = b""
        self.last_line = ""
        self.complaint = ""
        """The sentence with which a command of ours failed, where the last lines are one."""

    def feed(self, chunk: bytes, at_ms: int) -> list[bytes]:
        """The lines that are complete now."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        while len(rest) > LINE_BYTES_MAX:
            whole.append(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest
        return self._prefixed(whole, at_ms)

    def flush(self, at_ms: int) -> list[bytes]:
        """The line that was begun and never ended."""
        rest, self._rest = self._rest, b""
        return self._prefixed([rest], at_ms) if rest else []

    def _prefixed(self, lines: list[bytes], at_ms: int) -> list[bytes]:
        for line in lines:
            if line.strip():
                self._remember(line)
        prefix = f"{_stamp(at_ms)} ".encode() + self._name + b" | "
        return [prefix + line.rstrip(b"\r") + b"\n" for line in lines]

    def _remember(self, line: bytes) -> None:
        self.last_line = line[:_LAST_LINE_BYTES_MAX].decode("utf-8", "replace").strip()
        if line.startswith(_COMPLAINT):
            self.complaint = self.last_line.removeprefix(_COMPLAINT.decode())
        elif line.startswith(b"  ") and self.complaint and len(self.complaint) < _COMPLAINT_CHARS_MAX:
            # A complaint of several lines has its further lines indented.
            self.complaint += f"\n  {self.last_line}"
        else:
            self.complaint = ""


class RotatingLog:
    """One child's log file, and the older ones beside it: `worker-1.log`, `worker-1.log.1`, and so on."""

    def __init__(self, path: Path, *, bytes_max: int, files_max: int) -> None:
        self.path = path
        self.lines_dropped = 0
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._file: BufferedWriter | None = None
        self._size_bytes = 0

    def write(self, lines: list[bytes]) -> None:
        """Append lines; none is split between two files."""
        for start in range(0, len(lines), 64):
            block = lines[start : start + 64]
            try:
                self._write_block(block)
            except OSError:
                # A full disk, most often. The next block tries anew.
                self.lines_dropped += len(block)
                self.close()

    def close(self) -> None:
        """Give the file back."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                # What the buffer still held has nowhere to go; `write` has counted it.
                file.raw.close()

    def _write_block(self, lines: list[bytes]) -> None:
        for line in lines:
            if self._file is None:
                self._open()
            elif self._size_bytes and self._size_bytes + len(line) > self._bytes_max:
                self._rotate()
            assert self._file is not None
            self._file.write(line)
            self._size_bytes += len(line)
        if self._file is not None:
            # A reader of the log sees what is there now.
            self._file.flush()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab")
        self._size_bytes = self._file.tell()

    def _rotate(self) -> None:
        self.close()
        for number in range(self._files_max - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self.path.unlink(missing_ok=True)
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path if number == 0 else self.path.with_name(f"{self.path.name}.{number}")


def _stamp(at_ms: int) -> str:
    moment = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1_000:03d}Z"

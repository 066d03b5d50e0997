"""How far fetching is: drawn in place on a terminal, two lines anywhere else."""

from __future__ import annotations

from typing import Protocol, TextIO

_MB = 1_000_000


class Progress(Protocol):
    """Who is told how far it is; called from one thread at a time, the last time with both numbers equal."""

    def __call__(self, done_bytes: int, total_bytes: int, /) -> None: ...


def silent(_done_bytes: int, _total_bytes: int) -> None:
    """Tell nobody."""


class Drawn:
    """Tells a person: in place if `stream` is a terminal, else when it begins and when it is done."""

    def __init__(self, stream: TextIO, what: str) -> None:
        self._stream = stream
        self._what = what
        self._is_terminal = stream.isatty()
        self._drawn_mb = -1

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        done_mb = done_bytes // _MB
        is_done = done_bytes == total_bytes
        if self._is_terminal and (is_done or done_mb != self._drawn_mb):
            self._write(f"\rFetching {self._what}: {done_mb} of {total_bytes // _MB} MB" + "\n" * is_done)
        elif not self._is_terminal and self._drawn_mb < 0:
            self._write(f"Fetching {self._what}: {total_bytes // _MB} MB\n")
        elif not self._is_terminal and is_done:
            self._write(f"Fetched {self._what}\n")
        self._drawn_mb = done_mb

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

"""What `up` shows: lines that stay, and on a terminal a status line below them that is written anew in place.

Elsewhere (a file, a pipe) the status is an ordinary line every few seconds. Text is made safe by its callers.
Whoever read it may go (the terminal is closed, `head` has had enough) or the disk may be full: showing never
fails, so that nothing else fails for it.
"""

from __future__ import annotations

import shutil
from typing import TextIO

from infra.errors import READER_IS_GONE
from infra.terminal import fit
from streams.ports import Clock

# Where it cannot be rewritten: often enough to see that it lives, seldom enough for a log.
_PLAIN_EVERY_MS = 5_000.0
_TERMINAL_EVERY_MS = 200.0
# More verdicts than this in one second cannot be read anyway.
_FREE_LINES_PER_S = 12


class Screen:
    """One output, a terminal or not."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out = out
        self._clock = clock
        self._is_terminal = out.isatty()
        self._status = ""
        self._shown_at_ms = float("-inf")
        self._second = -1
        self._lines = 0
        self._left_out = 0
        self.is_reader_gone = False
        """Whether nobody can read any longer: then there is nothing more to be shown."""

    def say(self, text: str) -> None:
        """Print what stays."""
        self._show(f"{text}\n")

    def stream(self, text: str) -> None:
        """Print one of many lines; on a terminal no more of them than can be read."""
        second = int(self._clock.now_ms() // 1_000)
        if second != self._second:
            left_out, self._left_out = self._left_out, 0
            self._second, self._lines = second, 0
            if left_out:
                self.say(f"… and {left_out} more")
        self._lines += 1
        if self._is_terminal and self._lines > _FREE_LINES_PER_S:
            self._left_out += 1
        else:
            self.say(text)

    @property
    def is_status_due(self) -> bool:
        """Whether it is time to show how it stands."""
        every_ms = _TERMINAL_EVERY_MS if self._is_terminal else _PLAIN_EVERY_MS
        return self._clock.now_ms() - self._shown_at_ms >= every_ms

    def status(self, text: str) -> None:
        """Show how it stands."""
        self._shown_at_ms = self._clock.now_ms()
        if self._is_terminal:
            self.hint(text)
        else:
            self.say(text)

    def hint(self, text: str) -> None:
        """Say what is going on for the moment, where that can be taken back."""
        if self._is_terminal:
            self._show(status=text)

    def close(self) -> None:
        """Leave the last line as it is not wanted any longer."""
        self._show(status="")

    def _show(self, lines: str = "", *, status: str | None = None) -> None:
        """Write lines above the status line, which is written anew below them."""
        clear = "\r\x1b[2K" if self._status else ""
        if status is not None:
            self._status = status
        self._write(f"{clear}{lines}{self._fitted(self._status)}")

    def _write(self, text: str) -> None:
        if self.is_reader_gone:
            return
        try:
            self._out.write(text)
            self._out.flush()
        except ValueError:
            # Closed on our own side.
            self.is_reader_gone = True
        except OSError as error:
            # A full disk may have room again; a reader does not come back.
            self.is_reader_gone = error.errno in READER_IS_GONE

    def _fitted(self, text: str) -> str:
        return fit(text, shutil.get_terminal_size().columns - 1) if text else ""

"""Our end of the pipe to `reaper`, which ends the children if we are killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys

from infra.supervise import reaper


class Reaper:
    """The reaper as the supervisor sees it; it is started again if somebody has killed it."""

    def __init__(self) -> None:
        self._groups: dict[int, None] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def tell(self, group: int, *, is_there: bool) -> None:
        """Say that a process group has begun, or is gone."""
        if is_there:
            self._groups[group] = None
        else:
            self._groups.pop(group, None)
        if not self.tend():
            self._write(f"{'+' if is_there else '-'}{group}\n")

    def tend(self) -> bool:
        """See that the reaper lives; whether it was started anew, with the whole list, because it did not."""
        if self._process is not None and self._process.poll() is None:
            return False
        self._start()
        return True

    def close(self) -> None:
        """Close the pipe: whoever is still listed is ended."""
        process = self._let_go()
        # It ends at once if nobody is left; else it has work to do that we need not wait for.
        if process is not None and not self._groups:
            process.wait()

    def _let_go(self) -> subprocess.Popen[bytes] | None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
        return process

    def _start(self) -> None:
        self._let_go()
        # By its file and without site-packages: it is up in 10 ms and small, and never fails to import.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._write("".join(f"+{group}\n" for group in self._groups))

    def _write(self, lines: str) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            # Killed this very moment: the next call starts another.
            process.stdin.write(lines.encode())
            process.stdin.flush()

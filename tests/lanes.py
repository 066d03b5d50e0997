"""`make test`: the fault tests beside all others, as most of their time goes by in waiting for brokers.

Both are pytest, with the options that were given; what the fault tests say is printed at the end. The status
is that of the first that failed, and 5, pytest's word for it, where neither found a test.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from typing import IO

NONE_FOUND = 5


def main(options: list[str]) -> int:
    """Run both; what the shell is told."""
    with tempfile.TemporaryFile() as said:
        # Two runs would write the same file of what failed last.
        faults = _pytest("tests/fault", "-p", "no:cacheprovider", *options, output=said)
        others = _pytest("tests", "--ignore=tests/fault", "-m", "not interop", *options)
        statuses = [_awaited(others), _awaited(faults)]
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    found = [status for status in statuses if status != NONE_FOUND]
    return next(filter(None, found), 0) if found else NONE_FOUND


def _pytest(*args: str, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pytest", *args], stdout=output, stderr=output)


def _awaited(process: subprocess.Popen[bytes]) -> int:
    """Its status, when it has ended; Ctrl-C reaches it as well, and it cleans up before it does."""
    while True:
        with suppress(KeyboardInterrupt):
            return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

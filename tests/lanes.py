"""`make test`: tests on a broker, that start or break one, and others, at once: most of it is waiting.

What is measured comes last, alone: beside others a text of many small words costs twice as much, and a start
takes five times as long. All are pytest, with the options that were given; what three of them say is printed
at the end. The status is that of the first that failed, and 5, pytest's word for it, where none found a test.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from typing import IO

MEASURED = (
    "tests/unit/core/test_triage_cost.py",
    "tests/broker/test_loop_slices.py",
    "tests/broker/test_cli_up.py::test_from_nothing_to_a_summary_and_again_in_under_ten_seconds",
)
NOT_MEASURED = tuple(f"--deselect={test}" for test in MEASURED)
# What they wait for is mostly a start or a stop of their own.
STARTING = tuple(
    f"tests/broker/test_{name}.py"
    for name in ("cli_up", "embedded_cluster", "embedded_command", "embedded_kafka", "rights")
)
ON_A_BROKER = ("tests/broker", *NOT_MEASURED, *(f"--ignore={file}" for file in STARTING))
BREAKING = ("tests/fault",)
OTHERS = ("tests", *(f"--ignore=tests/{folder}" for folder in ("broker", "fault", "interop")), *NOT_MEASURED)
NO_CACHE = ("-p", "no:cacheprovider")
NONE_FOUND = 5


def main(options: list[str]) -> int:
    """Run them; what the shell is told."""
    with ExitStack() as files:
        # Runs beside each other would write the same file of what failed last.
        aside = [
            (said := files.enter_context(tempfile.TemporaryFile()), _pytest(*lane, *options, output=said))
            for lane in ((*BREAKING, *NO_CACHE), (*STARTING, *NOT_MEASURED, *NO_CACHE), (*OTHERS, *NO_CACHE))
        ]
        statuses = [_awaited(_pytest(*ON_A_BROKER, *options))]
        for said, process in aside:
            statuses.append(_awaited(process))
            said.seek(0)
            sys.stdout.buffer.write(said.read())
            sys.stdout.flush()
    statuses.append(_awaited(_pytest(*MEASURED, *NO_CACHE, *options)))
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

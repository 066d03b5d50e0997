"""`penstock up` as a process: what it says, who its children are, what it leaves behind.

with UpProcess(tmp_path / "data", "--demo", "--until=50") as up:
    assert up.wait(within_s=90) == 0
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from deadline import until

ROOT = Path(__file__).parents[1]
# On two busy cores Kafka, the policy, the node and the worker take some seconds each.
READY_WITHIN_S = 120.0


def environment() -> dict[str, str]:
    """This process's variables without settings of anybody's, for a command that runs this checkout."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK")}
    return {**theirs, "PYTHONPATH": str(ROOT)}


class UpProcess:
    """One run of `up`; at the end of the block it is stopped, and nothing of it is left."""

    def __init__(self, data_dir: Path, *words: str, stdout: int | None = None) -> None:
        """Start it; what it says goes to a file, or to a descriptor of the test's own."""
        self.data_dir = data_dir
        self._output = data_dir.with_suffix(f".{id(self)}.out")
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "infra.cli", f"--data-dir={data_dir}", "up", *words],
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=subprocess.STDOUT,
                cwd=data_dir.parent,
                env=environment(),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            finally:
                self.process.kill()
        until(lambda: not self.left(), within_s=15, what="no process is left")

    @property
    def said(self) -> str:
        """Everything that it has printed."""
        return self._output.read_text(errors="replace")

    def await_ready(self) -> None:
        """Wait until everything is up."""
        self.await_said("Ready.")

    def await_said(self, text: str, within_s: float = READY_WITHIN_S) -> None:
        """Wait until it has printed this."""
        until(lambda: self._has_said(text), within_s=within_s, what=f"it says {text!r}")

    def wait(self, within_s: float) -> int:
        """Wait for its end; the exit code."""
        return self.process.wait(within_s)

    def children(self) -> dict[str, int]:
        """Its children that run now, by name."""
        try:
            listed = json.loads((self.data_dir / "run" / "children.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return {child["name"]: child["pid"] for child in listed}

    def left(self) -> list[str]:
        """The command lines of all processes that have this data directory in theirs."""
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                directory = str((file.parent / "cwd").readlink())
            except OSError:
                continue
            # The JVM has only relative paths in its command line; it lives in the directory.
            if str(self.data_dir) in command or directory.startswith(str(self.data_dir)):
                found.append(command)
        return found

    def _has_said(self, text: str) -> bool:
        said = self.said
        assert text in said or self.process.poll() is None, (
            f"`up` ended with {self.process.returncode}:\n{said}"
        )
        return text in said

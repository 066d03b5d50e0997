"""A whole Penstock for tests that look at it from outside: `penstock up` on a given broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deadline import until

ROOT = Path(__file__).parents[1]
# On two busy cores the policy, the node and the worker take some seconds each.
_READY_WITHIN_S = 90.0
_STOPPED_WITHIN_S = 20.0


@contextmanager
def upped(directory: Path, bootstrap: str, prefix: str, *more: str) -> Iterator[Path]:
    """Run it until the block ends; gives its data directory. Topics begin with `prefix`."""
    data_dir = directory / "penstock"
    output = directory / "up.log"
    command = [
        *(sys.executable, "-P", "-m", "infra.cli"),
        *(f"--data-dir={data_dir}", f"--bootstrap={bootstrap}"),
        *(f"--set=topics.prefix={prefix}", "--set=topics.partitions=2"),
        *(*more, "up"),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK")}
    with output.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env={**environment, "PYTHONPATH": str(ROOT)},
        )
    try:
        until(lambda: _is_ready(process, output), within_s=_READY_WITHIN_S, what=f"`up` is ready ({output})")
        yield data_dir
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_STOPPED_WITHIN_S)


def _is_ready(process: subprocess.Popen[bytes], output: Path) -> bool:
    said = output.read_text(errors="replace")
    assert process.poll() is None, f"`penstock up` ended with {process.returncode}:\n{said}"
    return "Ready." in said

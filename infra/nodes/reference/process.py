"""The reference node as a process: serves until a signal, and tells where in a file while it does.

The file is how `up`, `status` and `doctor` find the node: `{"pid": …, "url": …}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from infra.errors import ExitCode, Failure
from infra.nodes.reference.server import ReferenceServer


async def serve(server: ReferenceServer, told_at: Path, announce: Callable[[str], None]) -> ExitCode:
    """Serve until SIGTERM or SIGINT, announce the address; the status to exit with."""
    stopped: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
    for number, status in ((signal.SIGTERM, ExitCode.OK), (signal.SIGINT, ExitCode.INTERRUPTED)):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, status)
    url = await server.start()
    try:
        _tell(told_at, url)
        announce(url)
        return await stopped
    finally:
        _untell(told_at)
        await server.stop()


def _stop(stopped: asyncio.Future[ExitCode], status: ExitCode) -> None:
    if not stopped.done():
        stopped.set_result(status)


def _tell(path: Path, url: str) -> None:
    """Write where the node listens, whole or not at all: a reader never sees half of it."""
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps({"pid": os.getpid(), "url": url}), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        raise Failure(
            f"{path} cannot be written ({error.strerror}); choose another directory with --data-dir.",
            exit_code=ExitCode.TAKEN,
        ) from None


def _untell(path: Path) -> None:
    """Take back what was told, unless another node has told something since."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["pid"] == os.getpid():
            path.unlink()
    except (OSError, ValueError, KeyError, TypeError):
        # Gone, or not ours: there is nothing of ours to take back.
        return

"""A node as a process: serves until a signal, and tells where in a file while it does.

The file is how `up`, `status` and `doctor` find the node; `infra.running` says what stands in it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from infra.errors import ExitCode
from infra.running import tell, untell
from schemas.settings import NodeKind


class Serving(Protocol):
    """A server of this process."""

    async def start(self) -> str:
        """Serve; the address."""
        ...

    async def stop(self) -> None:
        """Stop serving."""
        ...


async def serve(
    server: Serving, told_at: Path, announce: Callable[[str], None], kind: NodeKind = "penstock"
) -> ExitCode:
    """Serve until SIGTERM or SIGINT, announce the address; the status to exit with."""
    stopped: asyncio.Future[ExitCode] = asyncio.get_running_loop().create_future()
    for number, status in ((signal.SIGTERM, ExitCode.OK), (signal.SIGINT, ExitCode.INTERRUPTED)):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, status)
    url = await server.start()
    try:
        tell(told_at, url, kind)
        announce(url)
        return await stopped
    finally:
        untell(told_at)
        await server.stop()


def _stop(stopped: asyncio.Future[ExitCode], status: ExitCode) -> None:
    if not stopped.done():
        stopped.set_result(status)

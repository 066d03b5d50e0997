"""`python -m infra.bench.dispatch_suite.serving MS`: an engine on a wire, as light as can be, in a process.

Every answer takes so many milliseconds and is the same: one that the reference node's engine has given. It
says its address on the first line, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

from infra.bench.dispatch_suite.contenders import POLICY, post
from infra.nodes.memory import AT_ONCE
from infra.nodes.reference import chat
from infra.nodes.reference.engine import ReferenceEngine
from streams.core.formats import general
from streams.core.requests import OPENAI_DIALECT

_LENGTH = b"content-length:"


class _Connection(asyncio.Protocol):
    """One request after the other, each answered after the same time."""

    def __init__(self, reply: bytes, takes_s: float) -> None:
        self._reply = reply
        self._takes_s = takes_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length_in(head):
            return
        self._received = b""
        asyncio.get_running_loop().call_later(self._takes_s, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._reply)  # type: ignore[attr-defined]


def _length_in(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(_LENGTH):
            return int(line[len(_LENGTH) :])
    return 0


async def _reply() -> bytes:
    (asked,) = general.asking(POLICY, "moderate", chat.MODEL, OPENAI_DIALECT).build(post(0, tokens=40).event)
    request = chat.decode(asked)
    body = chat.encode(await ReferenceEngine(AT_ONCE).complete(request), request, number=1, at_s=0)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


async def _serve(takes_s: float) -> None:
    reply, loop = await _reply(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(reply, takes_s), "127.0.0.1", 0, backlog=4_096)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def engines(count: int, takes_ms: float) -> Iterator[list[str]]:
    """So many of them; their addresses."""
    command = (sys.executable, "-m", "infra.bench.dispatch_suite.serving", str(takes_ms))
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        yield [process.stdout.readline().strip() for process in running if process.stdout]
    finally:
        for process in running:
            process.communicate()


if __name__ == "__main__":
    uvloop.run(_serve(float(sys.argv[1]) / 1_000))

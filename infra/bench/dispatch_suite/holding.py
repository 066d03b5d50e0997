"""That it holds: a sequential node that is never idle, and a loop that is free for others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import uvloop

from infra.bench.dispatch_suite.contenders import Ours, dispatching, post
from infra.bench.dispatch_suite.serving import engines
from infra.bench.engine_suite.effort import percentile
from infra.bench.report import Finding
from infra.nodes.client import HttpNode
from infra.nodes.reference.chat import MODEL
from schemas.settings import NodeSettings
from streams.clock import SystemClock

_SEQUENTIAL_MS = 200.0
_SEQUENTIAL_S = 20.0
_LAG_S = 30.0
_RATE = 500
_PROBE_S = 0.002
_LOW = 3


def run() -> Iterator[Finding]:
    """One node after the other: each needs the machine for itself."""
    with engines(1, _SEQUENTIAL_MS) as urls:
        yield uvloop.run(_sequential(urls[0]))
    with engines(2, 100.0) as urls:
        yield uvloop.run(_lag(urls))


def nodes_at(urls: list[str], slots: int) -> list[HttpNode]:
    clock = SystemClock()
    return [
        HttpNode(NodeSettings(url=url, kind="penstock", model=MODEL, slots=slots // len(urls)), clock)
        for url in urls
    ]


class Users:
    """Who ask again and again, until they are told to stop."""

    def __init__(self, dispatch: Ours, count: int) -> None:
        self.answered = 0
        self._is_over = False
        self._users = [asyncio.ensure_future(self._ask(dispatch)) for _ in range(count)]

    async def _ask(self, dispatch: Ours) -> None:
        while not self._is_over:
            await dispatch.ask(post(0, tokens=40), _LOW)
            self.answered += 1

    async def stop(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._users)


async def _sequential(url: str) -> Finding:
    async with dispatching(nodes_at([url], 1), SystemClock()) as dispatch:
        users = Users(dispatch, 4)
        await asyncio.sleep(1.0)
        before, began_s = users.answered, time.perf_counter()
        await asyncio.sleep(_SEQUENTIAL_S)
        # Whole services only: one may be cut by either end.
        busy_s = (users.answered - before) * _SEQUENTIAL_MS / 1_000
        passed_s = time.perf_counter() - began_s
        await users.stop()
    return Finding(
        what="a sequential node is busy",
        ours=100 * min(1.0, (busy_s + _SEQUENTIAL_MS / 2_000) / passed_s),
        unit="%",
        target=99,
        bound="at least",
    )


async def _lag(urls: list[str]) -> Finding:
    late_ms: list[float] = []
    async with dispatching(nodes_at(urls, 128), SystemClock()) as dispatch:
        asked: set[asyncio.Task[float]] = set()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        sent = 0
        while (passed_s := loop.time() - began_s) < _LAG_S:
            while sent < passed_s * _RATE:
                sent += 1
                task = loop.create_task(dispatch.ask(post(sent, tokens=40), _LOW))
                asked.add(task)
                task.add_done_callback(asked.discard)
            due_s = loop.time() + _PROBE_S
            await asyncio.sleep(_PROBE_S)
            late_ms.append((loop.time() - due_s) * 1_000)
        await asyncio.gather(*asked)
    return Finding(
        what=f"the loop's lag at {_RATE} posts/s, p99", ours=percentile(late_ms, 0.99), unit="ms", target=5
    )

"""What a post costs: CPU time of the client's process over real HTTP, beside other clients in the same run.

Bare is httpx over aiohttp's connections with a request that was made before; what we take beyond that is
ours: lanes, choice, pacing, the prompt, the answer's validation. Rounds take turns.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from statistics import median

import httpx
import uvloop
from httpx_aiohttp import AiohttpTransport

from infra.bench.dispatch_suite.contenders import POLICY, dispatching, post
from infra.bench.dispatch_suite.serving import engines
from infra.bench.engine_suite.arena import ROOT
from infra.bench.report import Finding
from infra.bench.triage_suite.peers import NoEnvironment, Peer, interpreter_of
from infra.nodes.client import HttpNode
from infra.nodes.reference.chat import MODEL
from schemas.settings import NodeSettings
from streams.clock import SystemClock
from streams.core.formats import general
from streams.core.requests import OPENAI_DIALECT

_CLIENTS = Peer("openai and LiteLLM", ROOT / "requirements" / "peer-clients.txt", 1.0)
_TAKES_MS = 100.0
_NODES = 2
_ROUNDS = 3
_REQUESTS = 3_000
_FEW = 1_000
"""Of those whose clients take milliseconds for each."""
_WARM = 200
_FOREIGN = Path(__file__).with_name("foreign.py")
_WITHIN_S = 300.0


def run() -> Iterator[Finding]:
    """Ours and bare at 64 and 128 in flight, then the others."""
    with engines(_NODES, _TAKES_MS) as urls:
        ours: dict[int, float] = {}
        for in_flight in (64, 128):
            rounds = [
                (_cpu_us(_bare(urls), in_flight), _cpu_us(_ours(urls, in_flight), in_flight))
                for _ in range(_ROUNDS)
            ]
            ours[in_flight] = median(spent for _, spent in rounds)
            yield Finding(
                what=f"a post at {in_flight}, beside bare",
                ours=ours[in_flight],
                unit="us",
                peer=median(bare for bare, _ in rounds),
            )
            yield Finding(
                what=f"a post at {in_flight}, beyond bare",
                ours=median(spent - bare for bare, spent in rounds),
                unit="us",
                target=60,
            )
        yield from _beside_others(urls, ours)


def _beside_others(urls: Sequence[str], ours: dict[int, float]) -> Iterator[Finding]:
    targets = (("httpx", 64, None), ("openai", 64, 1 / 3), ("openai", 128, 1 / 4), ("litellm", 64, 1 / 10))
    try:
        interpreter = interpreter_of(_CLIENTS)
    except NoEnvironment as why:
        print(f"  the peers cannot be installed: {why}")
        yield Finding(what="beside openai and LiteLLM", ours=1, unit="failure", target=0)
        return
    for name, in_flight, target in targets:
        yield Finding(
            what=f"a post at {in_flight}, beside {name}",
            ours=ours[in_flight],
            unit="us",
            peer=_foreign_us(interpreter, name, in_flight, urls),
            target=target,
        )


def _foreign_us(interpreter: str, name: str, in_flight: int, urls: Sequence[str]) -> float:
    command = (interpreter, str(_FOREIGN), name, str(in_flight), str(_FEW), *urls)
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_S, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["cpu_us"])


Asking = Callable[[], Awaitable[Callable[[], Awaitable[object]]]]


def _cpu_us(run_round: Callable[[int], Awaitable[float]], in_flight: int) -> float:
    return uvloop.run(run_round(in_flight))  # type: ignore[arg-type]


async def _measured(ask: Callable[[], Awaitable[object]], in_flight: int) -> float:
    """The CPU time of each of many questions, so many at a time, in microseconds."""
    left = iter(range(_WARM + _REQUESTS))

    async def user() -> None:
        for _ in left:
            await ask()

    left = iter(range(max(_WARM, in_flight)))
    await asyncio.gather(*[user() for _ in range(in_flight)])
    left = iter(range(_REQUESTS))
    began_ns = time.process_time_ns()
    await asyncio.gather(*[user() for _ in range(in_flight)])
    return (time.process_time_ns() - began_ns) / 1_000 / _REQUESTS


def _bare(urls: Sequence[str]) -> Callable[[int], Awaitable[float]]:
    async def run_round(in_flight: int) -> float:
        limits = httpx.Limits(max_connections=in_flight + 8, keepalive_expiry=4.0)
        (body,) = general.asking(POLICY, "moderate", MODEL, OPENAI_DIALECT).build(post(0, tokens=40).event)
        addresses = cycle([httpx.URL(f"{url}/v1/chat/completions") for url in urls])
        headers = {"content-type": "application/json"}
        async with httpx.AsyncClient(transport=AiohttpTransport(limits=limits), trust_env=False) as client:

            async def ask() -> bytes:
                request = httpx.Request("POST", next(addresses), headers=headers, content=body)
                return (await client.send(request)).content

            return await _measured(ask, in_flight)

    return run_round


def _ours(urls: Sequence[str], slots: int) -> Callable[[int], Awaitable[float]]:
    async def run_round(in_flight: int) -> float:
        clock = SystemClock()
        nodes = [
            HttpNode(NodeSettings(url=url, kind="penstock", model=MODEL, slots=slots // len(urls)), clock)
            for url in urls
        ]
        question = post(0, tokens=40)
        async with dispatching(nodes, clock) as dispatch:
            return await _measured(lambda: dispatch.ask(question, 2), in_flight)

    return run_round

"""What a user would write with a client library, in an environment of the peer's own: a script, not a module.

`python foreign.py NAME IN_FLIGHT REQUESTS URL …` puts so many questions, so many at a time, and prints one
JSON object: the CPU time of each, and how many there were in a second. It imports nothing of Penstock.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import Any

Ask = Callable[[], Awaitable[Any]]
_MODEL = "penstock-reference-1"
_MESSAGES = [
    {"role": "system", "content": "Judge the post. " * 80},
    {"role": "user", "content": json.dumps({"text": "x" * 160})},
]
_WARM = 200


def openai(urls: Sequence[str]) -> Ask:
    """A client for each node, in turn."""
    from openai import AsyncOpenAI  # noqa: PLC0415 - there in its own environment only

    clients = cycle([AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) for url in urls])
    return lambda: next(clients).chat.completions.create(model=_MODEL, messages=_MESSAGES, temperature=0)


def litellm(urls: Sequence[str]) -> Ask:
    """Its router, which asks the node that is least busy."""
    import litellm as library  # noqa: PLC0415 - there in its own environment only

    library.suppress_debug_info = True
    known = [
        {
            "model_name": "judge",
            "litellm_params": {"model": f"openai/{_MODEL}", "api_base": f"{url}/v1", "api_key": "none"},
        }
        for url in urls
    ]
    router = library.Router(model_list=known, routing_strategy="least-busy", num_retries=0)
    return lambda: router.acompletion(model="judge", messages=_MESSAGES, temperature=0)


def httpx(urls: Sequence[str]) -> Ask:
    """Its own pool, as it comes."""
    import httpx as library  # noqa: PLC0415 - its import is not what is measured

    client = library.AsyncClient(timeout=60, limits=library.Limits(max_connections=None))
    in_turn = cycle(urls)
    body = {"model": _MODEL, "messages": _MESSAGES, "temperature": 0}

    async def ask() -> Any:
        response = await client.post(f"{next(in_turn)}/v1/chat/completions", json=body)
        return response.json()

    return ask


_CLIENTS = {"openai": openai, "litellm": litellm, "httpx": httpx}


async def measure(ask: Ask, in_flight: int, requests: int) -> dict[str, float]:
    """Put questions under a plain semaphore."""
    semaphore = asyncio.Semaphore(in_flight)

    async def one() -> None:
        async with semaphore:
            await ask()

    await asyncio.gather(*[one() for _ in range(_WARM)])
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*[one() for _ in range(requests)])
    spent_s, spent_cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return {"cpu_us": spent_cpu_s * 1e6 / requests, "per_s": requests / spent_s}


async def _main(name: str, in_flight: int, requests: int, urls: Sequence[str]) -> None:
    print(json.dumps(await measure(_CLIENTS[name](urls), in_flight, requests)))


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))

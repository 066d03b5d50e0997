"""Looks at what engines say of themselves, every other second, while they have something to do.

A look is a correction and never a condition: an engine that does not tell, or cannot be reached for it, is
paced by its answers alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from streams.members import Member
from streams.ports import Clock, Gauged, NodeFault

log = logging.getLogger("penstock.dispatch")

# An engine's figures move with its batches, which take a second or so; twice as long is often enough.
INTERVAL_S = 2.0
# Workers that were started together must not look together.
_JITTER = 0.2


def scraped(member: Member, clock: Clock, chance: Callable[[], float]) -> Coroutine[Any, Any, None] | None:
    """Keep looking at a node; None where it tells nothing."""
    node = member.node
    return _looks(member, node, clock, chance) if isinstance(node, Gauged) else None


async def _looks(member: Member, node: Gauged, clock: Clock, chance: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(INTERVAL_S * (1 + _JITTER * (chance() - 0.5)))
        if not member.running:
            continue
        try:
            load = await node.load()
        except NodeFault:
            continue
        except Exception as bug:  # noqa: BLE001 - whatever a client does, its node is paced by its answers
            log.error("the client of node %s cannot tell its load: %s", member.name, type(bug).__name__)  # noqa: TRY400
            return
        if load is None:
            return
        member.pacer.look(load, clock.now_ms())

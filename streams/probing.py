"""Asking nodes how they are, beside the questions: which model they serve, and whether one is well again.

Where that is asked is the engine's (`infra.nodes.engines`); nothing is concluded from it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from streams.members import Member
from streams.ports import NodeFault

# A start waits no longer than this to hear which models are served: as long as a probe takes at most. Until a
# model is known nothing that it answered is found, and copies of what it judged would be asked about again.
_LEARN_S = 2.0


async def learn_models(members: Iterable[Member]) -> None:
    """Hear of each node which model it serves: copies are looked up under the models' names.

    A node that does not answer now is told by its first answer; without it nobody is asked there anyhow.
    """
    asking = [asyncio.ensure_future(member.node.probe()) for member in members if not member.node.model]
    if asking:
        _, late = await asyncio.wait(asking, timeout=_LEARN_S)
        for probe in late:
            probe.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def is_well(member: Member) -> bool:
    """Whether the node would take a question; why not is its last error."""
    try:
        await member.node.probe()
    except NodeFault as fault:
        member.last_error = fault.code
        return False
    except Exception as bug:  # noqa: BLE001 - whatever a client does, the node must be probed again
        member.last_error = type(bug).__name__
        return False
    return True

"""A real reference node for tests, and a policy and events to ask it about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from infra.nodes.client import HttpNode
from infra.nodes.reference.server import ReferenceServer
from schemas.event import AnalyzeUser, Event, HealthCheck, Kind, Moderate, ReviewBan, Scan
from schemas.policy import Label, Policy, Prompt
from schemas.settings import NodeSettings, ReferenceNodeSettings
from streams.clock import SystemClock
from streams.core.packing import make_pack
from streams.ports import PackedQuestion, Question

POLICY = Policy(
    id="default",
    version=1,
    labels=(
        Label(name="spam", description="Adverts."),
        Label(name="violence", description="Threats."),
        Label(name="harassment", description="Insults."),
    ),
    prompts=(Prompt(kind="moderate", text="Judge the post."),),
)
EVENTS: dict[Kind, Event] = {
    "moderate": Moderate(v=1, id="1", text="I will kill you"),
    "scan": Scan(v=1, id="2", text="buy cheap followers"),
    "review_ban": ReviewBan(v=1, id="3", account="a", ground="spam", evidence=("buy cheap followers",)),
    "analyze_user": AnalyzeUser(v=1, id="4", account="a", posts=("I will kill you", "I like trains")),
    "health_check": HealthCheck(v=1, id="5", aggregates={"reports": 9.0, "reports_before": 3.0}),
}


def question(text: str = "I will kill you", *, deadline_ms: float | None = None) -> Question:
    """Give a question about one post."""
    return Question(Moderate(v=1, id="1", text=text), POLICY, deadline_ms=deadline_ms)


class ManualSleep:
    """Sleeps that last until the test ends them; it can see how long each was to be."""

    def __init__(self) -> None:
        self.asked_ms: list[float] = []
        self._sleepers: list[asyncio.Event] = []

    async def __call__(self, ms: float) -> None:
        sleeper = asyncio.Event()
        self.asked_ms.append(ms)
        self._sleepers.append(sleeper)
        await sleeper.wait()

    def wake_all(self) -> None:
        for sleeper in self._sleepers:
            sleeper.set()


AT_ONCE: dict[str, Any] = {"alpha_ms": 0, "beta_ms": 0, "prompt_token_us": 0, "output_token_us": 0}


@asynccontextmanager
async def reference_node(**settings: Any) -> AsyncIterator[tuple[ReferenceServer, str]]:
    """Run a reference node that answers at once, unless told otherwise, and honours the fault header."""
    parts = {name: settings.pop(name) for name in ("clock", "sleep") if name in settings}
    wanted = ReferenceNodeSettings(**{**AT_ONCE, "fault_header": True, **settings})
    server = ReferenceServer(wanted, **parts)
    url = await server.start()
    try:
        yield server, url
    finally:
        await server.stop()


@asynccontextmanager
async def http_node(url: str, **settings: Any) -> AsyncIterator[HttpNode]:
    """Open a client of a node."""
    node = HttpNode(NodeSettings(url=url, **{"kind": "penstock", **settings}), SystemClock())
    try:
        yield node
    finally:
        await node.close()


def packed(
    *texts: str, policy: Policy = POLICY, entropy: bytes = bytes(32), deadline_ms: float | None = None
) -> PackedQuestion:
    """Give a question about several posts."""
    events = [Moderate(v=1, id=str(number), text=text) for number, text in enumerate(texts)]
    pack = make_pack(events, policy, entropy)
    assert pack is not None
    return PackedQuestion(pack, policy, "moderate", deadline_ms=deadline_ms)

"""Two whole workers on a real Kafka and a node that counts: one inference for one text, whoever is killed.

What the node may have been asked at most, by its own count of inferences made:

    distinct texts whose answer may be reused (it stands in the changelog)
  + events of texts whose answer may not (each is asked about by itself)
  + at each kill, what was asked and perhaps not settled.

The last is seen from outside. The worker is frozen, and the node tells how many inferences it has made and
how many requests it holds; what of them stands in Kafka by then, as a memo or as the verdict of a text that
has none, is settled. It counts what the other workers ask, too: the node cannot tell them apart.
"""

from __future__ import annotations

import json
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from chaos.copies import Asked, Ledger, Post, PostFeeder, as_event, ledger, posts, unsettled_at
from chaos.trial import FULL, Size
from deadline import until
from penstocks import Penstock

from infra.clients import Writer, reach
from infra.embedded import EmbeddedKafka
from infra.running import worker_statuses
from schemas.effective import EffectiveVerdicts
from schemas.wire import decode_memo, decode_verdict
from streams.observing import MemoryStatus

WORKERS = ("worker-1", "worker-2")
GUEST = "worker-3"
# A node that is quick, so that it is the workers that are tried.
NODE = (
    "reference_node.slots=32",
    "reference_node.alpha_ms=5",
    "reference_node.beta_ms=0",
    "reference_node.prompt_token_us=0",
    "reference_node.output_token_us=0",
)
AGAIN = 300


@dataclass(frozen=True, slots=True)
class _Size:
    """How much a trial is."""

    events: int
    rate_per_s: float


# The short one has one round of two kills; the full one goes on as long as events come in.
SIZES = {False: _Size(3_000, 400), True: _Size(100_000, 500)}


class Watch(threading.Thread):
    """Asks the node for its count all the time."""

    def __init__(self, penstock: Penstock) -> None:
        super().__init__(name="watch", daemon=True)
        self._penstock = penstock
        self._enough = threading.Event()
        self._seen: list[Asked] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self.join(10)

    def run(self) -> None:
        while not self._enough.is_set():
            self.look()
            self._enough.wait(0.05)

    def look(self) -> Asked:
        """Ask now."""
        count = self._penstock.node()
        asked = Asked(time.time() * 1_000, count.completions, count.in_flight)
        self._seen.append(asked)
        return asked

    def take(self) -> list[Asked]:
        """What was seen since the last time."""
        seen, self._seen = self._seen, []
        return seen


@dataclass(slots=True)
class Killer:
    """Kills workers and starts them again, and notes what was under way."""

    penstock: Penstock
    watch: Watch
    feeder: PostFeeder
    chance: random.Random
    kills: list[tuple[Asked, list[Asked]]] = field(default_factory=list)
    """What the node had counted at each, and since the one before."""

    def kill(self, name: str, *, forgets: bool = False) -> None:
        """Kill a worker that works; `forgets` deletes its local memory as well."""
        self.penstock.await_ready(name)
        self._await_working()
        since, frozen_at_ms = self.watch.take(), time.time() * 1_000
        self.penstock.freeze(name)
        # What it had sent is with the node by now.
        held = self.watch.look()._replace(at_ms=frozen_at_ms)
        self.penstock.kill(name)
        self.watch.take()
        self.kills.append((held, since))
        if forgets:
            forget(self.penstock, name)
        self.penstock.start(name)

    def _await_working(self) -> None:
        """The kill is to hit work, at a moment of chance."""
        before = self.watch.look().completions
        wanted = self.chance.randrange(20, 200)

        def is_deep_in_it() -> bool:
            return self.watch.look().completions > before + wanted or self.feeder.is_done

        until(is_deep_in_it, within_s=60, what="inferences are made")


def forget(penstock: Penstock, name: str) -> None:
    """Delete a worker's local memory, which must be there."""
    directory = penstock.data_dir / "memory" / name
    assert any(directory.iterdir())
    shutil.rmtree(directory)


@pytest.fixture
def penstock(broker: EmbeddedKafka, topics_prefix: str, tmp_path: Path) -> Iterator[Penstock]:
    with Penstock(tmp_path, broker.bootstrap, topics_prefix, *NODE) as made:
        yield made


def test_one_inference_for_one_text_whoever_is_killed(
    penstock: Penstock, broker: EmbeddedKafka, size: Size, tell: Callable[[str], None]
) -> None:
    trial = SIZES[size is FULL]
    events = posts(trial.events, seed=trial.events)
    _start(penstock)
    feeder = PostFeeder(broker.bootstrap, penstock.prefix, events, trial.rate_per_s)
    with Watch(penstock) as watch, feeder:
        killer = Killer(penstock, watch, feeder, random.Random(trial.events))
        moves = _kill_and_move(killer, feeder, again=size is FULL)
        until(lambda: feeder.is_done, within_s=trial.events / trial.rate_per_s + 60)
        left = penstock.await_verdicts([post.id for post in events], within_s=600)
    counted = _drawn_up(penstock, events, killer)
    tell(
        f"copies: {len(events)} events, {len(killer.kills)} kills, {moves} moves: {counted.completions} "
        f"inferences; {counted.reusable} + {counted.uncacheable} needed, {counted.unsettled} unsettled"
    )
    assert len(left) == len(events)
    _assert_one_effective_verdict_each(penstock, events)
    assert len(killer.kills) == moves
    assert counted.reusable > 0.5 * len(events)
    assert counted.uncacheable > 0
    assert counted.needed <= counted.completions <= counted.bound, counted
    _assert_known_after_a_loss(penstock, events)


def _start(penstock: Penstock) -> None:
    for name in WORKERS:
        penstock.start(name)
    for name in WORKERS:
        penstock.await_ready(name)


def _kill_and_move(killer: Killer, feeder: PostFeeder, *, again: bool) -> int:
    """Rounds: one is killed, a third comes, the other is killed, the third goes. How many moves that made."""
    rounds = 0
    while not rounds or (again and not feeder.is_done):
        killer.kill(WORKERS[0])
        killer.penstock.start(GUEST)
        killer.penstock.await_ready(GUEST)
        # In the first round it loses its local memory, too.
        killer.kill(WORKERS[1], forgets=not rounds)
        killer.penstock.stop(GUEST)
        rounds += 1
    return 2 * rounds


def _drawn_up(penstock: Penstock, events: list[Post], killer: Killer) -> Ledger:
    memos = [(found, decode_memo(found.value)) for found in penstock.read("memory") if found.value]
    known = {memo.content_digest for _, memo in memos}
    settled = [float(found.timestamp_ms) for found, _ in memos]
    for found in penstock.read("verdicts"):
        verdict = decode_verdict(found.value)
        if verdict.decided_by == "model" and verdict.content_digest not in known:
            settled.append(float(found.timestamp_ms))
    settled.sort()
    unsettled = [unsettled_at(held, since, settled) for held, since in killer.kills]
    remembered = {memo.original.id for _, memo in memos}
    return ledger(events, remembered, unsettled, penstock.node().completions)


def _assert_one_effective_verdict_each(penstock: Penstock, events: list[Post]) -> None:
    effective = EffectiveVerdicts(keys_max=2 * len(events))
    counted = Counter(verdict.id for verdict in penstock.verdicts() if effective.add(verdict))
    assert set(counted) == {post.id for post in events}
    assert set(counted.values()) == {1}


def _assert_known_after_a_loss(penstock: Penstock, events: list[Post]) -> None:
    """A worker is killed at rest, where nothing is unsettled, and loses its directory: nobody is asked."""
    _await_memory(penstock, WORKERS[1])
    before = penstock.node().completions
    penstock.kill(WORKERS[1])
    forget(penstock, WORKERS[1])
    penstock.start(WORKERS[1])
    penstock.await_ready(WORKERS[1])
    known = dict.fromkeys(post.text for post in events if "ignore" not in post.text)
    again = [Post(f"again-{number}", text) for number, text in enumerate([*known][:AGAIN])]
    _send(penstock, again)
    verdicts = penstock.await_verdicts([post.id for post in again], within_s=60)
    assert Counter(verdict.decided_by for verdict in verdicts.values()) == {"cache": AGAIN}
    assert penstock.node().completions == before
    assert _await_memory(penstock, WORKERS[1]).restored > 0


def _await_memory(penstock: Penstock, name: str) -> MemoryStatus:
    """Wait until a worker has memories, and all of them are whole; what it says of them."""
    penstock.await_ready(name)

    def whole() -> MemoryStatus | None:
        status = worker_statuses(penstock.data_dir).get(name)
        memory = status.memory if status else None
        return memory if memory and memory.partitions and not memory.restoring else None

    found = until(whole, within_s=60, what=f"{name} has its memories")
    assert found
    return found


def _send(penstock: Penstock, some: list[Post]) -> None:
    writer = Writer(penstock.settings, reach(penstock.settings))
    for post in some:
        writer.write(f"{penstock.prefix}content.low", post.id.encode(), json.dumps(as_event(post)).encode())
    writer.flush()

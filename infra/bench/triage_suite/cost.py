"""CPU of a post and posts in a second: the stage, a plain loop and the peers in turns.

What an engine adds is all of a post's CPU less the work that every contender does by the same functions:
decode, decide, encode. That work is measured alone in the same rounds; so is the decision in it, and what is
beyond the decision only is told beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.effort import Effort
from infra.bench.measuring import Timed, cpu_us_per_event
from infra.bench.report import Finding
from infra.bench.triage_suite.ground import job_for, stage_topics
from infra.bench.triage_suite.peers import PEERS, NoEnvironment, interpreter_of
from infra.bench.triage_suite.work import Work, source_of, values
from schemas.event import Source
from schemas.settings import LimitSettings
from schemas.wire import event_decoder
from streams.core.digest import content_digest
from streams.core.triage import triage
from streams.topics import Topics

_OURS = ("plain loop", "stage")
_OF_PLAIN_MIN = 0.8
_TURNS = 5
"""How often the posts are gone through, for the decision alone."""


def run(arena: Arena, effort: Effort) -> Iterable[Finding]:
    """All of them."""
    contenders = [*_OURS, *_installed(arena)]
    posts, work = values(), Work(Topics())

    def one_round() -> dict[str, float]:
        topics = stage_topics(arena)
        arena.fill(topics.content("critical"), effort.events, posts)
        figures: dict[str, float] = {}
        for name in contenders:
            outcome = arena.run(job_for(arena, name, topics, effort.events))
            figures |= {f"{name} us": outcome.cpu_us, f"{name} /s": outcome.rate}
        arena.delete(topics.content("critical"), topics.verdicts, topics.pending("critical"))
        return figures | _alone(work, posts)

    yield from findings(effort.medians(one_round))


def _installed(arena: Arena) -> Iterable[str]:
    for peer in PEERS:
        try:
            arena.interpreters[peer.name] = interpreter_of(peer)
        except NoEnvironment as trouble:
            print(f"  {peer.name} cannot be installed here, so nothing is shown beside it: {trouble}")
        else:
            yield peer.name


def findings(figures: Mapping[str, float]) -> Iterable[Finding]:
    """What the figures say; a peer that is missing among them is a target that is missed."""
    plain = _Contender.of("plain loop", figures)
    stage = _Contender.of("stage", figures)
    decision_us, work_us = figures["decision us"], figures["work us"]
    yield Finding(what="the decision alone", ours=decision_us, unit="us")
    yield Finding(what="decode, decide, encode", ours=work_us, unit="us")
    yield Finding(
        what="posts in a second",
        ours=stage.rate,
        peer=plain.rate,
        unit="/s",
    )
    yield Finding(what="CPU of a post", ours=stage.cpu_us, peer=plain.cpu_us, unit="us")
    yield Finding(
        what="posts in a second of CPU",
        ours=1e6 / stage.cpu_us,
        peer=1e6 / plain.cpu_us,
        unit="/s",
        target=_OF_PLAIN_MIN,
        bound="at least",
    )
    for peer in PEERS:
        other = _Contender.of(peer.name, figures)
        yield Finding(what=f"posts in a second, {peer.name}", ours=stage.rate, peer=other.rate, unit="/s")
        yield Finding(what=f"CPU of a post, {peer.name}", ours=stage.cpu_us, peer=other.cpu_us, unit="us")
        yield Finding(
            what=f"the engine's overhead, {peer.name}",
            ours=stage.cpu_us - work_us,
            peer=other.cpu_us - work_us,
            unit="us",
            target=peer.overhead_ratio_max,
        )
        yield Finding(
            what=f"beyond the decision, {peer.name}",
            ours=stage.cpu_us - decision_us,
            peer=other.cpu_us - decision_us,
            unit="us",
        )


@dataclass(frozen=True, slots=True)
class _Contender:
    cpu_us: float
    rate: float

    @classmethod
    def of(cls, name: str, figures: Mapping[str, float]) -> _Contender:
        # Nothing compares with what is no number: no target is met by it.
        return cls(figures.get(f"{name} us", math.nan), figures.get(f"{name} /s", math.nan))


def _alone(work: Work, posts: list[bytes]) -> dict[str, float]:
    found = cpu_us_per_event(
        {"decision us": lambda: _decision(work, posts), "work us": lambda: _work(work, posts)}, rounds=1
    )
    return dict(found)


def _decision(work: Work, posts: list[bytes]) -> Timed:
    decode = event_decoder(LimitSettings().record_bytes_max)
    # Decoded anew for every turn: nothing is kept from the last.
    events = [decode(value) for value in posts * _TURNS]
    digests = [content_digest(event, secret=b"", scope="tenant") for event in events]

    def timed() -> int:
        for event, digest in zip(events, digests, strict=True):
            triage(event, work.policy, digest=digest)
        return len(events)

    return timed


def _work(work: Work, posts: list[bytes]) -> Timed:
    source = Source(topic=source_of(""), partition=0, offset=0, timestamp_ms=0)

    def timed() -> int:
        for _ in range(_TURNS):
            for value in posts:
                work(value, source)
        return _TURNS * len(posts)

    return timed

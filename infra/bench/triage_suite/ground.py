"""The topics of a stage on the arena, and what a contender is told of them."""

from __future__ import annotations

import msgspec

from infra.bench.engine_suite.arena import Arena
from infra.bench.engine_suite.jobs import Job
from schemas.event import PRIORITIES
from streams.topics import Topics


def stage_topics(arena: Arena) -> Topics:
    """All topics of the fast path, new and empty."""
    topics = Topics(prefix=arena.new_prefix())
    for priority in PRIORITIES:
        arena.made(topics.content(priority))
        arena.made(topics.pending(priority))
    for name in (topics.verdicts, topics.dead_letters):
        arena.made(name)
    return topics


def job_for(arena: Arena, contender: str, topics: Topics, records: int) -> Job:
    """Read all that is critical; what comes out is a verdict or pending."""
    source = topics.content("critical")
    job = arena.job(contender, "triage", {source: topics.verdicts}, {source: records})
    return msgspec.structs.replace(job, outputs=(topics.pending("critical"),))

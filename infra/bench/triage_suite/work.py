"""What all contenders do with a record: decode, normalise, match, decide, encode. And the posts for it.

The policy is as large as they get. Of the posts every second one has a term of it, so that rules decide half
of them, as they do of real traffic; the others go on to a judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from infra.bench.deciding import ENGLISH
from infra.bench.engine_suite.jobs import Job
from infra.bench.engine_suite.pacing import MOMENT
from infra.bench.policies import large_policy
from schemas.event import Moderate, Source
from schemas.pending import Pending
from schemas.policy import TermsRule
from schemas.settings import LimitSettings
from schemas.wire import check_text, encode, event_decoder
from streams.clock import SystemClock
from streams.core.digest import content_digest
from streams.core.judging import Case, moment, rule_verdict, timing
from streams.core.rules import compile_policy
from streams.core.triage import Decided, triage
from streams.ports import Outgoing
from streams.records import pending_record, verdict_record
from streams.topics import Topics

_TEXT_CHARACTERS = 300
_POSTS = 1_000
_LIMITS = LimitSettings()
_SOURCE = "content.critical"


def source_of(prefix: str) -> str:
    """The topic with the posts."""
    return f"{prefix}{_SOURCE}"


def topics_of(job: Job) -> Topics:
    """All topics of a run, by the name of the one it reads."""
    [source] = job.routes
    return Topics(prefix=source.removesuffix(_SOURCE))


class Work:
    """The work on one record after the other."""

    def __init__(self, topics: Topics) -> None:
        self.policy = compile_policy(large_policy())
        self._topics = topics
        self._decode = event_decoder(_LIMITS.record_bytes_max)
        self._clock = SystemClock()

    def __call__(self, value: bytes, source: Source) -> Outgoing:
        """A verdict or a pending record, as the stage writes them."""
        began_ms = self._clock.now_ms()
        event = self._decode(value)
        check_text(event, _LIMITS.text_bytes_max)
        digest = content_digest(event, secret=b"", scope="tenant")
        priority = self.policy.priority(self._topics.priority_of(source.topic), event.kind)
        case = Case(event, digest, priority, source, self.policy.ref)
        decision = triage(event, self.policy, digest=digest, at_ms=source.timestamp_ms)
        if isinstance(decision, Decided):
            now_ms = self._clock.wall_ms()
            spent = timing(
                written_at_ms=source.timestamp_ms,
                decided_at_ms=now_ms,
                worker_ms=self._clock.now_ms() - began_ms,
            )
            verdict = rule_verdict(case, decision, spent, moment(now_ms), enforce=True)
            return verdict_record(self._topics, verdict, None)
        pending = Pending(
            v=1,
            content_digest=digest,
            priority=priority,
            event=event,
            source=source,
            policy=case.policy,
            flags=decision.flags,
            obfuscation=decision.obfuscation,
            shadow_hits=decision.shadow_hits,
        )
        return pending_record(self._topics, pending, None)


def texts() -> list[str]:
    """Plain English; every second text has a forbidden word in it."""
    words = _forbidden()
    return [
        f"{words[number % len(words)]} {_english(number)}"[:_TEXT_CHARACTERS]
        if number % 2
        else _english(number)
        for number in range(_POSTS)
    ]


def values() -> list[bytes]:
    """The posts as records, as full as an app writes them."""
    return [_post(f"3f0e9b52-7c1d-4e7a-9a55-{number:012d}", text) for number, text in enumerate(texts())]


def dated_post() -> bytes:
    """One that is decided, and whose id is the moment at which it was sent."""
    return _post(MOMENT.decode(), texts()[1])


def _post(event_id: str, text: str) -> bytes:
    return encode(
        Moderate(
            v=1,
            id=event_id,
            text=text,
            author="a81bc81b-dead-4e5d-abff-90865d1e13b1",
            tenant="default",
            lang="en",
            created_at=datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC),
        )
    )


def _english(number: int) -> str:
    start = number % len(ENGLISH)
    return " ".join([*ENGLISH[start:], *ENGLISH, f"{number}"])[:_TEXT_CHARACTERS]


def _forbidden() -> Sequence[str]:
    rules = large_policy().rules
    return [
        word for rule in rules if isinstance(rule, TermsRule) and not rule.anywhere for word in rule.terms
    ]

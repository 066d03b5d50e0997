"""The events of a demonstration: a mix of kinds, priorities and tenants, the same for the same seed.

About a fifth repeats an earlier text under a new id, as communities do. Pure but for its own seeded chance:
it neither sends nor waits. The ids carry the run, so that two runs never share one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random
from typing import NamedTuple, TypeVar

from infra.load import corpus
from schemas.event import AnalyzeUser, Event, HealthCheck, Moderate, Priority, ReviewBan, Scan

T = TypeVar("T")

REPEATED_SHARE = 0.2
_TENANTS = ("forum", "forum", "forum", "shop", "games")
_REMEMBERED = 500
# (kind, its share). The urgent ones are the most frequent, as in a community that people write in.
_KINDS = (
    ("moderate", 0.72),
    ("scan", 0.16),
    ("review_ban", 0.05),
    ("analyze_user", 0.05),
    ("health_check", 0.02),
)
_PRIORITIES: dict[str, Priority] = {
    "moderate": "critical",
    "review_ban": "high",
    "scan": "medium",
    "analyze_user": "low",
    "health_check": "low",
}
# Of the posts. With bans, accounts and health, which no rule decides, about half of all are decided by rules.
_SORTS = ((corpus.PLAIN, 0.38), (corpus.OBVIOUS, 0.20), (corpus.HARMLESS, 0.28), (corpus.DOUBTFUL, 0.14))


class Sent(NamedTuple):
    """One event, and how urgent it is."""

    priority: Priority
    event: Event


class Traffic:
    """Events one after the other, without an end."""

    def __init__(self, run: str, *, seed: int = 0) -> None:
        self.run = run
        self.made = 0
        self._chance = Random(seed)  # noqa: S311  The same each time is what is wanted.
        self._earlier: deque[str] = deque(maxlen=_REMEMBERED)

    def __repr__(self) -> str:
        return f"<Traffic {self.run} | {self.made} made>"

    def __iter__(self) -> Traffic:
        return self

    def __next__(self) -> Sent:
        """The next event."""
        self.made += 1
        kind = _drawn(self._chance, _KINDS)
        return Sent(_PRIORITIES[kind], self._event(kind))

    def is_own(self, event_id: str) -> bool:
        """Whether an event of this id is of this run."""
        return event_id.startswith(f"{self.run}-")

    def _event(self, kind: str) -> Event:
        event_id = f"{self.run}-{self.made:06d}"
        tenant = self._chance.choice(_TENANTS)
        author = f"user-{self._chance.randrange(400)}"
        match kind:
            case "review_ban":
                return ReviewBan(
                    v=1,
                    id=event_id,
                    tenant=tenant,
                    account=author,
                    ground=self._chance.choice(corpus.GROUNDS),
                    evidence=(self._text(), self._text()),
                    text=self._chance.choice(corpus.APPEALS),
                )
            case "analyze_user":
                posts = tuple(self._text() for _ in range(4))
                return AnalyzeUser(v=1, id=event_id, tenant=tenant, account=author, posts=posts)
            case "health_check":
                aggregates = {
                    "posts_per_hour": float(self._chance.randrange(100, 900)),
                    "reports_per_hour": 7.0,
                }
                return HealthCheck(
                    v=1,
                    id=event_id,
                    tenant=tenant,
                    aggregates=aggregates,
                    samples=(self._text(), self._text()),
                )
            case "scan":
                return Scan(v=1, id=event_id, tenant=tenant, author=author, text=self._text())
            case _:
                return Moderate(v=1, id=event_id, tenant=tenant, author=author, text=self._text())

    def _text(self) -> str:
        if self._earlier and self._chance.random() < REPEATED_SHARE:
            return self._chance.choice(self._earlier)
        template = self._chance.choice(_drawn(self._chance, _SORTS))
        text = template.format(
            number=self._chance.randrange(2, 9_000),
            thing=self._chance.choice(corpus.THINGS),
            place=self._chance.choice(corpus.PLACES),
            month=self._chance.choice(corpus.MONTHS),
        )
        self._earlier.append(text)
        return text


def _drawn(chance: Random, shares: Sequence[tuple[T, float]]) -> T:
    """One of several, by their shares."""
    point = chance.random() * sum(share for _, share in shares)
    for one, share in shares:
        point -= share
        if point < 0:
            return one
    return shares[-1][0]

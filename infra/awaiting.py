"""Awaits the verdicts on events that were just sent, and no others: `send --wait`.

Begun before anything is sent, at the ends of `verdicts` and `dead-letters`, so that no answer can be missed.
An answer is recognised by the record that it is about, or a later one of the same id: an older post under the
same id may still be under way. Several records may have one id, as an edited post keeps it: each is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from infra.clients import Cluster, Reader
from schemas.dead_letter import DeadLetter
from schemas.errors import WireError
from schemas.event import Source
from schemas.settings import Settings
from schemas.verdict import Verdict
from schemas.wire import decode_dead_letter, decode_verdict
from streams.topics import Topics


class Place(NamedTuple):
    """Where an event was written."""

    topic: str
    partition: int
    offset: int

    def is_answered_by(self, source: Source) -> bool:
        """Whether an answer with this source is to this record, or to a later one in its partition."""
        return (
            source.topic == self.topic and source.partition == self.partition and source.offset >= self.offset
        )


class Awaited:
    """Which events still have no answer. Decides; reads nothing."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[Place]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def expect(self, tenant: str, event_id: str, place: Place) -> None:
        """Wait for the answer to this event, too."""
        self._places.setdefault((tenant, event_id), []).append(place)

    def take(self, answer: Verdict | DeadLetter) -> bool:
        """Whether this is an answer that was waited for; it is then waited for no longer.

        A provisional verdict is none: its final one is to come.
        """
        key = (answer.tenant, answer.id)
        source = answer.source if isinstance(answer, Verdict) else answer.event or answer.source
        answered = [place for place in self._places.get(key, ()) if place.is_answered_by(source)]
        if not answered or (isinstance(answer, Verdict) and answer.status == "provisional"):
            return False
        # The record itself, if it is awaited; else the first before it. Verdicts may come in any order.
        self._places[key].remove(next((one for one in answered if one.offset == source.offset), answered[0]))
        if not self._places[key]:
            del self._places[key]
        return True

    @property
    def ids(self) -> list[str]:
        """The ids that have no answer."""
        return [event_id for (_, event_id), places in self._places.items() for _ in places]


class Answers:
    """Reads verdicts and dead letters from where they ended when it was made."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._topics = Topics.of(settings.topics)
        self._reader = Reader(settings, cluster)
        self._reader.start_at_end([self._topics.verdicts, self._topics.dead_letters])

    def close(self) -> None:
        """Leave."""
        self._reader.close()

    def read(self) -> Iterator[Verdict | DeadLetter]:
        """What has come; returns after a moment if nothing has."""
        for found in self._reader.read():
            decode = decode_verdict if found.topic == self._topics.verdicts else decode_dead_letter
            try:
                yield decode(found.value)
            except WireError:
                # Not an answer that we could show; if it was ours, the time-out says so.
                continue

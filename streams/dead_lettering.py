"""Making dead letters: the reason, and the original record whole. Nothing here is dropped in silence."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.dead_letter import DeadLetter, Header, Stage
from schemas.errors import WireError
from schemas.event import Source
from schemas.wire import encode, identity_of, identity_of_pending, verdict_key
from streams.core.partitioning import partition_of
from streams.ports import BY_KEY, Clock, Outgoing, Record
from streams.records import source_of
from streams.topics import Topics

_DETAIL_CHARACTERS_MAX = 500
# What the code alone would leave open, where whoever gave up said no more.
_DETAILS = {"unknown_policy": "there is no policy of this id, or no longer the document that triage used"}
# A record of 1 MiB may have a hundred thousand headers, which as JSON would be larger than any letter may be.
_HEADERS_MAX = 64


class DeadLetters:
    """Makes the dead letters of one stage."""

    def __init__(self, stage: Stage, topics: Topics, clock: Clock) -> None:
        self.stage: Stage = stage
        self._topics = topics
        self._clock = clock

    def of_wire_error(self, record: Record, error: WireError) -> Outgoing:
        """For a record that could not be decoded; under the event's key, where that can be read."""
        return self.of(record, code=error.code, detail=error.detail, path=error.path)

    def of_bug(self, record: Record, bug: Exception) -> Outgoing:
        """For a record at which the stage itself failed: only the name of the error is told."""
        return self.of(record, code="stage_failed", detail=type(bug).__name__)

    def of(  # noqa: PLR0913 - the fields of a dead letter
        self,
        record: Record,
        *,
        code: str,
        detail: str = "",
        path: str = "$",
        attempts: int = 0,
        tenant: str = "",
        event_id: str = "",
        event: Source | None = None,
        is_bare: bool = False,
    ) -> Outgoing:
        """A dead letter that carries the record, or, where it is bare, only says where that stands."""
        if not event_id:
            tenant, event_id = self._identity_in(record)
        letter = DeadLetter(
            v=1,
            stage=self.stage,
            code=code,
            detail=(detail or _DETAILS.get(code, ""))[:_DETAIL_CHARACTERS_MAX] + _left_out(record),
            path=path,
            attempts=attempts,
            source=source_of(record),
            payload=None if is_bare else record.value,
            failed_at=datetime.fromtimestamp(self._clock.wall_ms() / 1_000, UTC),
            key=None if is_bare else record.key,
            headers=() if is_bare else _headers(record),
            tenant=tenant,
            id=event_id,
            event=event,
        )
        return Outgoing(self._topics.dead_letters, *self._place(record, tenant, event_id), encode(letter))

    def _place(self, record: Record, tenant: str, event_id: str) -> tuple[int, bytes | None]:
        """Partition and key: the event's own place, where its id can be read."""
        if event_id:
            return BY_KEY, verdict_key(tenant, event_id)
        # Without a key, librdkafka would choose by chance. The original's offset spreads the letters as well,
        # and a retry finds the same place.
        return partition_of(str(record.offset).encode(), self._topics.partitions), None

    def _identity_in(self, record: Record) -> tuple[str, str]:
        """Tenant and id of the event, as far as they can be read."""
        return identity_of_pending(record.value) if self.stage == "judge" else identity_of(record.value)


def _headers(record: Record) -> tuple[Header, ...]:
    return tuple(Header(key=key, value=value) for key, value in record.headers[:_HEADERS_MAX])


def _left_out(record: Record) -> str:
    count = len(record.headers) - _HEADERS_MAX
    return f" ({count} headers left out)" if count > 0 else ""

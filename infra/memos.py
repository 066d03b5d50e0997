"""What stands in the changelog `memory` about a text or a question, for a person who asks.

It reads what every worker could know; whether a worker has it at hand is another matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from infra.clients import Cluster, Found, partitions_of
from infra.errors import ExitCode, Failure
from infra.reading import read_to_end
from infra.terminal import safe
from schemas.errors import UnknownVersion, WireError
from schemas.memory import Memo
from schemas.settings import Settings
from schemas.wire import decode_memo
from streams.core.cuts import Cuts
from streams.core.judging import moment
from streams.core.partitioning import partition_of
from streams.recalling import is_expired
from streams.remembering import limits_of
from streams.topics import Topics

State = Literal["answers", "expired", "forgotten"]

# The end of the last year that a date may have.
_LAST_MS = 253_402_300_799_000


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, and whether it stands for copies."""

    state: State
    stands_until_ms: int
    """By its own word, or by the limit of all where that is sooner."""
    memo: Memo


def find(settings: Settings, cluster: Cluster, digest: str, cuts: Cuts, now_ms: int) -> list[Remembered]:
    """All answers about a content, or to a question, the newest first.

    A content's answers stand in the partition of its pending records. A question's stand in that of its
    content, which its digest does not tell: where the first partition has nothing, all are read.
    """
    topic = Topics.of(settings.topics).memory
    home = partition_of(digest.encode(), partitions_of(cluster, topic))
    memos = standing(read_to_end(settings, cluster, topic, home), digest)
    if not memos:
        memos = standing(read_to_end(settings, cluster, topic), digest)
    found = [remembered(memo, cuts, now_ms, limits_of(settings.memory).ttl_ms) for memo in memos]
    return sorted(found, key=lambda one: -one.memo.judged_at_ms)


def standing(records: Iterable[Found], digest: str) -> list[Memo]:
    """What the records come to, as far as it is about this digest: of each question the latest."""
    wanted = digest.encode()
    memos: dict[bytes, Memo] = {}
    for record in records:
        key, value = record.key or b"", record.value
        # A look at the bytes spares decoding what is about something else.
        if value is None or (key != wanted and wanted not in value):
            memos.pop(key, None)
            continue
        memo = _decoded(record)
        if memo is not None and digest in (memo.content_digest, memo.question_digest):
            memos[key] = memo
    return list(memos.values())


def remembered(memo: Memo, cuts: Cuts, now_ms: int, ttl_ms: int) -> Remembered:
    """What becomes of an answer, by the orders and the limits that workers hold it to."""
    state: State = "answers"
    if cuts.refuses(memo):
        state = "forgotten"
    elif is_expired(memo, now_ms, ttl_ms):
        state = "expired"
    return Remembered(
        state=state, memo=memo, stands_until_ms=min(memo.expires_at_ms, memo.judged_at_ms + ttl_ms)
    )


def told(one: Remembered) -> Iterator[str]:
    """An answer for a person, as lines."""
    memo = one.memo
    labels = ", ".join(f"{safe(label.name)} {label.score:.2f}" for label in memo.labels)
    who = f"model {safe(memo.model.name)} on {safe(memo.model.node)}" if memo.model else "a person"
    yield f"{memo.action:<6}  {one.state:<9}  {labels or ', '.join(map(safe, memo.reasons))}".rstrip()
    yield f"  question {memo.question_digest}, content {memo.content_digest}, {memo.kind}"
    policy = f"policy {safe(memo.policy.id)} version {memo.policy.version}"
    yield f"  by {who}, {memo.confidence:.0%} sure, {policy}"
    yield f"  judged {_at(memo.judged_at_ms)}, stands until {_at(one.stands_until_ms)} (UTC)"
    yield f"  first asked about {safe(memo.original.tenant)}/{safe(memo.original.id)}"


def _at(wall_ms: int) -> str:
    return f"{moment(min(wall_ms, _LAST_MS)):%Y-%m-%d %H:%M:%S}"


def _decoded(record: Found) -> Memo | None:
    try:
        return decode_memo(record.value)
    except UnknownVersion as error:
        raise Failure(
            f"A newer Penstock wrote to the topic {record.topic} ({error.detail}): update this one.",
            exit_code=ExitCode.UNKNOWN_VERSION,
        ) from None
    except WireError:
        # Not a memo: no worker answers with it.
        return None

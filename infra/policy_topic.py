"""Policies in Kafka: publishing one, and reading what is published. For commands; workers have a broadcast.

A document is written first and confirmed, and only then the pointer that makes it active: whoever sees the
pointer has the document. Files and their mistakes are `infra.policies`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from infra.clients import Cluster, Found, Writer, reach
from infra.errors import ExitCode, Failure
from infra.reading import read_to_end, refuse
from infra.terminal import visible
from schemas.errors import UnknownVersion, WireError
from schemas.policy import ActivePolicy
from schemas.settings import Settings
from schemas.verdict import PolicyRef
from schemas.wire import encode
from streams.core.newer import NewerRecords
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.rules import BadPolicy, CompiledPolicy, Document, compile_document
from streams.topics import Topics

HISTORY_MAX = 1_000


class Refused(NamedTuple):
    """Why a policy may not replace the active one."""

    reason: str


class Published(NamedTuple):
    """What the topic says now, and since when it says each thing."""

    book: PolicyBook
    written_at_ms: Mapping[bytes | None, int]
    """Of the latest record of each key."""


def read_book(settings: Settings, cluster: Cluster | None = None) -> PolicyBook:
    """Everything that the topic says now. Nothing is compiled."""
    return read_published(settings, cluster).book


def read_published(settings: Settings, cluster: Cluster | None = None) -> Published:
    """The same, with the times."""
    cluster = cluster or reach(settings)
    topic = Topics.of(settings.topics).policy
    book, newer = PolicyBook(), NewerRecords()
    written_at_ms: dict[bytes | None, int] = {}
    for found in read_to_end(settings, cluster, topic):
        _apply(book, newer, found)
        written_at_ms[found.key] = found.timestamp_ms
    refuse(newer, topic)
    return Published(book, written_at_ms)


def push(compiled: CompiledPolicy, settings: Settings) -> Literal["active", "already_active"]:
    """Publish a checked policy and make it active; a `Failure` where it may not replace what is."""
    cluster = reach(settings)
    book = read_book(settings, cluster)
    pointer = book.pointer(compiled.ref.id)
    if pointer and (active := book.document(pointer.digest)) and active.policy == compiled.policy:
        # An older release wrote the same in fewer words.
        return "already_active"
    match succession(pointer, compiled, newest=_newest(book, pointer)):
        case None:
            return "already_active"
        case Refused(reason):
            raise Failure(reason, exit_code=ExitCode.POLICY)
        case ActivePolicy() as successor:
            _write(settings, cluster, compiled, successor)
            return "active"


def roll_back(pointer: ActivePolicy, document: Document, settings: Settings) -> None:
    """Make a document active again that stands in the topic; a `Failure` where this release refuses it."""
    try:
        compile_document(document)
    except BadPolicy as bad:
        raise Failure(
            f"Version {document.ref.version} of `{pointer.id}` cannot judge any more: {visible(str(bad))}",
            exit_code=ExitCode.POLICY,
        ) from None
    cluster = reach(settings)
    writer = Writer(settings, cluster)
    successor = successor_of(pointer, document.ref)
    writer.write(Topics.of(settings.topics).policy, active_key(successor.id), encode(successor))
    writer.flush()


def push_if_none(compiled: CompiledPolicy, settings: Settings) -> bool:
    """Publish a policy if its id has none yet: what somebody chose is never replaced. Whether it was."""
    cluster = reach(settings)
    if read_book(settings, cluster).pointer(compiled.ref.id) is not None:
        return False
    successor = succession(None, compiled)
    assert isinstance(successor, ActivePolicy)
    _write(settings, cluster, compiled, successor)
    return True


def succession(
    pointer: ActivePolicy | None, compiled: CompiledPolicy, *, newest: int = 0
) -> ActivePolicy | Refused | None:
    """The pointer that makes a policy active; None if it is.

    A version names one document: verdicts tell it, and people compare it. So a change without a new version
    is refused, and so is a version below the newest that was ever active; going back is `roll_back`.
    """
    ref = compiled.ref
    if pointer is None:
        return ActivePolicy(id=ref.id, version=ref.version, digest=ref.digest)
    if pointer.digest == ref.digest:
        return None
    newest = max(newest, pointer.version)
    if ref.version <= newest:
        return Refused(
            f"The policy `{ref.id}` is active in version {pointer.version}, and this one has version "
            f"{ref.version} but other contents: give it version {newest + 1} or more. To go back to an older "
            f"one: `penstock policy rollback {ref.id} --to VERSION`."
        )
    return successor_of(pointer, ref)


def successor_of(pointer: ActivePolicy, ref: PolicyRef) -> ActivePolicy:
    """The pointer to another document, with the present one in its history."""
    history = (*pointer.history, pointer.digest)[-HISTORY_MAX:]
    return ActivePolicy(id=ref.id, version=ref.version, digest=ref.digest, history=history)


def _newest(book: PolicyBook, pointer: ActivePolicy | None) -> int:
    """The highest version that was ever active, as far as its document is remembered."""
    known = [book.document(digest) for digest in (pointer.history if pointer else ())]
    return max((document.ref.version for document in known if document is not None), default=0)


def _write(settings: Settings, cluster: Cluster, compiled: CompiledPolicy, successor: ActivePolicy) -> None:
    topic = Topics.of(settings.topics).policy
    writer = Writer(settings, cluster)
    writer.write(topic, document_key(successor.digest), encode(compiled.policy))
    writer.flush()
    writer.write(topic, active_key(successor.id), encode(successor))
    writer.flush()


def _apply(book: PolicyBook, newer: NewerRecords, found: Found) -> None:
    try:
        book.apply(found.key, found.value)
    except UnknownVersion as error:
        newer.found(found, error)
        return
    except WireError:
        # A record that is no policy of ours stops no worker, and must not keep us from replacing it.
        pass
    newer.replaced(found)

"""Why a worker may not go on: the exit code of each reason, and the sentence that may be told of it."""

from __future__ import annotations

from collections.abc import Iterator

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    NoBrokersAvailable,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
    TopicAuthorizationFailedError,
)

from infra.errors import ExitCode, Failure
from schemas.errors import UnknownVersion
from streams.continuity import PositionLost
from streams.failing import CrashLoop
from streams.membership import Fenced
from streams.publishing import WriteForbidden
from streams.rescuing import Damaged

_CODES: dict[type[BaseException], ExitCode] = {
    CrashLoop: ExitCode.CRASH_LOOP,
    Damaged: ExitCode.DAMAGED,
    Fenced: ExitCode.FENCED,
    PositionLost: ExitCode.POSITION_LOST,
    UnknownVersion: ExitCode.UNKNOWN_VERSION,
    WriteForbidden: ExitCode.FORBIDDEN,
}
# What aiokafka raises where no broker answers, or none that can.
_AWAY = (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    NoBrokersAvailable,
    NodeNotReadyError,
    RequestTimedOutError,
    StaleMetadata,
)
_RIGHTS = {GroupAuthorizationFailedError: "group", TopicAuthorizationFailedError: "topic"}
RUNBOOK = "docs/operations.md"


def code_of(reason: BaseException) -> ExitCode:
    """The exit code; whatever nobody has thought of is a bug of ours."""
    return _judged(reason)[0]


def told(reason: BaseException) -> str:
    """A sentence of ours; of a foreign error only its name, because its words may quote content."""
    return _judged(reason)[1]


def is_told(reason: BaseException) -> bool:
    """Whether the last line of a worker says all there is to say: then nobody wants a traceback."""
    return code_of(reason) != ExitCode.UNEXPECTED


def _judged(reason: BaseException) -> tuple[ExitCode, str]:
    """The first known one among a reason and what it came from: libraries wrap errors in theirs."""
    for one in _chain(reason):
        if isinstance(one, Failure):
            return one.exit_code, str(one)
        if type(one) in _CODES:
            return _CODES[type(one)], str(one)
        if isinstance(one, _AWAY):
            return ExitCode.KAFKA_UNREACHABLE, (
                f"Kafka does not answer any more ({type(one).__name__}): see that its brokers run and that "
                "kafka.bootstrap leads to them, then start again"
            )
        if what := _RIGHTS.get(type(one)):
            return ExitCode.FORBIDDEN, (
                f"Kafka does not let our user read the {what} {_named(one)}: let an administrator give it "
                f"the right READ on that {what}"
            )
    return ExitCode.UNEXPECTED, type(reason).__name__


def _chain(reason: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = reason
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__


def _named(refusal: BaseException) -> str:
    """The groups or topics that a refusal is about; their names are ours."""
    about = refusal.args[0] if refusal.args else "(it does not say which)"
    return about if isinstance(about, str) else ", ".join(sorted(map(str, about)))


def last_words(code: ExitCode, sentence: str) -> str:
    """What a worker says at its very end: why, the code, and where to read what to do."""
    between = "\n  " if "\n" in sentence else " "
    return f'{sentence.rstrip(".")}.{between}What to do: {RUNBOOK}, "{heading(code)}".'


def heading(code: ExitCode) -> str:
    """The heading in the runbook under which a code stands."""
    return f"Exit code {code:d}: {code.name.lower().replace('_', ' ')}"

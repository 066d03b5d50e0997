"""Why a worker may not go on: the exit code of each reason, and the sentence that may be told of it."""

from __future__ import annotations

from infra.errors import ExitCode, Failure
from schemas.errors import UnknownVersion
from streams.transport import PositionLost


def code_of(reason: BaseException) -> ExitCode:
    """The exit code; whatever nobody has thought of is a bug of ours."""
    match reason:
        case Failure():
            return reason.exit_code
        case PositionLost():
            return ExitCode.POSITION_LOST
        case UnknownVersion():
            return ExitCode.UNKNOWN_VERSION
        case _:
            return ExitCode.UNEXPECTED


def told(reason: BaseException) -> str:
    """A sentence of ours as it is; of a foreign error only its name, because its words may quote content."""
    known = isinstance(reason, Failure | PositionLost | UnknownVersion)
    return str(reason) if known else type(reason).__name__

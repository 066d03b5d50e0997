"""Why a worker may not go on: the exit code of each reason, and the sentence that may be told of it."""

from __future__ import annotations

from infra.errors import ExitCode, Failure
from schemas.errors import UnknownVersion
from streams.failing import CrashLoop
from streams.membership import Fenced
from streams.transport import PositionLost

_CODES: dict[type[BaseException], ExitCode] = {
    CrashLoop: ExitCode.CRASH_LOOP,
    Fenced: ExitCode.FENCED,
    PositionLost: ExitCode.POSITION_LOST,
    UnknownVersion: ExitCode.UNKNOWN_VERSION,
}
RUNBOOK = "docs/operations.md"


def code_of(reason: BaseException) -> ExitCode:
    """The exit code; whatever nobody has thought of is a bug of ours."""
    if isinstance(reason, Failure):
        return reason.exit_code
    return _CODES.get(type(reason), ExitCode.UNEXPECTED)


def told(reason: BaseException) -> str:
    """A sentence of ours as it is; of a foreign error only its name, because its words may quote content."""
    known = isinstance(reason, Failure) or type(reason) in _CODES
    return str(reason) if known else type(reason).__name__


def last_words(code: ExitCode, sentence: str) -> str:
    """What a worker says at its very end: why, the code, and where to read what to do."""
    between = "\n  " if "\n" in sentence else " "
    return f'{sentence.rstrip(".")}.{between}What to do: {RUNBOOK}, "{heading(code)}".'


def heading(code: ExitCode) -> str:
    """The heading in the runbook under which a code stands."""
    return f"Exit code {code:d}: {code.name.lower().replace('_', ' ')}"

"""What to do about a child that died, and about a second signal. Without I/O."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from infra.errors import ExitCode
from schemas.settings import SuperviseSettings

# The first restart comes soon: most deaths are alone. Five of them wait 0.2 + 0.4 + 0.8 + 1.6 + 3.2 = 6.2 s
# together, so that a child that dies at once is given up well within its window of 60 s.
_DELAY_MS_FIRST = 200.0
_DELAY_MS_MAX = 5_000.0

# Who signals a whole process group signals `up` twice where `make` is between, which passes it on: that takes
# milliseconds. A person needs longer to see that the first Ctrl-C takes its time.
_SAME_SIGNAL_MS = 1_000.0

# What no restart mends: somebody has to change something first.
_MISTAKES = {
    ExitCode.USAGE,
    ExitCode.TOPICS,
    ExitCode.POLICY,
    ExitCode.POSITION_LOST,
    ExitCode.UNKNOWN_VERSION,
    ExitCode.FORBIDDEN,
    ExitCode.DAMAGED,
    # Started again, it would throw out the one that has replaced it, and so on for ever.
    ExitCode.FENCED,
}
# A mistake at the first start; later it may be the trace that a killed predecessor has left for a moment.
_MISTAKES_AT_FIRST = {ExitCode.EMBEDDED_KAFKA, ExitCode.TAKEN}


@dataclass(frozen=True, slots=True)
class Death:
    """One end of a child."""

    at_ms: float
    status: int
    """The exit code; negative: the signal."""
    was_ever_ready: bool
    last_words: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the child again after a pause."""

    delay_ms: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop everything, and say why."""

    reason: str
    exit_code: ExitCode


def restart_or_give_up(
    history: Sequence[Death], now_ms: float, settings: SuperviseSettings
) -> Restart | GiveUp:
    """Decide about the last death of a child's history.

    1. It says itself that somebody made a mistake: give up with its own sentence and code.
    2. It died more often within the window than it may be restarted: give up.
    3. Else restart, after a pause that doubles with each death in the window.
    """
    last = history[-1]
    if last.status in _MISTAKES or (last.status in _MISTAKES_AT_FIRST and not last.was_ever_ready):
        return GiveUp(_sentence_of(last), ExitCode(last.status))
    window_ms = settings.restart_window_s * 1_000
    deaths = sum(now_ms - death.at_ms < window_ms for death in history)
    if deaths > settings.restarts_max:
        return GiveUp(
            f"it died {deaths} times within {settings.restart_window_s} s, at last: {how(last.status)}"
            + (f" ({last.last_words})" if last.last_words else ""),
            ExitCode.CHILD_KEPT_DYING,
        )
    return Restart(min(_DELAY_MS_FIRST * 2 ** (deaths - 1), _DELAY_MS_MAX))


def is_in_a_hurry(number: signal.Signals, *, since_first_ms: float) -> bool:
    """Whether a signal that is not the first asks to kill what still runs.

    1. The hang-up, which often comes twice: no.
    2. One that comes at once is the first again, by another way.
    3. Else somebody has lost patience.
    """
    return number != signal.SIGHUP and since_first_ms >= _SAME_SIGNAL_MS


def is_blameless(status: int, *, needs_are_up: bool) -> bool:
    """Whether a child only says that what it needs is away: that is another child's death, counted there."""
    return not needs_are_up and status in {ExitCode.KAFKA_UNREACHABLE, ExitCode.NODE_UNREACHABLE}


def how(status: int) -> str:
    """How a process ended, in words: a signal by its name, one of our codes by its meaning."""
    if status >= 0:
        known = status in ExitCode.__members__.values() and status != ExitCode.OK
        meaning = f", {_meaning(ExitCode(status))}" if known else ""
        return f"exit code {status}{meaning}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"{name}, by somebody or for want of memory" if name == "SIGKILL" else name


def _meaning(code: ExitCode) -> str:
    # The name alone would send who has a full disk the wrong way.
    return "taken or not writable" if code == ExitCode.TAKEN else code.name.lower().replace("_", " ")


def _sentence_of(death: Death) -> str:
    return death.last_words or f"it ended with {how(death.status)}"

"""Verdicts and dead letters as a person reads them: one line each, everything a stranger chose made safe."""

from __future__ import annotations

from infra.terminal import safe, visible
from infra.wording import told_of_event
from schemas.dead_letter import DeadLetter
from schemas.verdict import Verdict

_ACTION_WIDTH = max(map(len, ("allow", "label", "review", "block")))
# As long as the ids of the demonstration; a longer one moves its own line only.
_WHO_WIDTH = 21
_DECIDED_WIDTH = max(map(len, ("rule", "cache", "model", "fallback", "person")))


def verdict_line(verdict: Verdict) -> str:
    """Action, who decided, id, how long it waited and was thought about, and why."""
    timing = verdict.timing
    labels = ", ".join(f"{safe(label.name)} {label.score:.2f}" for label in verdict.labels)
    who = f"{safe(verdict.tenant)}/{safe(verdict.id)}"
    provisional = "" if verdict.status == "final" else f" ({verdict.status})"
    return (
        f"{verdict.action:<{_ACTION_WIDTH}}  {verdict.decided_by:<{_DECIDED_WIDTH}}  "
        f"{who:<{_WHO_WIDTH}}  waited {timing.kafka_ms + timing.queue_ms:.0f} ms, "
        f"inferred {timing.inference_ms:.0f} ms  {labels or _why(verdict)}{provisional}"
    ).rstrip()


def dead_letter_line(letter: DeadLetter) -> str:
    """Where it failed, why, and how large it was; of its content nothing."""
    who = f"{safe(letter.tenant)}/{safe(letter.id)}" if letter.id else "(no readable id)"
    size = "no payload" if letter.payload is None else f"{len(letter.payload)} bytes"
    source = letter.source
    return (
        f"{letter.failed_at:%Y-%m-%d %H:%M:%S}  {letter.stage}  {letter.code}  {who}  {size}, "
        f"{letter.attempts} attempts, from {source.topic}/{source.partition}@{source.offset}  "
        f"{visible(_told(letter))} (at {visible(letter.path)})"
    )


def _told(letter: DeadLetter) -> str:
    """In the words of `send`."""
    return told_of_event(letter.detail, letter.path, letter.code)


def _why(verdict: Verdict) -> str:
    return ", ".join(map(safe, verdict.reasons))

"""How `up` stands, in one line: children, verdicts by who decided, rate, waits, lag and its causes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from infra.counting import counted
from infra.load.tally import RunTally
from infra.supervise.hearing import Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The figures of the status line."""

    up: int
    children: int
    restarts: int
    sent: int | None
    tally: RunTally
    elapsed_s: float
    heard: Heard

    def __str__(self) -> str:
        # What one should know stands where no terminal is too narrow for it.
        parts = [self._children(), *self.heard.remarks, self._verdicts()]
        if waits := self.tally.waits_ms(0.5, 0.95):
            parts.append(f"wait p50 {waits[0]:.0f} ms, p95 {waits[1]:.0f} ms")
        if inferences := self.tally.inferences_ms(0.5):
            parts.append(f"inference p50 {inferences[0]:.0f} ms")
        parts.append(f"lag {'?' if self.heard.lag is None else self.heard.lag}")
        if self.tally.dead_letters:
            parts.append(counted(self.tally.dead_letters, "dead letter"))
        return " | ".join(parts)

    def _children(self) -> str:
        restarts = f", {counted(self.restarts, 'restart')}" if self.restarts else ""
        return f"{self.up}/{self.children} up{restarts}"

    def _verdicts(self) -> str:
        total = self.tally.verdicts
        rate = total / self.elapsed_s if self.elapsed_s > 0 else 0.0
        of = f" of {self.sent} sent" if self.sent is not None else ""
        decided = ", ".join(f"{name} {count}" for name, count in self.tally.decided_by.items() if count)
        return f"{counted(total, 'verdict')}{of} ({rate:.1f}/s){f': {decided}' if decided else ''}"

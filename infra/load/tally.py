"""What came of a run, from its verdicts: counts, and how long they waited and were thought about. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from infra.counting import counted
from schemas.verdict import Verdict

# Percentiles are those of the last so many: exact for a demonstration, bounded for a long run.
_SAMPLES_MAX = 20_000


class RunTally:
    """Effective verdicts and dead letters of one run."""

    def __init__(self) -> None:
        self.dead_letters = 0
        self._latest: dict[tuple[str, str], tuple[str, str]] = {}
        self._decided_by: Counter[str] = Counter()
        self._actions: Counter[str] = Counter()
        self._waits_ms: deque[float] = deque(maxlen=_SAMPLES_MAX)
        self._inferences_ms: deque[float] = deque(maxlen=_SAMPLES_MAX)

    def __repr__(self) -> str:
        return f"<RunTally {self.verdicts} verdicts, {self.dead_letters} dead letters>"

    @property
    def verdicts(self) -> int:
        """How many events have a verdict."""
        return self._decided_by.total()

    @property
    def decided_by(self) -> dict[str, int]:
        """Verdicts by who decided, the most frequent first."""
        return dict(self._decided_by.most_common())

    def add(self, verdict: Verdict) -> None:
        """Count an effective verdict; one of a higher revision counts instead of the earlier one."""
        key = (verdict.tenant, verdict.id)
        if verdict.rev > 1 and (earlier := self._latest.pop(key, None)):
            self._decided_by[earlier[0]] -= 1
            self._actions[earlier[1]] -= 1
        if verdict.status == "provisional":
            # Remembered only as long as a later one is to come: nothing grows with the run.
            self._latest[key] = (verdict.decided_by, verdict.action)
        self._decided_by[verdict.decided_by] += 1
        self._actions[verdict.action] += 1
        self._waits_ms.append(waited_ms(verdict))
        if verdict.decided_by == "model":
            self._inferences_ms.append(verdict.timing.inference_ms)

    def waits_ms(self, *ranks: float) -> list[float]:
        """How long verdicts waited, in Kafka and in the worker, at these ranks."""
        return percentiles(self._waits_ms, ranks)

    def inferences_ms(self, *ranks: float) -> list[float]:
        """How long the model took, at these ranks."""
        return percentiles(self._inferences_ms, ranks)

    def summary(self, *, elapsed_s: float, sent: int | None = None, unsent: int = 0) -> str:
        """The run in a few lines; in one, where nothing has come."""
        total = self.verdicts
        rate = total / elapsed_s if elapsed_s > 0 else 0.0
        letters = counted(self.dead_letters, "dead letter")
        of = f" of {sent} sent" if sent is not None and sent != total else ""
        lines = [f"{counted(total, 'verdict')}{of} in {elapsed_s:.1f} s ({rate:.1f}/s), {letters}"]
        if total:
            lines += self._shares()
        if unsent:
            lines.append(f"  not sent    {counted(unsent, 'event')}, which Kafka did not take")
        return "\n".join(lines)

    def _shares(self) -> list[str]:
        total = self.verdicts
        return [
            f"  decided by  {_shares(self._decided_by, total)}",
            f"  action      {_shares(self._actions, total)}",
            f"  wait        {_spans(self.waits_ms(0.5, 0.95))}  (in Kafka and in the worker)",
            f"  inference   {_spans(self.inferences_ms(0.5, 0.95))}  (where a model decided)",
        ]


def waited_ms(verdict: Verdict) -> float:
    """What an event spent waiting: in Kafka and in the worker, not in the model."""
    return verdict.timing.kafka_ms + verdict.timing.queue_ms


def percentiles(samples: Iterable[float], ranks: Iterable[float]) -> list[float]:
    """The samples at these ranks (0.5: the median), by the nearest rank; empty without samples."""
    ordered = sorted(samples)
    if not ordered:
        return []
    last = len(ordered) - 1
    return [ordered[min(last, max(0, -int(-rank * len(ordered) // 1) - 1))] for rank in ranks]


def _shares(counts: Counter[str], total: int) -> str:
    shown = [f"{name} {count} ({100 * count / total:.0f} %)" for name, count in counts.most_common() if count]
    return ", ".join(shown)


def _spans(figures: list[float]) -> str:
    return f"p50 {figures[0]:.0f} ms, p95 {figures[1]:.0f} ms" if figures else "none"

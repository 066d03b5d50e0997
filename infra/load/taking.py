"""Whether Kafka takes what is sent: by what it has confirmed and what is under way. Pure."""

from __future__ import annotations

# A broker that is restarted is back within 4 s: of that there is nothing to tell.
SILENT_MS_MAX = 10_000.0


class Taking:
    """Kafka's answers to a producer, seen from time to time; each change is told once."""

    def __init__(self, now_ms: float) -> None:
        self.is_taking = True
        self._confirmed = 0
        self._answered_at_ms = now_ms

    def __repr__(self) -> str:
        return f"<Taking {self.is_taking} | {self._confirmed} confirmed>"

    def look(self, now_ms: float, *, confirmed: int, lost: int, under_way: int) -> str:
        """A sentence if it has changed; empty if not.

        1. Something was confirmed since the last look: Kafka takes records.
        2. Nothing is under way, and Kafka took the last that was: there is nothing to wait for.
        3. Nothing was confirmed for long, though something was under way: Kafka takes nothing.
        """
        if confirmed > self._confirmed:
            self._confirmed, self._answered_at_ms = confirmed, now_ms
            return self._becomes(is_taking=True, lost=lost)
        if not under_way and self.is_taking:
            self._answered_at_ms = now_ms
        elif now_ms - self._answered_at_ms >= SILENT_MS_MAX:
            return self._becomes(is_taking=False, lost=lost)
        return ""

    def _becomes(self, *, is_taking: bool, lost: int) -> str:
        if self.is_taking == is_taking:
            return ""
        self.is_taking = is_taking
        if not is_taking:
            return (
                f"Kafka has taken no event of the demo for {SILENT_MS_MAX / 1_000:g} s: the demo keeps what "
                "it can, and goes on when Kafka does. See `penstock doctor`."
            )
        return "Kafka takes events again" + (f"; not sent so far: {lost}." if lost else ".")

"""What Kafka refuses and we try again: told once of each topic and error, and once when it passes. Pure."""

from __future__ import annotations

from collections import Counter


class Refusals:
    """Which errors were told of each topic, and how many of its records wait for another try."""

    def __init__(self) -> None:
        self._told: dict[str, set[str]] = {}
        self._waiting: Counter[str] = Counter()

    def __repr__(self) -> str:
        waiting = ", ".join(f"{count} for {topic}" for topic, count in sorted(self._waiting.items()))
        return f"<Refusals {waiting or 'none'}>"

    @property
    def topics(self) -> frozenset[str]:
        """Those of which something waits for another try."""
        return frozenset(self._told)

    def refused(self, topic: str, error: str, *, is_first: bool) -> str:
        """A record is tried again; the sentence to tell, once of each error. `is_first` of this record?"""
        self._waiting[topic] += is_first
        told = self._told.setdefault(topic, set())
        if error in told:
            return ""
        told.add(error)
        return f"Kafka does not take what goes to {topic} ({error}); it is tried again and again"

    def ended(self, topic: str) -> str:
        """A record that was refused came to its end; the sentence to tell of the last one of a topic."""
        self._waiting[topic] -= 1
        if self._waiting[topic] > 0:
            return ""
        del self._waiting[topic]
        self._told.pop(topic, None)
        return f"Kafka takes what goes to {topic} again"

"""How many requests a node gets at once: as many as it answers well in time, and never more than its slots.

Additive increase, multiplicative decrease, steered by latency against a goal. A batching engine grows slower
with each request that it works on, long before it queues; so what is watched is not whether latency grows,
but whether it is still good enough.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

START = 8
"""What a node is first given: it shows what it can do within a few answers."""
_WINDOW_ANSWERS_MIN = 8
_WINDOW_MS = 500.0
_SLOWER = 0.9
_FASTER = 2.0
# Until it was too slow for the first time, a limit grows by half with each window.
_FASTER_AT_FIRST = 1.5
_OVERLOADED = 0.7
# After a node was out, it begins with a quarter of what it had.
_WARMING = 0.25
GOAL_MS_MIN = 1_000.0
GOAL_TIMES = 6.0
"""Without a goal of its own a node may take six times what it takes unhurried, and a second at least: a
batching engine then gives five sixths of what it could ever give."""
# The engine's own metrics: requests that wait there for so many looks in a row, and a cache so full.
_WAITING_MAX = 2
_LOOKS = 3
_CACHE_FULL = 0.9
_CACHE_FULL_SLOWER = 0.8


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """What an engine says of itself; None for what it does not tell."""

    running: int | None = None
    waiting: int | None = None
    """In the engine's own queue: ours is to keep it empty."""
    cache_usage: float | None = None
    """The share of its memory for contexts that is in use."""
    slots: int | None = None
    preemptions: int | None = None
    """Since its start: requests that it began and then threw out of its cache."""


class Pacer:
    """The limit of one node."""

    def __init__(self, slots: int, *, goal_ms: float = 0.0) -> None:
        self._declared = slots
        self.slots = slots
        """What the settings say, or the engine, where that is less: the limit never exceeds it."""
        self._goal_ms = goal_ms
        self._limit = float(min(slots, START))
        self.limit = int(self._limit)
        """How many requests may be at the node."""
        self._is_first_rise = True
        self._fastest_ms = math.inf
        self._began_ms = -math.inf
        self._answers = 0
        self._took_ms = 0.0
        self._work = 0.0
        self._peak = 0
        self._overloaded_ms = -math.inf
        self._mean_ms = 0.0
        self._looks_waiting = 0
        self._preemptions: int | None = None

    def __repr__(self) -> str:
        return f"<Pacer {self.limit} of {self.slots} slots, goal {self.goal_ms:.0f} ms>"

    @property
    def goal_ms(self) -> float:
        """What a request of usual size may take."""
        if self._goal_ms:
            return self._goal_ms
        unhurried_ms = 0.0 if math.isinf(self._fastest_ms) else self._fastest_ms
        return max(GOAL_MS_MIN, GOAL_TIMES * unhurried_ms)

    def began(self, in_flight: int) -> None:
        """The node has got a request, and has so many now."""
        self._peak = max(self._peak, in_flight)

    def answered(self, now_ms: float, *, began_ms: float, took_ms: float, work: float = 1.0) -> None:
        """An answer came; `work` is how large its question was, beside a usual one.

        One that was begun before the limit last changed says nothing of the new limit.
        """
        if began_ms < self._began_ms:
            return
        if math.isinf(self._began_ms):
            self._began_ms = began_ms
        self._answers += 1
        self._took_ms += took_ms
        self._work += work
        if (
            self._answers >= max(_WINDOW_ANSWERS_MIN, self._limit / 2)
            and now_ms - self._began_ms >= _WINDOW_MS
        ):
            self._conclude(now_ms)

    def overloaded(self, now_ms: float) -> None:
        """The node has refused a request, or took too long; many are refused together, and that is once."""
        if now_ms - self._overloaded_ms < max(self._mean_ms, _WINDOW_MS):
            return
        self._overloaded_ms = now_ms
        self._slow_down(_OVERLOADED, now_ms)

    def warm_up(self, now_ms: float) -> None:
        """The node was out: it may be another by now, with cold caches."""
        self._slow_down(_WARMING, now_ms)
        self._is_first_rise = True
        self._fastest_ms = math.inf

    def look(self, load: EngineLoad, now_ms: float) -> None:
        """The slow correction: what the engine says of itself.

        1. Fewer slots than the settings say: the limit never exceeds those.
        2. Requests that wait there, three looks in a row: so many fewer in proportion, for the queue is ours.
        3. A cache that is nearly full, or requests thrown out of it: a fifth fewer.
        """
        if load.slots is not None:
            self._bound(max(1, min(self._declared, load.slots)), now_ms)
        is_preempting = self._is_preempting(load.preemptions)
        waiting, running = load.waiting or 0, load.running or 0
        self._looks_waiting = self._looks_waiting + 1 if waiting > _WAITING_MAX else 0
        if self._looks_waiting >= _LOOKS:
            self._looks_waiting = 0
            self._slow_down(max(0.5, running / (running + waiting)), now_ms)
        elif is_preempting or (load.cache_usage or 0.0) > _CACHE_FULL:
            self._slow_down(_CACHE_FULL_SLOWER, now_ms)

    def _bound(self, slots: int, now_ms: float) -> None:
        if slots == self.slots:
            return
        self.slots = slots
        if self._limit > slots:
            self._set(float(slots), now_ms)

    def _is_preempting(self, preemptions: int | None) -> bool:
        before, self._preemptions = self._preemptions, preemptions
        return before is not None and preemptions is not None and preemptions > before

    def _conclude(self, now_ms: float) -> None:
        """A window is full."""
        self._mean_ms = self._took_ms / self._work
        self._fastest_ms = min(self._fastest_ms, self._mean_ms)
        if self._mean_ms > self.goal_ms:
            self._slow_down(_SLOWER, now_ms)
        elif self._peak >= self.limit and self.limit < self.slots:
            rise = self._limit * _FASTER_AT_FIRST if self._is_first_rise else self._limit + _FASTER
            self._set(min(float(self.slots), rise), now_ms)
        else:
            # Whoever did not use what it had shows nothing of what it could do with more.
            self._restart(-math.inf)

    def _slow_down(self, to: float, now_ms: float) -> None:
        self._is_first_rise = False
        self._set(max(1.0, self._limit * to), now_ms)

    def _set(self, limit: float, now_ms: float) -> None:
        self._limit = limit
        # Kept as a whole number, because it is asked several times for every question.
        self.limit = int(limit)
        self._restart(now_ms)

    def _restart(self, now_ms: float) -> None:
        self._began_ms = now_ms
        self._answers = 0
        self._took_ms = self._work = 0.0
        self._peak = 0

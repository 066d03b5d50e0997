"""Sends traffic at a rate, from a thread of its own, through brokers that come and go.

While Kafka takes nothing, a bounded number of events waits for it, each for its time; what is not taken by
then is counted as lost, and others are sent once Kafka is back.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator

from infra.clients import Writer
from infra.errors import Failure
from infra.load.taking import Taking
from infra.load.traffic import Traffic
from schemas.settings import Settings
from schemas.wire import encode
from streams.ports import Clock
from streams.topics import Topics

# As long as a broker may be away: a restart takes 2 to 4 s, five of them with their pauses under a minute.
PATIENCE_S = 120.0
_FLUSH_S = 1.0
# Behind its time by more than this (a broker was away), the producer goes on at its rate, not in one burst.
_BEHIND_MS_MAX = 1_000.0
# Sent and not yet confirmed: two seconds of the highest rate, and a few MB.
_UNDER_WAY_MAX = 10_000
_PAUSE_S = 0.05
# Each is said once a change, and read ten times a second.
_TIDINGS_MAX = 100


class DemoProducer:
    """The demonstration's app: produces to `content.*` as any other would."""

    def __init__(
        self,
        settings: Settings,
        writer: Writer,
        traffic: Traffic,
        clock: Clock,
        *,
        rate_per_s: float,
        quota: Callable[[], int | None],
        under_way_max: int = _UNDER_WAY_MAX,
    ) -> None:
        self.failure: Failure | None = None
        self._traffic = traffic
        self._topics = Topics.of(settings.topics)
        self._writer = writer
        self._under_way_max = under_way_max
        self._made = 0
        self._confirmed = 0
        self._lost = 0
        self._taking = Taking(clock.now_ms())
        self._tidings: deque[str] = deque(maxlen=_TIDINGS_MAX)
        self._clock = clock
        self._interval_ms = 1_000 / rate_per_s
        self._quota = quota
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo", daemon=True)

    def __repr__(self) -> str:
        return f"<DemoProducer {self.sent} sent, {len(self._writer)} under way, {self._lost} lost>"

    @property
    def sent(self) -> int:
        """How many events Kafka has, or may still take."""
        return self._made - self._lost

    @property
    def unsent(self) -> int:
        """How many it has not taken: in their time, or now that it takes nothing."""
        return self._lost + (0 if self._taking.is_taking else len(self._writer))

    def tidings(self) -> Iterator[str]:
        """What there is to tell since the last call: that Kafka takes nothing, that it does again."""
        while self._tidings:
            yield self._tidings.popleft()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; what is under way may arrive for a moment."""
        self._stopping.set()
        self._thread.join(_FLUSH_S)

    def _run(self) -> None:
        try:
            self._send_all()
        except Failure as failure:
            self.failure = failure

    def _send_all(self) -> None:
        due_ms = self._clock.now_ms()
        while not self._stopping.is_set():
            self._writer.serve()
            self._look()
            quota = self._quota()
            is_enough = quota is not None and self.sent >= quota
            if is_enough or len(self._writer) >= self._under_way_max:
                self._stopping.wait(_PAUSE_S)
                continue
            due_ms = max(due_ms, self._clock.now_ms() - _BEHIND_MS_MAX) + self._interval_ms
            self._send_one()
            self._stopping.wait(max(0.0, due_ms - self._clock.now_ms()) / 1_000)

    def _send_one(self) -> None:
        priority, event = next(self._traffic)
        key = (event.author or event.id).encode()
        self._made += 1
        self._writer.write(
            self._topics.content(priority),
            key,
            encode(event),
            is_wanted=self._is_wanted,
            on_placed=self._placed,
            on_expired=self._expired,
        )

    def _placed(self, _topic: str, _partition: int, _offset: int) -> None:
        self._confirmed += 1

    def _expired(self) -> None:
        self._lost += 1

    def _look(self) -> None:
        under_way = len(self._writer)
        now_ms = self._clock.now_ms()
        if told := self._taking.look(now_ms, confirmed=self._confirmed, lost=self._lost, under_way=under_way):
            self._tidings.append(told)

    def _is_wanted(self) -> bool:
        return not self._stopping.is_set()

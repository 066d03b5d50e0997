"""Sends traffic at a rate, from a thread of its own, through brokers that come and go."""

from __future__ import annotations

import threading
from collections.abc import Callable

from infra.clients import Cluster, Writer
from infra.errors import Failure
from infra.load.traffic import Traffic
from schemas.settings import Settings
from schemas.wire import encode
from streams.ports import Clock
from streams.topics import Topics

# As long as a broker may be away: a restart takes 2 to 4 s, five of them with their pauses under a minute.
_PATIENCE_S = 120.0
_FLUSH_S = 1.0
# Behind its time by more than this (a broker was away), the producer goes on at its rate, not in one burst.
_BEHIND_MS_MAX = 1_000.0


class DemoProducer:
    """The demonstration's app: produces to `content.*` as any other would."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        traffic: Traffic,
        clock: Clock,
        *,
        rate_per_s: float,
        quota: Callable[[], int | None],
    ) -> None:
        self.sent = 0
        self.failure: Failure | None = None
        self._traffic = traffic
        self._topics = Topics.of(settings.topics)
        self._writer = Writer(settings, cluster, patience_s=_PATIENCE_S)
        self._clock = clock
        self._interval_ms = 1_000 / rate_per_s
        self._quota = quota
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo", daemon=True)

    def __repr__(self) -> str:
        return f"<DemoProducer {self.sent} sent, {len(self._writer)} under way>"

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
            quota = self._quota()
            if quota is not None and self.sent >= quota:
                self._stopping.wait(0.05)
                continue
            due_ms = max(due_ms, self._clock.now_ms() - _BEHIND_MS_MAX) + self._interval_ms
            self._send_one()
            self._stopping.wait(max(0.0, due_ms - self._clock.now_ms()) / 1_000)

    def _send_one(self) -> None:
        priority, event = next(self._traffic)
        key = (event.author or event.id).encode()
        self._writer.write(self._topics.content(priority), key, encode(event), is_wanted=self._is_wanted)
        self.sent += 1

    def _is_wanted(self) -> bool:
        return not self._stopping.is_set()

"""Reads verdicts and dead letters as they appear, from a thread of its own, for `up` to show and to count.

It starts at the ends of the topics as they are when it is made; what comes is handed over in a bounded queue,
so that a reader that is behind holds up the thread and fills no memory.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from infra.clients import Cluster, Found, Reader
from infra.errors import Failure
from schemas.dead_letter import DeadLetter
from schemas.effective import EffectiveVerdicts
from schemas.errors import WireError
from schemas.settings import Settings
from schemas.verdict import Verdict
from schemas.wire import decode_dead_letter, decode_verdict
from streams.topics import Topics

_QUEUE_MAX = 10_000
_HAND_OVER_S = 0.2


class Watch:
    """Effective verdicts, and dead letters, from now on."""

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self.failure: Failure | None = None
        self._topics = Topics.of(settings.topics)
        self._reader = Reader(settings, cluster)
        self._reader.start_at_end([self._topics.verdicts, self._topics.dead_letters])
        self._effective = EffectiveVerdicts()
        self._found: queue.Queue[Verdict | DeadLetter] = queue.Queue(_QUEUE_MAX)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __repr__(self) -> str:
        return f"<Watch {self._found.qsize()} to be seen>"

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._stopping.set()
        self._thread.join(1.0)

    def seen(self) -> Iterator[Verdict | DeadLetter]:
        """What has come since the last call; never waits."""
        for _ in range(_QUEUE_MAX):
            try:
                yield self._found.get_nowait()
            except queue.Empty:
                return

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                for found in self._reader.read():
                    self._take(found)
        except Failure as failure:
            self.failure = failure
        finally:
            self._reader.close()

    def _take(self, found: Found) -> None:
        try:
            if found.topic == self._topics.verdicts:
                verdict = decode_verdict(found.value)
                if self._effective.add(verdict):
                    self._hand_over(verdict)
            else:
                self._hand_over(decode_dead_letter(found.value))
        except WireError:
            # Written by another release, or by hand: a demonstration is not the place to judge it.
            return

    def _hand_over(self, one: Verdict | DeadLetter) -> None:
        while not self._stopping.is_set():
            try:
                self._found.put(one, timeout=_HAND_OVER_S)
                return
            except queue.Full:
                continue

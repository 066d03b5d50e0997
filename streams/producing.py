"""A producer of librdkafka's that outlives the loss of all brokers.

A Kafka that is being stopped may answer for a moment that it has no brokers: the only one does, on its way
out. librdkafka from 2.10 on (2.16 is the newest that was seen) then forgets all that it knows, and those that
it was given as well. It means to begin with the latter again; where two of its threads get in each other's
way it never does, and writes nothing more, without a word, for as long as the process lives. Its statistics
tell: they list no brokers, which is never so otherwise for longer than a moment.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

import confluent_kafka as ck
import msgspec

# Statistics are made this often, and looked at where something waits to be written.
_LOOK_MS = 2_000
# Whoever begins anew by himself knows no brokers either, for some milliseconds.
_LOOKS = 2

log = logging.getLogger(__name__)


class _Statistics(msgspec.Struct):
    """What is read of them."""

    brokers: dict[str, msgspec.Raw] = {}


_statistics_in = msgspec.json.Decoder(_Statistics).decode


class LastingProducer:
    """`confluent_kafka.Producer`, as much of it as is needed here, made anew where it knows no broker.

    What it had not written by then is reported as purged (`_PURGE_QUEUE`, `_PURGE_INFLIGHT`), and is for the
    caller to write again.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._made = 0
        self._looks_without = 0
        self._purged: list[ck.Producer] = []
        """Those before, as long as they have something to report."""
        self._producer = self._make()

    def __len__(self) -> int:
        """How many records wait to be written, or to be reported."""
        return len(self._producer) + sum(map(len, self._purged))

    def produce(self, *args: Any, **kwargs: Any) -> None:
        self._producer.produce(*args, **kwargs)

    def produce_batch(self, *args: Any, **kwargs: Any) -> int:
        return self._producer.produce_batch(*args, **kwargs)

    def poll(self, timeout_s: float) -> None:
        """Have the callbacks called; what one of them raises comes out, and the other reports stay."""
        if self._purged:
            for producer in self._purged:
                producer.poll(0)
            self._purged = [producer for producer in self._purged if len(producer)]
        self._producer.poll(timeout_s)
        if self._looks_without >= _LOOKS:
            self._renew()

    def purge(self) -> None:
        self._producer.purge()

    def _make(self) -> ck.Producer:
        self._made += 1
        self._looks_without = 0
        watching = {
            "statistics.interval.ms": _LOOK_MS,
            "stats_cb": partial(self._look, self._made),
        }
        return ck.Producer({**self._options, **watching})

    def _look(self, made: int, statistics: str) -> None:
        # Those of one that was given up come, too.
        if made == self._made:
            is_without = len(self._producer) > 0 and not _statistics_in(statistics).brokers
            self._looks_without = self._looks_without + 1 if is_without else 0

    def _renew(self) -> None:
        """Give up the one that knows no broker; nothing of it is on its way any more."""
        log.warning("the producer knew no broker any more, and begins anew; %d records wait", len(self))
        given_up, self._producer = self._producer, self._make()
        given_up.purge()
        self._purged.append(given_up)

"""The demonstration's producer through an outage: bounded, counted, told, and at its rate again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from deadline import until

from infra.clients import Cluster, Writer
from infra.errors import ExitCode, Failure
from infra.load.producing import DemoProducer
from infra.load.traffic import Traffic
from schemas.event import PRIORITIES
from schemas.settings import Settings
from streams.clock import ManualClock, SystemClock
from streams.topics import Topics

SETTINGS = Settings()
# Nobody listens there.
AWAY = Cluster("127.0.0.1:1", {Topics.of(SETTINGS.topics).content(one): 1 for one in PRIORITIES}, 1)


class FakeWriter(Writer):
    """Takes all, or nothing; what it does not take expires when it is told to."""

    def __init__(self) -> None:
        self.is_taking = True
        self.is_expiring = False
        self._waiting: list[tuple[Callable[[], None], Callable[[], None]]] = []

    def write(self, topic, key, value, headers=(), *, is_wanted=bool, on_placed=None, on_expired=None):
        self._waiting.append((lambda: on_placed(topic, 0, 0), on_expired))

    def serve(self) -> None:
        if self.is_taking or self.is_expiring:
            waiting, self._waiting = self._waiting, []
            for placed, expired in waiting:
                (placed if self.is_taking else expired)()

    def __len__(self) -> int:
        return len(self._waiting)


@contextmanager
def producing(writer: Writer, clock: ManualClock | SystemClock, **wishes) -> Iterator[DemoProducer]:
    wishes = {"rate_per_s": 1_000.0, "quota": lambda: None} | wishes
    producer = DemoProducer(SETTINGS, writer, Traffic("run"), clock, **wishes)
    producer.start()
    try:
        yield producer
    finally:
        producer.stop()
    assert producer.failure is None


def test_through_an_outage_it_keeps_a_bounded_number_loses_what_expires_and_goes_on() -> None:
    writer, clock = FakeWriter(), ManualClock()
    with producing(writer, clock, under_way_max=5) as producer:

        def passes() -> bool:
            clock.advance(1_000)
            return False

        until(lambda: passes() or producer.sent >= 20, within_s=10)
        writer.is_taking = False
        until(lambda: passes() or producer.unsent == 5, within_s=10)
        until(lambda: passes() or len(writer) == 5, within_s=10)
        writer.is_expiring = True
        until(lambda: passes() or producer.unsent >= 10, within_s=10)
        (silence,) = producer.tidings()
        assert "Kafka has taken no event of the demo for 10 s" in silence
        writer.is_taking = True
        sent = producer.sent
        until(lambda: passes() or producer.sent >= sent + 20, within_s=10)
        (back,) = producer.tidings()
        assert back.startswith("Kafka takes events again")


def test_what_was_lost_is_made_up_for_where_so_many_verdicts_are_wanted() -> None:
    writer, clock = FakeWriter(), ManualClock()
    writer.is_taking = False
    with producing(writer, clock, quota=lambda: 3, rate_per_s=1e9) as producer:
        until(lambda: len(writer) == 3, within_s=10)
        writer.is_expiring = True
        until(lambda: producer.unsent >= 3, within_s=10)
        writer.is_taking = True
        until(lambda: producer.sent == 3 and not len(writer), within_s=10)
    assert producer.sent == 3


def test_a_real_writers_expired_record_is_told_to_who_asks_and_is_no_failure() -> None:
    with producing(Writer(SETTINGS, AWAY, patience_s=1.0), SystemClock(), rate_per_s=10.0) as producer:
        until(lambda: producer.unsent >= 2, within_s=20)


def test_a_record_that_kafka_did_not_take_is_told_with_its_topic() -> None:
    writer = Writer(SETTINGS, AWAY, patience_s=1.0)
    writer.write("content.high", b"key", b"value")
    with pytest.raises(Failure, match=r"did not take the record for content\.high \(") as failed:
        writer.flush()
    assert failed.value.exit_code == ExitCode.KAFKA_UNREACHABLE

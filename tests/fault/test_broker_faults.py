"""The only broker is restarted, killed, frozen in pulses, away for long, or refuses commits: nothing is lost.

Each test runs triage-like and slow work at once; see `chaos.trial` for what is checked of every run.
"""

from __future__ import annotations

import time

from chaos.outages import refusing_commits, restart
from chaos.trial import DELIVERY_TIMEOUT_MS

from infra.embedded import EmbeddedKafka


def test_broker_restart(broker: EmbeddedKafka, trials) -> None:
    with trials(broker) as both:
        for _ in both.cuts(0.5, 1.5):
            restart(broker, 0)
        both.finish(repeats="none")


def test_broker_kill_9(broker: EmbeddedKafka, trials) -> None:
    with trials(broker) as both:
        for _ in both.cuts(0.5, 1.5):
            both.kill(broker.brokers[0])
            broker.start()
        both.finish(repeats="of what was cut off")


def test_broker_stalls_in_pulses(broker: EmbeddedKafka, trials) -> None:
    with trials(broker) as both:
        for _ in both.cuts(0.2, 0.8):
            broker.brokers[0].pause()
            time.sleep(both.chance.uniform(0.3, 2.0))
            broker.brokers[0].resume()
        both.finish(repeats="none")


def test_broker_away_for_longer_than_the_delivery_timeout(broker: EmbeddedKafka, trials) -> None:
    with trials(broker, delivery_timeout_ms=DELIVERY_TIMEOUT_MS) as both:
        for _ in both.cuts(0.5, 1.5):
            both.kill(broker.brokers[0])
            time.sleep(1.5 * DELIVERY_TIMEOUT_MS / 1_000)
            broker.start()
        both.finish(repeats="of what was cut off")


def test_commit_failures(broker: EmbeddedKafka, trials) -> None:
    with trials(broker) as both:
        for _ in both.cuts(0.5, 1.5):
            with refusing_commits(broker.bootstrap):
                time.sleep(both.chance.uniform(0.5, 2.0))
        both.somebody_said("commit refused, it will be repeated")
        both.finish(repeats="none")

"""Three brokers: one is killed every few seconds, or missing, so that writes are refused: nothing is lost.

Each test runs triage-like and slow work at once; see `chaos.trial` for what is checked of every run.
"""

from __future__ import annotations

import time

from chaos.outages import leader_of, refusing_writes
from chaos.trial import DELIVERY_TIMEOUT_MS

from infra.embedded import EmbeddedKafka


def test_leader_killed_every_few_seconds(cluster: EmbeddedKafka, trials) -> None:
    with trials(cluster) as both:
        outputs = [f"{trial.prefix}out" for trial in both]
        for _ in both.cuts(0.5, 1.5):
            leader = cluster.brokers[leader_of(cluster.bootstrap, both.chance.choice(outputs))]
            both.kill(leader)
            leader.start()
        both.finish(repeats="of what was cut off")


def test_writes_refused_for_longer_than_the_delivery_timeout(cluster: EmbeddedKafka, trials) -> None:
    """The producer gives up what it cannot deliver; it is tried again, and commits wait for it."""
    with trials(cluster, delivery_timeout_ms=DELIVERY_TIMEOUT_MS) as both:
        outputs = [f"{trial.prefix}out" for trial in both]
        for _ in both.cuts(0.5, 1.5):
            with refusing_writes(cluster, outputs, both.chance.randrange(len(cluster.brokers))):
                time.sleep(2 * DELIVERY_TIMEOUT_MS / 1_000)
        both.somebody_said("_MSG_TIMED_OUT")
        both.finish(repeats="of what was given up")

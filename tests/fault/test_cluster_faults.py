"""Of three brokers one is killed every few seconds, each time one that leads: nothing is lost."""

from __future__ import annotations

from chaos.outages import leader_of

from infra.embedded import EmbeddedKafka


def test_leader_killed_every_few_seconds(cluster: EmbeddedKafka, trials) -> None:
    with trials(cluster) as both:
        outputs = [f"{trial.prefix}out" for trial in both]
        for _ in both.cuts(0.5, 1.5):
            leader = cluster.brokers[leader_of(cluster.bootstrap, both.chance.choice(outputs))]
            both.kill(leader)
            leader.start()
        both.finish(repeats="of what was cut off")

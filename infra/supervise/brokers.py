"""What `up` does with Kafka beside keeping its process: fetches it, looks at it, makes what workers need.

All of it blocks; `conducting` runs it beside the event loop.
"""

from __future__ import annotations

import sys
from pathlib import Path

from infra import topics
from infra.clients import Cluster
from infra.embedded import EmbeddedKafka, bootstrap_of
from infra.embedded.instance import read_instance
from infra.embedded.progress import Drawn
from infra.embedded.readiness import Probe
from infra.policies import default_policy_path, read
from infra.policy_topic import push_if_none
from infra.supervise.waiting import beside
from schemas.settings import EmbeddedSettings, Settings


class KafkaProbe:
    """Sees when the embedded Kafka is ready: it answers, and it has taken a record."""

    def __init__(self, data_dir: Path) -> None:
        self.bootstrap = ""
        self._data_dir = data_dir
        self._probe: Probe | None = None

    async def look(self) -> str:
        """Why it is not ready yet; empty if it is."""
        return await beside(self._look)

    def _look(self) -> str:
        bootstrap = bootstrap_of(self._data_dir)
        instance = read_instance(self._data_dir / "kafka")
        if bootstrap is None or instance is None:
            return "it is being prepared"
        if self._probe is None or bootstrap != self.bootstrap:
            self.bootstrap = bootstrap
            self._probe = Probe(bootstrap, [broker.id for broker in instance.brokers])
        reason = self._probe.look()
        if not reason:
            # Its connections are not needed until the next start.
            self._probe = None
        return reason


def running_at(data_dir: Path) -> str:
    """Where an embedded Kafka that somebody else started for this directory listens; empty if none does."""
    return bootstrap_of(data_dir) or ""


def fetch(data_dir: Path, settings: EmbeddedSettings) -> None:
    """Have the jars, with progress shown: the child could only write it to its log."""
    EmbeddedKafka(data_dir / "kafka", settings, progress=Drawn(sys.stdout, "Kafka")).fetch()


def ensure_topics(settings: Settings, cluster: Cluster) -> int:
    """Make what is missing; how many topics that were."""
    return len(topics.ensure(settings, cluster))


def ensure_policy(settings: Settings) -> bool:
    """Publish the policy that Penstock brings along if there is none; whether it was."""
    return push_if_none(read(default_policy_path()), settings)

"""The embedded Kafka: real Apache Kafka in KRaft mode, from its published jars, with no Docker and no Java installed.

`EmbeddedKafka` is the instance in a directory. Everybody else needs `bootstrap_of`. Reading order: artifacts and
jars (what it is made of), properties and java (what is started), preparing, broker, cluster (starting it).
"""

from __future__ import annotations

from infra.embedded.cluster import EmbeddedKafka, Status
from infra.embedded.instance import bootstrap_of
from infra.embedded.properties import SecureListener
from infra.embedded.readiness import wait_until_ready

__all__ = ["EmbeddedKafka", "SecureListener", "Status", "bootstrap_of", "wait_until_ready"]

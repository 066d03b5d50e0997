"""The embedded Kafka: real Apache Kafka from its published jars, with neither Docker nor an installed Java.

`EmbeddedKafka` is the instance in a directory; clients need `bootstrap_of` alone. Reading order: artifacts,
jars (what it is made of), properties, java (what is started), preparing, broker, roster, cluster (how).
"""

from __future__ import annotations

from infra.embedded.cluster import EmbeddedKafka
from infra.embedded.instance import bootstrap_of
from infra.embedded.properties import SecureListener
from infra.embedded.readiness import wait_until_ready
from infra.embedded.roster import Status

__all__ = ["EmbeddedKafka", "SecureListener", "Status", "bootstrap_of", "wait_until_ready"]

"""Reading a topic, or one partition of it, from its beginning to the end that it has now; for commands.

The end is fixed before reading: whoever writes meanwhile does not keep us here.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from infra.clients import Cluster, Found, Reader
from infra.errors import ExitCode, Failure
from infra.kafka import unreachable
from schemas.settings import Settings
from streams.core.newer import NewerRecords

# A thousand policy documents of 4 MiB, or some million answers, would take this long from a slow disk.
READ_WITHIN_S = 60.0


def read_to_end(
    settings: Settings, cluster: Cluster, topic: str, partition: int | None = None
) -> Iterator[Found]:
    """Every record that is there, of all partitions or of one; a `Failure` where Kafka does not answer."""
    reader = Reader(settings, cluster)
    try:
        left = reader.ends([topic], partition)
        reader.start_at_beginning([topic], partition)
        deadline = time.monotonic() + READ_WITHIN_S
        while left:
            if time.monotonic() > deadline:
                raise unreachable(cluster.bootstrap, READ_WITHIN_S)
            for found in reader.read():
                # The last records before the end may have been compacted away, so one beyond it ends, too.
                place = (found.topic, found.partition)
                if found.offset + 1 >= left.get(place, found.offset + 2):
                    del left[place]
                yield found
    finally:
        reader.close()


def refuse(newer: NewerRecords, topic: str) -> None:
    """A `Failure` where a record of a newer release stands in what was read."""
    if newer.first is not None:
        raise Failure(
            f"A newer Penstock wrote to the topic {topic}: {newer.first.detail}. Update this one.",
            exit_code=ExitCode.UNKNOWN_VERSION,
        )

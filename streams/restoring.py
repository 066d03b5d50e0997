"""Reading one partition of the changelog to its end, with a consumer of its own, off the event loop.

A consumer is made for each try and closed after it: hardly anything is read once a partition is there,
and one that a stopping Kafka told of no brokers may never ask any again (see `producing`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import confluent_kafka as ck
from aiokafka.errors import TopicAuthorizationFailedError
from confluent_kafka.admin import AdminClient

from streams.core.restoring import begin_at, is_of
from streams.ports import Change, Restorable

# What is handed to a memory at once: one write of the store, and one look whether it is still wanted. Larger
# writes no longer fit the processor's caches.
_BATCH_MAX = 500
_TURN_S = 0.2
# Asked again after that, and a stop waits for it.
_ANSWER_WITHIN_S = 2.0
# A broker that is away, or a topic whose leader moves, is asked again after so long.
_RETRY_S = 0.5
# Where nothing came for so long, somebody else may hear more.
_SILENT_S = 10.0
# Read ahead of us, at most; librdkafka's own bound is 64 MiB, for each partition that is restored.
_AHEAD_KIB = 16_384
_OPTIONS = {
    # librdkafka asks for a group, even of a consumer that never joins one.
    "group.id": "penstock.memory",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "queued.max.messages.kbytes": _AHEAD_KIB,
    "fetch.message.max.bytes": 4 << 20,
    "fetch.wait.max.ms": 50,
    # Once so much is ahead, librdkafka would not ask again for a second, however soon it is taken.
    "fetch.queue.backoff.ms": 5,
}

# Anything else mends itself: a broker that is away, a leader that moves.
_DECISIVE = frozenset(
    {ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.TOPIC_AUTHORIZATION_FAILED}  # noqa: SLF001
)

log = logging.getLogger("penstock.memory")


@dataclass(slots=True)
class Progress:
    """How far a reading is; another thread looks at it."""

    position: int = 0
    end: int = 0
    records: int = 0

    @property
    def left(self) -> int:
        """Offsets that are still to be passed."""
        return max(0, self.end - self.position)


class Changelog:
    """The topic of all memories."""

    def __init__(self, topic: str, options: Mapping[str, Any]) -> None:
        self.topic = topic
        self._asking = options
        self._options = {**options, **_OPTIONS}

    def restore(
        self,
        partition: int,
        memory: Restorable,
        progress: Progress,
        is_wanted: Callable[[], bool],
    ) -> bool:
        """Have a memory take in what it does not know yet; False if it is wanted no more. Blocks.

        A memory of another topic begins anew, also where that had the same name and was deleted. While no
        broker answers it asks again; a position that retention took away meanwhile begins anew. Who may not
        read the topic never will, and stops the worker.
        """
        complained_of: set[int] = set()
        while is_wanted():
            consumer = ck.Consumer(self._options)
            try:
                if self._read_on(consumer, partition, memory, progress, is_wanted):
                    return True
            except ck.KafkaException as trouble:
                error: ck.KafkaError = trouble.args[0]
                if error.code() == ck.KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    raise TopicAuthorizationFailedError(self.topic) from None
                if error.code() not in complained_of:
                    complained_of.add(error.code())
                    log.warning("memory %d: %s, trying on to restore it", partition, error.name().lower())
                time.sleep(_RETRY_S)
            finally:
                consumer.close()
        return False

    def _read_on(
        self,
        consumer: ck.Consumer,
        partition: int,
        memory: Restorable,
        progress: Progress,
        is_wanted: Callable[[], bool],
    ) -> bool:
        place = ck.TopicPartition(self.topic, partition)
        low, high = consumer.get_watermark_offsets(place, timeout=_ANSWER_WITHIN_S)
        source = self._source(consumer)
        is_ours = is_of(source, stored_source=memory.source, stored=memory.next_offset)
        begin = begin_at(memory.next_offset, low, high, is_ours=is_ours)
        if begin.is_anew:
            log.warning(
                "memory %d: what it holds is no part of %s any more: begun anew", partition, self.topic
            )
            memory.clear()
        memory.belong_to(source)
        progress.position, progress.end = begin.offset, high
        if begin.offset < high:
            consumer.assign([ck.TopicPartition(self.topic, partition, begin.offset)])
            heard_at_s = time.monotonic()
            while progress.position < high:
                if not is_wanted():
                    return False
                before = progress.position
                self._take_in(consumer, memory, progress)
                if progress.position > before:
                    heard_at_s = time.monotonic()
                elif time.monotonic() > heard_at_s + _SILENT_S:
                    raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT))  # noqa: SLF001
            consumer.unassign()
        return True

    def _source(self, consumer: ck.Consumer) -> str:
        """The topic's name and its id, which no other topic ever has; of brokers without ids, the cluster's.

        A consumer does not tell topics' ids: an admin client of a moment does, once for each partition that
        comes.
        """
        topics = ck.TopicCollection([self.topic])
        # Kept until it has answered: one that nobody refers to takes its questions along.
        admin = AdminClient(dict(self._asking))
        asked = admin.describe_topics(topics, request_timeout=_ANSWER_WITHIN_S)
        topic_id = asked[self.topic].result().topic_id
        if topic_id is not None and (
            topic_id.get_most_significant_bits() or topic_id.get_least_significant_bits()
        ):
            return f"{self.topic} {topic_id}"
        return f"{self.topic} in {consumer.list_topics(self.topic, _ANSWER_WITHIN_S).cluster_id}"

    def _take_in(self, consumer: ck.Consumer, memory: Restorable, progress: Progress) -> None:
        # `consume` alone would wait for a full batch, or its whole time.
        first = consumer.poll(_TURN_S)
        if first is None:
            return
        changes: list[Change] = []
        for message in (first, *consumer.consume(_BATCH_MAX - 1, 0)):
            error = message.error()
            if error is None:
                changes.append(Change(message.key() or b"", message.value(), message.offset() or 0))
            elif error.code() == ck.KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public name all the same
                # The last records before the end may have been compacted away.
                progress.position = max(progress.position, message.offset() or 0)
            elif error.fatal() or error.code() in _DECISIVE:
                raise ck.KafkaException(error)
        if changes:
            memory.restore(changes)
            progress.records += len(changes)
            progress.position = max(progress.position, changes[-1].offset + 1)

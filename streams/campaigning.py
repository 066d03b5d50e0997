"""Telling campaigns: every pending record is counted, and a text that grows by a step is told of.

What is a step is `core.campaigns`. A campaign settles nothing: where a worker dies before one is written, the
next step is told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection

from schemas.settings import CampaignSettings
from streams.core.campaigns import CampaignBounds, CampaignMeter, campaign_of
from streams.core.judging import Case
from streams.observing import Tally
from streams.ports import Publisher, PublishError, Record
from streams.records import campaign_record
from streams.topics import Topics


class Campaigns:
    """The meters of the partitions that are ours."""

    def __init__(
        self, settings: Callable[[], CampaignSettings], publisher: Publisher, topics: Topics, tally: Tally
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._topics = topics
        self._tally = tally
        self._meters: defaultdict[int, CampaignMeter] = defaultdict(CampaignMeter)
        self._counted: dict[tuple[int, str, int], int] = {}
        """Up to which offset the meter of a partition knows a partition of `content.*`."""

    def __repr__(self) -> str:
        return f"<Campaigns {dict(self._meters)}>"

    def own(self, partitions: Collection[int]) -> None:
        """These are ours from now on; what is known of others is forgotten."""
        for number in self._meters.keys() - set(partitions):
            del self._meters[number]
        for place in [place for place in self._counted if place[0] not in partitions]:
            del self._counted[place]

    def count(self, case: Case, record: Record, *, parked: int = 0) -> None:
        """Count an event, by the moment at which Kafka got it; tell of a step.

        Not what somebody has judged anew, nor what comes again: delivered once more, here or to triage, or
        parked.
        """
        settings = self._settings()
        if (
            not settings.enabled
            or case.event.probe
            or case.event.rejudge
            or parked
            or self._knows(case, record)
        ):
            return
        bounds = CampaignBounds(
            settings.copies_min, settings.authors_min, settings.window_s * 1_000, settings.texts_max
        )
        meter, at_ms = self._meters[record.partition], case.source.timestamp_ms
        growth = meter.count(case.content_digest, case.event.author, at_ms, bounds)
        if growth is not None:
            told = self._publisher.publish([campaign_record(self._topics, campaign_of(case, growth))])
            told.add_done_callback(self._told)

    def _knows(self, case: Case, record: Record) -> bool:
        """Whether an event was here before, while this partition has been ours; it will have been now.

        By the place where its app wrote it: what triage is given twice, it writes twice. Of one place they
        come in order, but for those that Kafka did not take at once: they are not counted.
        """
        source = case.source
        place = record.partition, source.topic, source.partition
        counted = self._counted.get(place, 0)
        self._counted[place] = max(counted, source.offset + 1)
        return source.offset < counted

    def _told(self, told: asyncio.Future[None]) -> None:
        trouble = None if told.cancelled() else told.exception()
        if isinstance(trouble, PublishError):
            self._tally.error(f"a campaign could not be written: {trouble.code}")

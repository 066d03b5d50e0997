"""What tests of the engine's parts begin with: a clock in the hand, and a book that owns two partitions."""

from __future__ import annotations

import pytest
from stages import TOPICS, book

from streams.clock import ManualClock
from streams.partitions import Partitions


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def owned(clock: ManualClock) -> Partitions:
    """Give a book that owns the first two partitions of `content.low`."""
    partitions = book(clock)
    partitions.open([(TOPICS.content("low"), 0), (TOPICS.content("low"), 1)])
    return partitions

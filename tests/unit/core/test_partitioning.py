"""Our partitions are those of Kafka's Java clients and of aiokafka: co-partitioning hangs on it."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as murmur2_of_aiokafka
from hypothesis import example, given
from hypothesis import strategies as st

from streams.core.partitioning import murmur2, partition_of

# From the tests of Kafka itself; Java's integers have a sign.
JAVAS_VALUES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "value"), JAVAS_VALUES.items())
def test_the_hash_is_javas(key, value):
    assert murmur2(key) == value % 2**32


# All four remainders of a word, no byte at all, and bytes that Java would call negative.
@given(st.binary(max_size=300))
@example(b"")
@example(b"\xff")
@example(b"\xff\xfe")
@example(b"\xff\xfe\xfd")
@example(b"\xff\xfe\xfd\xfc")
@example(b"\x80" * 129)
def test_the_hash_is_aiokafkas(key):
    assert murmur2(key) == murmur2_of_aiokafka(key) % 2**32


@given(st.binary(min_size=1, max_size=60), st.integers(1, 64))
def test_a_key_goes_where_aiokafka_would_send_it(key, partitions):
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everywhere, everywhere)


def test_keys_that_count_up_spread_over_all_partitions():
    counts = [0] * 8
    for number in range(8_000):
        counts[partition_of(f"default/post-{number}".encode(), 8)] += 1
    assert sum(counts) == 8_000
    assert all(800 < count < 1_200 for count in counts)

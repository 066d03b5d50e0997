"""What the reference node charges, in time."""

from __future__ import annotations

import pytest

from infra.nodes.reference.pricing import PrefixCache, service_ms
from schemas.settings import ReferenceNodeSettings


def test_the_service_time_is_the_sum_of_its_four_parts():
    settings = ReferenceNodeSettings(alpha_ms=10, beta_ms=2, prompt_token_us=500, output_token_us=6_000)
    assert service_ms(settings, busy=4, uncached_tokens=100, output_tokens=10) == 10 + 8 + 50 + 60


@pytest.mark.parametrize(
    ("busy", "uncached", "least", "most"), [(1, 60, 80, 130), (8, 60, 90, 150), (8, 760, 250, 400)]
)
def test_by_default_a_post_takes_what_an_engine_takes(busy, uncached, least, most):
    ms = service_ms(ReferenceNodeSettings(), busy=busy, uncached_tokens=uncached, output_tokens=11)
    assert least < ms < most


def test_a_prefix_is_cached_from_its_second_time_on():
    cache = PrefixCache(2)
    assert [cache.is_hit("a"), cache.is_hit("a"), cache.is_hit("a")] == [False, True, True]


def test_the_prefix_used_longest_ago_gives_way():
    cache = PrefixCache(2)
    for prefix in ("a", "b", "a", "c"):
        cache.is_hit(prefix)
    assert cache.is_hit("a")
    assert not cache.is_hit("b")
    assert len(cache) == 2


def test_without_room_and_without_a_prefix_nothing_is_cached():
    cache = PrefixCache(0)
    assert not any(cache.is_hit("a") for _ in range(3))
    assert not any(PrefixCache(4).is_hit("") for _ in range(3))

"""What the watchdog tells of a partition, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.watching import Patience, Standing, examine

PATIENCE = Patience(stuck_after_ms=1_000, retention_ms=100_000)


@pytest.mark.parametrize(
    ("standing", "is_held", "finding"),
    [
        (Standing(0, 9_999_999, 9_999_999), False, None),
        (Standing(5, 1_000, 0), False, None),
        (Standing(5, 1_001, 0), False, "stuck"),
        (Standing(5, 1_001, 0), True, "held"),
        (Standing(5, 0, 50_000), False, None),
        (Standing(5, 0, 50_001), False, "expiring"),
        (Standing(5, 9_999, 50_001), True, "expiring"),
    ],
)
def test_the_gravest_is_told(standing: Standing, is_held: bool, finding: str | None) -> None:
    assert examine(standing, PATIENCE, is_held=is_held) == finding


@given(st.builds(Standing, st.integers(1, 100), st.floats(0, 1e6), st.floats(0, 1e6)))
def test_held_and_stuck_differ_only_in_whether_a_node_would_take_anything(standing: Standing) -> None:
    held, free = (examine(standing, PATIENCE, is_held=is_held) for is_held in (True, False))
    assert (held, free) in {(None, None), ("held", "stuck"), ("expiring", "expiring")}

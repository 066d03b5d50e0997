"""What the watchdog tells of a partition, and when."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.watching import Cause, Patience, Standing, examine, sentence_of

PATIENCE = Patience(stuck_after_ms=1_000, retention_ms=100_000)

causes = st.sampled_from([None, *get_args(Cause)])
standings = st.builds(
    Standing, st.integers(0, 100), st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 100), causes
)


@pytest.mark.parametrize(
    ("standing", "finding"),
    [
        (Standing(0, 9_999_999, 9_999_999), None),
        (Standing(5, 1_000, 0), None),
        (Standing(5, 1_001, 0), "stuck"),
        (Standing(5, 1_001, 0, cause="nodes"), "held"),
        (Standing(5, 0, 50_000), None),
        (Standing(5, 0, 50_001), "expiring"),
        (Standing(5, 9_999, 50_001, cause="nodes"), "expiring"),
        (Standing(0, 1_000, 1_000, behind=3), None),
        (Standing(0, 1_001, 1_001, behind=3), "stuck"),
        (Standing(0, 1_001, 1_001, behind=3, cause="bounds"), "held"),
        (Standing(0, 1_001, 1_001, behind=3, cause="nodes"), "held"),
        (Standing(0, 50_000, 50_000, behind=3, cause="paused"), None),
        (Standing(0, 50_001, 50_001, behind=3, cause="paused"), "expiring"),
        (Standing(0, 9, 50_001, behind=3), "expiring"),
    ],
)
def test_the_gravest_is_told(standing: Standing, finding: str | None) -> None:
    assert examine(standing, PATIENCE) == finding


@given(standings)
def test_a_cause_changes_only_how_a_standstill_is_called(standing: Standing) -> None:
    found = {cause: examine(standing._replace(cause=cause), PATIENCE) for cause in (None, *get_args(Cause))}
    assert tuple(found.values()) in {
        (None, None, None, None, None),
        ("stuck", None, "held", "held", "held"),
        ("expiring",) * 5,
    }


@given(standings)
def test_where_nothing_waits_all_is_well(standing: Standing) -> None:
    assert examine(standing._replace(unsettled=0, behind=0), PATIENCE) is None


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(5, 1_001, 0, cause="nodes"), "no node would take a question"),
        (Standing(0, 1_001, 0, behind=3, cause="nodes"), "no node would take a question"),
        (Standing(0, 1_001, 0, behind=3, cause="bounds"), "other partitions have as much unsettled"),
        (Standing(0, 1_001, 0, behind=3, cause="memory"), "until what was remembered of it is here"),
        (Standing(5, 1_001, 0), "stuck"),
        (Standing(0, 1_001, 0, behind=3), "no fetch brings what is there"),
        (Standing(5, 0, 50_001), "what is unsettled"),
        (Standing(0, 0, 50_001, behind=3), "what was not read yet"),
        (Standing(0, 0, 50_001, behind=3, cause="bounds"), "what was not read yet"),
        (Standing(0, 0, 50_001, behind=3, cause="paused"), "because its topic is paused"),
    ],
)
def test_each_cause_has_words_of_its_own(standing: Standing, words: str) -> None:
    finding = examine(standing, PATIENCE)
    assert finding is not None
    assert words in sentence_of(finding, standing)

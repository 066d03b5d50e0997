"""Where the reading of a changelog begins: by whose the store is, and where it stands."""

from __future__ import annotations

import pytest

from streams.core.restoring import Begin, begin_at, is_of


@pytest.mark.parametrize(
    ("stored", "begin"),
    [
        (None, Begin(10, is_anew=False)),
        (9, Begin(10, is_anew=True)),
        (10, Begin(10, is_anew=False)),
        (20, Begin(20, is_anew=False)),
        (21, Begin(10, is_anew=True)),
    ],
)
def test_a_store_reads_on_where_it_stands_unless_the_topic_has_no_such_place(stored, begin):
    assert begin_at(stored, 10, 20) == begin


@pytest.mark.parametrize("stored", [None, 10, 15, 20])
def test_what_another_topic_left_goes_wherever_it_stands(stored):
    assert begin_at(stored, 10, 20, is_ours=False) == Begin(10, is_anew=True)


@pytest.mark.parametrize(
    ("stored_source", "stored", "is_ours"),
    [
        ("memory 1", 7, True),
        ("memory 1", None, True),
        ("memory 2", 7, False),
        ("memory 2", None, False),
        (None, 7, False),
        (None, None, True),
    ],
)
def test_a_store_is_of_the_changelog_that_it_names_and_a_new_one_of_any(stored_source, stored, is_ours):
    assert is_of("memory 1", stored_source=stored_source, stored=stored) is is_ours

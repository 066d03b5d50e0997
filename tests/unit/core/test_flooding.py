"""Counting an author's posts: never more than there were, never fewer than the window held, bounded."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from streams.core.flooding import SLICES, WINDOWS_MAX, FloodMeter, Window

WINDOW = Window("flood", 8_000)
SLICE_MS = WINDOW.window_ms // SLICES


def counts(*at_ms, meter=None, author="a"):
    meter = meter or FloodMeter()
    return [meter.count(WINDOW, "default", author, at) for at in at_ms]


def test_posts_within_the_window_add_up_and_leave_it_again():
    assert counts(0, 1_000, 2_000) == [1, 2, 3]
    assert counts(0, 1_000, 60_000) == [1, 2, 1]


def test_a_backlog_that_is_drained_at_once_is_no_flood():
    assert max(counts(*range(0, 3_600_000, 60_000))) == 1


def test_authors_tenants_and_rules_are_counted_apart():
    meter = FloodMeter()
    assert counts(0, 0, meter=meter) == [1, 2]
    assert counts(0, meter=meter, author="b") == [1]
    assert meter.count(WINDOW, "other", "a", 0) == 1
    assert meter.count(Window("second", 8_000), "default", "a", 0) == 1


def test_what_comes_far_too_late_is_not_counted():
    assert counts(100_000, 0, 100_000) == [1, 1, 2]


def test_timestamps_before_the_epoch_do_no_harm():
    assert counts(-5, -4, 3) == [1, 2, 3]


@given(st.lists(st.integers(-50_000, 50_000), min_size=1, max_size=60))
def test_out_of_order_a_count_lies_between_the_window_and_the_window_with_one_slice_more(moments):
    meter = FloodMeter()
    seen, newest = [], None
    for at in moments:
        count = meter.count(WINDOW, "default", "a", at)
        newest = at if newest is None else max(newest, at)
        seen.append(at)
        # A slice is counted whole, so the window reaches up to one slice further back.
        oldest_ms = (newest // SLICE_MS - SLICES) * SLICE_MS
        exact = sum(newest - WINDOW.window_ms < one for one in seen)
        assert count <= sum(one >= oldest_ms for one in seen)
        assert count >= exact


class Meter(RuleBasedStateMachine):
    """A small meter beside a list of everything that was ever written."""

    AUTHORS_MAX = 4

    def __init__(self):
        super().__init__()
        self.meter = FloodMeter(authors_max=self.AUTHORS_MAX)
        self.posts = defaultdict(list)
        self.windows = set()

    @rule(
        author=st.sampled_from("abcdefgh"),
        at_ms=st.integers(0, 100_000),
        number=st.integers(0, WINDOWS_MAX + 3),
    )
    def write(self, author, at_ms, number):
        window = Window(f"flood-{number}", 8_000)
        posts = self.posts[window, author]
        posts.append(at_ms)
        count = self.meter.count(window, "default", author, at_ms)
        # In the author's favour: forgetting makes it less, and nobody else's posts make it more.
        assert 0 <= count <= len(posts)

    @rule()
    def the_partition_moves(self):
        """Whoever owns it next begins with a meter of its own."""
        self.meter = FloodMeter(authors_max=self.AUTHORS_MAX)
        self.posts.clear()

    @invariant()
    def it_is_bounded(self):
        windows, authors = (int(word) for word in repr(self.meter).split() if word.isdigit())
        assert windows <= WINDOWS_MAX
        assert authors <= windows * self.AUTHORS_MAX


TestMeter = Meter.TestCase


@given(st.lists(st.sampled_from("abc"), min_size=30, max_size=80))
def test_the_author_who_writes_most_is_not_the_one_who_is_forgotten(quiet):
    meter = FloodMeter(authors_max=2)
    count = 0
    for other in quiet:
        counts(0, meter=meter, author=other)
        (count,) = counts(0, meter=meter, author="loud")
    assert count == len(quiet)

"""The lanes: nothing lost or doubled, the order within a lane, the urgent first, and nobody starved."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.lanes import LANES, TURN_OF_THE_OTHERS, Lanes

STARVED_AFTER = LANES * TURN_OF_THE_OTHERS
"""Three other lanes may have their turn before one does."""

lane_numbers = st.integers(0, LANES - 1)
deadlines = st.none() | st.integers(0, 300).map(float)


class LanesMachine(RuleBasedStateMachine):
    """The lanes beside a model of plain lists."""

    @initialize()
    def start(self):
        self.lanes: Lanes[int] = Lanes()
        # Lane, (deadline, arrival, number); the number is the item.
        self.waiting: list[tuple[int, tuple[float, float, int]]] = []
        self.now_ms = 0.0
        self.items = 0
        self.passed_over = [0] * LANES

    @rule(lane=lane_numbers, deadline_ms=deadlines, late_ms=st.integers(0, 20))
    def put(self, lane, deadline_ms, late_ms):
        """What comes back after a failed attempt has an earlier arrival than now."""
        self.items += 1
        at_ms = self.now_ms - late_ms
        self.lanes.put(self.items, lane=lane, at_ms=at_ms, deadline_ms=deadline_ms)
        deadline = float("inf") if deadline_ms is None else deadline_ms
        self.waiting.append((lane, (deadline, at_ms, self.items)))

    @rule(ms=st.integers(1, 40))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule(times=st.integers(1, 30))
    def take(self, times):
        for _ in range(times):
            self._take()

    def _take(self):
        item = self.lanes.take()
        if not self.waiting:
            assert item is None
            return
        lane, place = next((lane, place) for lane, place in self.waiting if place[2] == item)
        assert place == min(other for at, other in self.waiting if at == lane)
        busy = {at for at, _ in self.waiting}
        for other in range(LANES):
            self.passed_over[other] = self.passed_over[other] + 1 if other in busy - {lane} else 0
        self.waiting.remove((lane, place))

    @rule(number=st.integers(1, 60), lane=lane_numbers)
    def move(self, number, lane):
        """Small integers are the same object wherever they stand."""
        mine = [entry for entry in self.waiting if entry[1][2] == number]
        assert self.lanes.move(number, lane) == bool(mine)
        if mine:
            self.waiting.remove(mine[0])
            self.waiting.append((lane, mine[0][1]))

    @rule()
    def expire(self):
        gone = list(self.lanes.expired(self.now_ms))
        expected = [(lane, place) for lane, place in self.waiting if place[0] <= self.now_ms]
        assert sorted(gone) == sorted(place[2] for _, place in expected)
        self.waiting = [entry for entry in self.waiting if entry not in expected]

    @rule(divisor=st.integers(1, 5))
    def remove(self, divisor):
        self.lanes.remove({place[2] for _, place in self.waiting if place[2] % divisor == 0})
        self.waiting = [entry for entry in self.waiting if entry[1][2] % divisor]

    @rule(ago_ms=st.integers(0, 60))
    def ask_who_has_waited_for_so_long(self, ago_ms):
        before_ms = self.now_ms - ago_ms
        expected = [place[2] for _, place in self.waiting if place[1] < before_ms]
        assert sorted(self.lanes.arrived_before(before_ms)) == sorted(expected)

    @rule()
    def clear(self):
        assert sorted(self.lanes.clear()) == sorted(place[2] for _, place in self.waiting)
        self.waiting = []

    @invariant()
    def all_that_wait_are_counted(self):
        assert len(self.lanes) == len(self.waiting)
        for lane in range(LANES):
            of_lane = [place for at, place in self.waiting if at == lane]
            assert self.lanes.waiting(lane) == len(of_lane)
            assert self.lanes.oldest_ms(lane) == min((place[1] for place in of_lane), default=None)

    @invariant()
    def the_next_deadline_is_the_earliest(self):
        earliest = min((place[0] for _, place in self.waiting), default=float("inf"))
        assert self.lanes.next_deadline_ms() == (None if earliest == float("inf") else earliest)

    @invariant()
    def nobody_is_passed_over_for_long(self):
        assert max(self.passed_over) < STARVED_AFTER


LanesMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLanes = LanesMachine.TestCase


def filled(*counts: int) -> Lanes[tuple[int, int]]:
    """So many in each lane, the less urgent lanes the older ones."""
    lanes: Lanes[tuple[int, int]] = Lanes()
    for lane, count in enumerate(counts):
        for number in range(count):
            lanes.put((lane, number), lane=lane, at_ms=float(number - 1_000 * lane))
    return lanes


def taken(lanes: Lanes[tuple[int, int]], times: int) -> list[int]:
    """The lanes of the next so many."""
    return [item[0] for item in (lanes.take() for _ in range(times)) if item is not None]


def test_the_most_urgent_lane_goes_first():
    assert taken(filled(3, 3, 3, 3), 9) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_within_a_lane_the_earliest_deadline_goes_first_and_then_the_oldest():
    lanes: Lanes[str] = Lanes()
    lanes.put("younger", lane=1, at_ms=5.0)
    lanes.put("older", lane=1, at_ms=4.0)
    lanes.put("due late", lane=1, at_ms=1.0, deadline_ms=90.0)
    lanes.put("due soon", lane=1, at_ms=9.0, deadline_ms=50.0)
    assert [lanes.take() for _ in range(5)] == ["due soon", "due late", "older", "younger", None]


def test_equals_leave_in_the_order_they_came_in():
    lanes: Lanes[str] = Lanes()
    for item in "abcde":
        lanes.put(item, lane=0, at_ms=1.0)
    assert [lanes.take() for _ in range(5)] == list("abcde")


@pytest.mark.parametrize("lane", range(1, LANES))
def test_a_lane_below_a_backlog_gets_its_dispatch(lane):
    counts = [1_000] * lane + [1] + [0] * (LANES - lane - 1)
    assert lane in taken(filled(*counts), STARVED_AFTER)


def test_a_lane_whose_records_came_last_is_not_starved_by_older_ones():
    lanes = filled(0, 1_000, 0, 0)
    lanes.put((3, 0), lane=3, at_ms=1e9)
    assert 3 in taken(lanes, STARVED_AFTER)


def test_under_a_backlog_in_all_lanes_the_others_share_every_twelfth_dispatch():
    counts = [taken(filled(5_000, 500, 500, 500), 1_200).count(lane) for lane in range(LANES)]
    assert counts[0] == pytest.approx(1_100, abs=2)
    assert counts[1:] == pytest.approx([33, 33, 33], abs=1)


@given(st.lists(st.tuples(lane_numbers, deadlines), max_size=60))
def test_everybody_who_was_put_in_is_taken_out_once(entries):
    lanes: Lanes[int] = Lanes()
    for number, (lane, deadline_ms) in enumerate(entries):
        lanes.put(number, lane=lane, at_ms=float(number), deadline_ms=deadline_ms)
    assert sorted(lanes.take() for _ in entries) == list(range(len(entries)))
    assert lanes.take() is None


def test_it_says_how_it_stands():
    assert repr(filled(1, 0, 2, 3)) == "<Lanes | 1, 0, 2, 3 waiting>"


@given(st.lists(st.integers(0, 50), min_size=5, max_size=60), st.integers(2, 5))
def test_the_order_survives_a_removal(due_ms, divisor):
    lanes: Lanes[tuple[int, int]] = Lanes()
    for number, deadline_ms in enumerate(due_ms):
        lanes.put((deadline_ms, number), lane=0, at_ms=0.0, deadline_ms=float(deadline_ms))
    lanes.remove({(at_ms, number) for number, at_ms in enumerate(due_ms) if number % divisor == 0})
    left = [item for item in iter(lanes.take, None) if item is not None]
    assert left == sorted(left)
    assert len(left) == sum(number % divisor != 0 for number in range(len(due_ms)))

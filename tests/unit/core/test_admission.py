"""Admission: each lane has room that nobody else can take, and what is paused goes on when there is room."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.admission import OWN_MIN, Admission, Room, room_for
from streams.core.lanes import LANES

ROOM = Room(own=10, shared=100)


def paused(*waiting: int, admission: Admission | None = None) -> set[int]:
    admission = admission or Admission()
    admission.look(waiting, ROOM)
    return set(admission.paused)


def test_low_is_fetched_while_medium_floods():
    assert paused(0, 0, 500, 10) == {2}


def test_intake_of_the_least_urgent_pauses_at_80_percent_and_goes_on_at_50():
    admission = Admission()
    assert paused(0, 0, 0, 89, admission=admission) == set()
    assert paused(0, 0, 0, 90, admission=admission) == {3}
    assert paused(0, 0, 0, 61, admission=admission) == {3}
    assert paused(0, 0, 0, 60, admission=admission) == set()


def test_the_more_urgent_pause_later():
    assert paused(0, 10, 50, 50) == {3}
    assert paused(0, 30, 40, 50) == {3, 2}
    assert paused(0, 60, 40, 50) == {3, 2, 1}


def test_critical_is_never_paused_by_the_others_and_pauses_by_itself():
    assert 0 not in paused(0, 10_000, 10_000, 10_000)
    admission = Admission()
    assert paused(103, 0, 0, 0, admission=admission) == set()
    assert paused(104, 0, 0, 0, admission=admission) == {0}
    assert paused(66, 0, 0, 0, admission=admission) == {0}
    assert paused(64, 0, 0, 0, admission=admission) == set()


def test_a_paused_lane_goes_on_when_half_of_its_own_room_is_free_whatever_the_others_do():
    admission = Admission()
    assert paused(0, 0, 400, 30, admission=admission) == {2, 3}
    assert paused(0, 0, 400, 6, admission=admission) == {2, 3}
    assert paused(0, 0, 400, 5, admission=admission) == {2}


def test_it_says_whether_anything_changed():
    admission = Admission()
    assert not admission.look((0, 0, 0, 0), ROOM)
    assert admission.look((0, 0, 0, 500), ROOM)
    assert not admission.look((0, 0, 0, 400), ROOM)


@given(st.integers(0, 100_000), st.integers(256, 1_000_000))
def test_there_is_room_for_four_times_the_slots_within_bounds(slots, items_max):
    room = room_for(slots, items_max)
    assert room.own == OWN_MIN
    assert room.shared > 0
    assert max(256, min(4 * slots, items_max)) == room.own * 3 + room.shared


class AdmissionMachine(RuleBasedStateMachine):
    """Lanes that are filled where they are not paused, and emptied from anywhere."""

    @initialize()
    def start(self):
        self.admission = Admission()
        self.waiting = [0] * LANES

    @rule(lane=st.integers(0, LANES - 1), count=st.integers(1, 60))
    def fetch(self, lane, count):
        if lane not in self.admission.paused:
            self.waiting[lane] += count
        self.admission.look(self.waiting, ROOM)

    @rule(lane=st.integers(0, LANES - 1), count=st.integers(1, 60))
    def dispatch(self, lane, count):
        self.waiting[lane] = max(0, self.waiting[lane] - count)
        self.admission.look(self.waiting, ROOM)

    @invariant()
    def what_waits_is_bounded_by_the_room_and_one_fetch_of_each_lane(self):
        assert sum(self.waiting[1:]) <= 3 * ROOM.own + ROOM.shared + 3 * 60
        assert self.waiting[0] <= ROOM.critical + 60

    @invariant()
    def each_lane_has_room_of_its_own(self):
        for lane in range(1, LANES):
            assert self.waiting[lane] > ROOM.own // 2 or lane not in self.admission.paused

    @invariant()
    def nothing_is_paused_for_ever(self):
        if not any(self.waiting):
            assert not self.admission.paused


AdmissionMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAdmission = AdmissionMachine.TestCase

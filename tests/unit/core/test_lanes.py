"""The lanes: nothing lost or doubled, the order within a lane, the urgent first, and nobody starved."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.lane import Entry, Heap, Place, Ticket
from streams.core.lanes import LANES, PATIENCE_MS, Lanes, Shares

SHARES = Shares(guards_ms=(100.0, 200.0, 400.0))
lane_numbers = st.integers(0, LANES - 1)
deadlines = st.none() | st.integers(0, 300).map(float)


class LanesMachine(RuleBasedStateMachine):
    """The lanes beside a model of plain lists."""

    @initialize()
    def start(self):
        self.lanes: Lanes[int] = Lanes(lambda: SHARES)
        self.waiting: dict[int, Ticket] = {}
        self.now_ms = 0.0
        self.items = 0

    @rule(lane=lane_numbers, deadline_ms=deadlines, late_ms=st.integers(0, 20), cost=st.integers(1, 9))
    def put(self, lane, deadline_ms, late_ms, cost):
        """What comes back after a failed attempt has an earlier time than now."""
        self.items += 1
        ticket = Ticket(lane, self.now_ms - late_ms, deadline_ms, cost=cost)
        self.lanes.put(self.items, ticket, self.now_ms)
        self.waiting[self.items] = ticket

    @rule(ms=st.integers(1, 40))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule(times=st.integers(1, 30), critical_only=st.booleans())
    def take(self, times, critical_only):
        for _ in range(times):
            self._take(critical_only=critical_only)

    def _take(self, *, critical_only):
        item = self.lanes.take(self.now_ms, critical_only=critical_only)
        if item is None:
            # Nobody waits, or nobody for whom the slot is kept.
            assert critical_only or not self.waiting
            assert all(ticket.lane for ticket in self.waiting.values())
            return
        ticket = self.waiting[item]
        of_lane = [(number, t) for number, t in self.waiting.items() if t.lane == ticket.lane]
        assert _place(item, ticket) == min(_place(number, other) for number, other in of_lane)
        del self.waiting[item]

    @rule()
    def expire(self):
        gone = list(self.lanes.expired(self.now_ms))
        expected = [n for n, t in self.waiting.items() if t.deadline_ms is not None]
        expected = [n for n in expected if self.waiting[n].deadline_ms <= self.now_ms]
        assert sorted(gone) == sorted(expected)
        for item in expected:
            del self.waiting[item]

    @rule()
    def clear(self):
        assert sorted(self.lanes.clear()) == sorted(self.waiting)
        self.waiting = {}

    @rule(back=st.integers(0, 30))
    def cancel(self, back):
        item = self.items - back
        assert self.lanes.cancel(item) == (item in self.waiting)
        self.waiting.pop(item, None)

    @rule(lane=lane_numbers, every=st.integers(1, 3), looks=st.integers(1, 12))
    def take_beside(self, lane, every, looks):
        asked: list[int] = []

        def is_mate(item: int) -> bool:
            asked.append(item)
            return item % every == 0

        self.lanes.take_beside(lane, "", is_mate, looks, self.now_ms)
        of_lane = [(number, t) for number, t in self.waiting.items() if t.lane == lane]
        first = sorted(of_lane, key=lambda one: _place(*one))[:looks]
        assert asked == [number for number, _ in first]
        for item in asked:
            if item % every == 0:
                del self.waiting[item]

    @rule(back=st.integers(0, 30), to=lane_numbers)
    def move(self, back, to):
        item = self.items - back
        known = self.waiting.get(item)
        assert self.lanes.move(item, to, self.now_ms) == (known is not None)
        if known:
            self.waiting[item] = Ticket(to, known.at_ms, known.deadline_ms, cost=known.cost)

    @invariant()
    def all_that_wait_are_counted(self):
        assert len(self.lanes) == len(self.waiting)
        assert set(self.lanes) == set(self.waiting)
        for lane in range(LANES):
            of_lane = [ticket.at_ms for ticket in self.waiting.values() if ticket.lane == lane]
            assert self.lanes.waiting(lane) == len(of_lane)
            assert self.lanes.oldest_ms()[lane] == min(of_lane, default=None)

    @invariant()
    def the_next_deadline_is_the_earliest(self):
        known = [t.deadline_ms for t in self.waiting.values() if t.deadline_ms is not None]
        assert self.lanes.next_deadline_ms() == min(known, default=None)


def _place(item: int, ticket: Ticket) -> tuple[float, float, int]:
    due_ms = ticket.deadline_ms
    return (ticket.at_ms + PATIENCE_MS[ticket.lane] if due_ms is None else due_ms, ticket.at_ms, item)


LanesMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLanes = LanesMachine.TestCase


class FairLanesMachine(RuleBasedStateMachine):
    """Tenants that take turns: nothing is lost, and none of them is put off by what the others have."""

    @initialize()
    def start(self):
        self.lanes: Lanes[tuple[str, int]] = Lanes()
        self.waiting: dict[str, list[int]] = {}
        self.passed_over: dict[str, int] = {}
        self.items = 0

    @rule(tenant=st.sampled_from("abcd"), count=st.integers(1, 12))
    def put(self, tenant, count):
        for _ in range(count):
            self.items += 1
            self.lanes.put((tenant, self.items), Ticket(1, float(self.items), tenant=tenant), 0.0)
            self.waiting.setdefault(tenant, []).append(self.items)

    @rule(times=st.integers(1, 8))
    def take(self, times):
        for _ in range(times):
            taken = self.lanes.take(0.0)
            if taken is None:
                assert not self.waiting
                return
            tenant, item = taken
            assert self.waiting[tenant].pop(0) == item
            for other in self.waiting:
                self.passed_over[other] = 0 if other == tenant else self.passed_over.get(other, 0) + 1
            if not self.waiting[tenant]:
                del self.waiting[tenant]
                self.passed_over.pop(tenant, None)

    @rule(tenant=st.sampled_from("abcd"))
    def leave(self, tenant):
        """A tenant takes back what it asked."""
        for item in self.waiting.pop(tenant, []):
            assert self.lanes.cancel((tenant, item))
        self.passed_over.pop(tenant, None)

    @invariant()
    def nobody_is_passed_over_for_long(self):
        assert max(self.passed_over.values(), default=0) <= 2 * 3
        assert len(self.lanes) == sum(map(len, self.waiting.values()))


FairLanesMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestFairLanes = FairLanesMachine.TestCase


def filled(*counts: int, cost: float = 1.0, shares: Shares | None = None) -> Lanes[tuple[int, int]]:
    """So many in each lane, the less urgent lanes the older ones."""
    wanted = shares or Shares()
    lanes: Lanes[tuple[int, int]] = Lanes(lambda: wanted)
    for lane, count in enumerate(counts):
        for number in range(count):
            lanes.put((lane, number), Ticket(lane, float(number - 1_000 * lane), cost=cost), 0.0)
    return lanes


def taken(lanes: Lanes[tuple[int, int]], times: int, *, every_ms: float = 0.0) -> list[int]:
    """The lanes of the next so many."""
    dispatched = (lanes.take(number * every_ms) for number in range(times))
    return [item[0] for item in dispatched if item is not None]


def test_critical_is_strict():
    assert taken(filled(30, 30, 30, 30), 30) == [0] * 30


def test_the_others_share_what_critical_leaves_by_their_weights():
    lanes = taken(filled(0, 2_000, 2_000, 2_000), 1_200)
    assert [lanes.count(lane) for lane in range(LANES)] == pytest.approx([0, 800, 300, 100], abs=2)


def test_the_share_is_of_tokens_and_not_of_questions():
    lanes: Lanes[tuple[int, int]] = Lanes()
    for number in range(1_000):
        lanes.put((1, number), Ticket(1, 0.0, cost=8.0), 0.0)
        lanes.put((3, number), Ticket(3, 0.0, cost=1.0), 0.0)
    order = taken(lanes, 400)
    assert order.count(1) == pytest.approx(order.count(3), abs=2)


def test_a_lane_that_was_empty_has_saved_nothing_up():
    lanes = filled(0, 1_000, 0, 0)
    taken(lanes, 500)
    for number in range(100):
        lanes.put((3, number), Ticket(3, 0.0), 0.0)
    assert taken(lanes, 120).count(3) == pytest.approx(120 / 9, abs=2)


@pytest.mark.parametrize(("lane", "guard_ms"), [(1, 5_000), (2, 60_000), (3, 600_000)])
def test_below_a_stream_of_critical_each_lane_is_dispatched_within_its_guard(lane, guard_ms):
    counts = [0] * LANES
    counts[0], counts[lane] = 2_000, 3
    every_ms = guard_ms / 100
    order = taken(filled(*counts), 1_000, every_ms=every_ms)
    waits = [at * every_ms for at, which in enumerate(order) if which == lane]
    gaps = [later - sooner for sooner, later in zip([0.0, *waits], waits, strict=False)]
    assert len(gaps) == 3
    assert all(0.7 * guard_ms < gap <= guard_ms for gap in gaps)


def test_overdue_lanes_together_take_a_tenth_of_what_critical_gets_and_five_at_once():
    shares = Shares(guards_ms=(1.0, 1.0, 1.0))
    order = taken(filled(5_000, 500, 500, 500, shares=shares), 2_200, every_ms=10.0)
    assert order.count(0) == pytest.approx(2_000, abs=10)
    saved = filled(200, shares=shares)
    taken(saved, 100)
    for number in range(50):
        saved.put((3, number), Ticket(3, 0.0), 0.0)
    late = [saved.take(1_000.0 + number) for number in range(10)]
    assert [item[0] for item in late if item] == [3] * 5 + [0] * 5


def test_an_overdue_lane_owes_nothing_while_no_critical_waits():
    lanes = filled(0, 1_000, 0, 1, shares=Shares(weights=(1_000.0, 1.0, 0.01), guards_ms=(1e9, 1e9, 100.0)))
    assert 3 in taken(lanes, 100, every_ms=1.0)


def test_slots_that_are_kept_for_critical_are_for_nobody_else():
    lanes = filled(1, 5, 5, 5)
    assert lanes.take(1e9, critical_only=True) == (0, 0)
    assert lanes.take(1e9, critical_only=True) is None
    assert len(lanes) == 15


def test_a_turn_that_was_earned_goes_before_what_is_kept_for_critical():
    lanes = filled(10, 0, 0, 1)
    taken(lanes, 10)
    assert lanes.take(0.0, critical_only=True) is None
    assert lanes.take(1e9, critical_only=True) == (3, 0)


def test_within_a_lane_the_earliest_deadline_goes_first_then_the_oldest_then_the_lowest_offset():
    lanes: Lanes[str] = Lanes()
    lanes.put("younger", Ticket(1, at_ms=5.0), 9.0)
    lanes.put("older, later in its partition", Ticket(1, at_ms=4.0, offset=8), 9.0)
    lanes.put("older", Ticket(1, at_ms=4.0, offset=7), 9.0)
    lanes.put("due late", Ticket(1, at_ms=1.0, deadline_ms=90.0), 9.0)
    lanes.put("due soon", Ticket(1, at_ms=9.0, deadline_ms=50.0), 9.0)
    assert [lanes.take(9.0) for _ in range(6)] == [
        "due soon",
        "due late",
        "older",
        "older, later in its partition",
        "younger",
        None,
    ]


def test_a_stream_of_deadlines_does_not_pass_one_without_for_ever():
    lanes: Lanes[str] = Lanes()
    lanes.put("patient", Ticket(1, at_ms=0.0), 0.0)
    lanes.put("due after its patience", Ticket(1, at_ms=0.0, deadline_ms=PATIENCE_MS[1] + 1), 0.0)
    assert lanes.take(0.0) == "patient"


def test_tenants_take_turns_by_what_they_cost():
    lanes: Lanes[tuple[str, int]] = Lanes()
    for number in range(100):
        lanes.put(("large", number), Ticket(1, 0.0, cost=10.0, tenant="large"), 0.0)
    for number in range(100):
        lanes.put(("small", number), Ticket(1, 1.0, cost=1.0, tenant="small"), 0.0)
    order = [item[0] for item in (lanes.take(0.0) for _ in range(55)) if item]
    assert order.count("large") == pytest.approx(5, abs=1)


def test_nobody_waits_twice():
    lanes = filled(1)
    with pytest.raises(AssertionError):
        lanes.put((0, 0), Ticket(0, 0.0), 0.0)


def test_what_leaves_out_of_its_turn_leaves_no_trace():
    heap: Heap[int] = Heap()
    for number in range(10_000):
        entry = Entry(number, Ticket(1, 0.0), Place(0.0, 0.0, 0, number))
        heap.push(number, entry)
        if number >= 50:
            entry.is_gone = True
            heap.left()
    assert repr(heap) in {f"<Heap {50 + gone} entries, {gone} of them gone>" for gone in range(100)}


@given(st.lists(st.tuples(lane_numbers, deadlines, st.sampled_from("abc")), max_size=60))
def test_everybody_who_was_put_in_is_taken_out_once(entries):
    lanes: Lanes[int] = Lanes()
    for number, (lane, deadline_ms, tenant) in enumerate(entries):
        lanes.put(number, Ticket(lane, float(number), deadline_ms, tenant=tenant), 0.0)
    assert sorted(lanes.take(0.0) for _ in entries) == list(range(len(entries)))
    assert lanes.take(0.0) is None


def test_it_says_how_it_stands():
    assert repr(filled(1, 0, 2, 3)) == "<Lanes | 1, 0, 2, 3 waiting>"


def test_a_tenant_that_several_went_of_at_once_pays_for_them_with_its_next_turns():
    lanes: Lanes[tuple[str, int]] = Lanes()
    for number in range(20):
        for tenant in "ab":
            lanes.put((tenant, number), Ticket(1, float(number), tenant=tenant), 0.0)
    assert lanes.take(0.0) == ("a", 0)
    lanes.take_beside(1, "a", lambda _: True, 4, 0.0)
    tenants = [(lanes.take(0.0) or ("", 0))[0] for _ in range(8)]
    assert tenants.count("b") - tenants.count("a") >= 4
    assert lanes.waiting(1) == 40 - 5 - 8

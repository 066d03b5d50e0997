"""Single flight: one is asked, everybody is answered or handed back once, and nobody stampedes."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.core.flights import Flights, Key, Leads, Successor, Ticket, Waits

KEYS = [Key(content, policy) for content in ("c1", "c2") for policy in ("p1", "p2")]
LANES = 4
NEVER = float("inf")

keys = st.sampled_from(KEYS)
lanes = st.integers(0, LANES - 1)
deadlines = st.none() | st.integers(0, 300).map(float)


class FlightsMachine(RuleBasedStateMachine):
    """The flights beside a model: for each key a leader, and who waits in the order of arrival."""

    @initialize()
    def start(self):
        self.flights: Flights[int] = Flights()
        self.leaders: dict[Key, Ticket] = {}
        # The lane in which each leader's question was last put, as the caller was told.
        self.asked_in: dict[Key, int] = {}
        # Of each who waits: key, ticket, lane, deadline. The number is the item.
        self.waiters: dict[int, tuple[Key, Ticket, int, float]] = {}
        self.spent: list[Ticket] = []
        self.items = 0
        self.now_ms = 0.0
        self.came: set[int] = set()
        self.ended: list[int] = []

    @rule(key=keys, lane=lanes, deadline_ms=deadlines)
    def join(self, key, lane, deadline_ms):
        self.items += 1
        match self.flights.join(key, self.items, lane=lane, deadline_ms=deadline_ms):
            case Leads(ticket):
                assert key not in self.leaders, "two are asked the same at one time"
                self.leaders[key], self.asked_in[key] = ticket, lane
            case Waits(ticket, promote):
                assert key in self.leaders
                self.came.add(self.items)
                self.waiters[self.items] = (key, ticket, lane, NEVER if deadline_ms is None else deadline_ms)
                assert (promote is not None) == (lane < self.asked_in[key])
                if promote is not None:
                    assert promote == (self.leaders[key], lane)
                    self.asked_in[key] = lane

    @precondition(lambda self: self.leaders)
    @rule(data=st.data())
    def land(self, data):
        key = data.draw(st.sampled_from(sorted(self.leaders)))
        mine = [item for item, (at, *_) in self.waiters.items() if at == key]
        assert list(self.flights.land(self.leaders[key])) == mine
        self._leader_is_gone(key)
        self._ended(mine)

    @precondition(lambda self: self.leaders)
    @rule(data=st.data())
    def the_leader_brings_nothing(self, data):
        key = data.draw(st.sampled_from(sorted(self.leaders)))
        mine = {item: waiter for item, waiter in self.waiters.items() if waiter[0] == key}
        successor = self.flights.leave(self.leaders[key])
        self._leader_is_gone(key)
        if not mine:
            assert successor is None
            return
        chosen = min(mine, key=lambda item: (mine[item][2], item))
        _, ticket, lane, _ = self.waiters.pop(chosen)
        assert successor == Successor(ticket, chosen, lane)
        self.ended.append(chosen)
        self.leaders[key], self.asked_in[key] = ticket, lane

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def a_waiter_leaves(self, data):
        item = data.draw(st.sampled_from(sorted(self.waiters)))
        ticket = self.waiters[item][1]
        assert self.flights.leave(ticket) is None
        self._ended([item])

    @rule(ms=st.integers(1, 60))
    def time_passes(self, ms):
        self.now_ms += ms
        late = [item for item, waiter in self.waiters.items() if waiter[3] <= self.now_ms]
        assert sorted(self.flights.expired(self.now_ms)) == sorted(late)
        self._ended(late)

    @rule(divisor=st.integers(1, 4))
    def a_partition_goes(self, divisor):
        gone = [item for item in self.waiters if item % divisor == 0]
        assert sorted(self.flights.remove(lambda item: item % divisor == 0)) == gone
        self._ended(gone)

    @precondition(lambda self: self.spent)
    @rule(data=st.data())
    def a_ticket_that_is_spent_does_nothing(self, data):
        ticket = data.draw(st.sampled_from(self.spent))
        assert self.flights.land(ticket) == ()
        assert self.flights.leave(ticket) is None

    @precondition(lambda self: self.leaders)
    @rule(data=st.data(), divisor=st.integers(1, 3))
    def some_who_wait_for_one_leave(self, data, divisor):
        key = data.draw(st.sampled_from(sorted(self.leaders)))
        gone = [item for item, waiter in self.waiters.items() if waiter[0] == key and item % divisor == 0]
        assert self.flights.remove(lambda item: item % divisor == 0, key=key) == gone
        self._ended(gone)

    def _leader_is_gone(self, key):
        self.spent.append(self.leaders.pop(key))
        del self.asked_in[key]

    def _ended(self, items):
        for item in items:
            self.spent.append(self.waiters.pop(item)[1])
            self.ended.append(item)

    @invariant()
    def everybody_who_came_waits_or_has_ended_once(self):
        assert len(self.ended) == len(set(self.ended))
        assert set(self.ended) | set(self.waiters) == self.came
        assert not set(self.ended) & set(self.waiters)

    @invariant()
    def the_books_are_right(self):
        assert len(self.flights) == len(self.leaders)
        assert self.flights.waiting == len(self.waiters)
        for lane in range(LANES):
            as_urgent = sum(waiter[2] <= lane for waiter in self.waiters.values())
            assert [self.flights.is_crowded(lane, as_urgent + more) for more in (-1, 0)] == [True, False]
        assert {key for key in KEYS if self.flights.is_under_way(key)} == set(self.leaders)

    @invariant()
    def nobody_waits_without_a_leader(self):
        assert {waiter[0] for waiter in self.waiters.values()} <= set(self.leaders)

    @invariant()
    def the_leader_is_asked_as_urgently_as_the_most_urgent_of_its_copies(self):
        assert all(self.asked_in[key] <= lane for key, _, lane, _ in self.waiters.values())

    @invariant()
    def the_next_deadline_is_the_earliest_of_those_who_wait(self):
        earliest = min((waiter[3] for waiter in self.waiters.values()), default=NEVER)
        assert self.flights.next_deadline_ms() == (None if earliest == NEVER else earliest)


FlightsMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestFlights = FlightsMachine.TestCase

KEY = KEYS[0]


def under_way(*items: str) -> tuple[Flights[str], Ticket]:
    """A flight with its leader and these who wait, all of the least urgent lane."""
    flights: Flights[str] = Flights()
    lead = flights.join(KEY, "leader", lane=3)
    assert isinstance(lead, Leads)
    for item in items:
        assert isinstance(flights.join(KEY, item, lane=3), Waits)
    return flights, lead.ticket


def test_copies_get_the_answer_of_the_first_in_the_order_they_came():
    flights, leader = under_way("a", "b", "c")
    assert flights.land(leader) == ("a", "b", "c")
    assert not flights.is_under_way(KEY)


def test_after_the_answer_the_next_copy_leads_anew():
    flights, leader = under_way("a")
    flights.land(leader)
    assert isinstance(flights.join(KEY, "b", lane=0), Leads)


@pytest.mark.parametrize("other", KEYS[1:])
def test_another_text_or_policy_is_another_question(other):
    flights, _ = under_way("a")
    assert isinstance(flights.join(other, "b", lane=0), Leads)


def test_a_failure_makes_one_copy_ask_and_leaves_the_others_waiting():
    flights, leader = under_way("a", "b", "c")
    successor = flights.leave(leader)
    assert successor is not None
    assert (successor.item, flights.waiting) == ("a", 2)
    assert flights.land(successor.ticket) == ("b", "c")


def test_failures_one_after_the_other_come_to_an_end():
    flights, ticket = under_way("a", "b", "c")
    asked = []
    while (successor := flights.leave(ticket)) is not None:
        ticket = successor.ticket
        asked.append(successor.item)
    assert asked == ["a", "b", "c"]
    assert (len(flights), flights.waiting) == (0, 0)


def test_the_most_urgent_copy_takes_over_and_is_asked_in_its_own_lane():
    flights, leader = under_way("low")
    flights.join(KEY, "critical", lane=0)
    flights.join(KEY, "high", lane=1)
    successor = flights.leave(leader)
    assert successor is not None
    assert (successor.item, successor.lane) == ("critical", 0)


def test_a_more_urgent_copy_pulls_the_leader_forward_once():
    flights, leader = under_way("low")
    first = flights.join(KEY, "high", lane=1)
    assert isinstance(first, Waits)
    assert first.promote == (leader, 1)
    again = flights.join(KEY, "high too", lane=1)
    assert isinstance(again, Waits)
    assert again.promote is None


def test_after_the_urgent_one_took_over_and_left_the_next_is_only_as_urgent_as_it_is():
    flights, leader = under_way("low")
    flights.join(KEY, "critical", lane=0)
    urgent = flights.leave(leader)
    assert urgent is not None
    rest = flights.leave(urgent.ticket)
    assert rest is not None
    assert (rest.item, rest.lane) == ("low", 3)
    late = flights.join(KEY, "medium", lane=2)
    assert isinstance(late, Waits)
    assert late.promote == (rest.ticket, 2)


def test_those_who_are_less_urgent_crowd_nobody_who_is_more_so():
    flights, leader = under_way("a", "b", "c")
    assert [flights.is_crowded(lane, 2) for lane in range(LANES)] == [False, False, False, True]
    flights.join(KEY, "urgent", lane=1)
    assert [flights.is_crowded(lane, 0) for lane in range(LANES)] == [False, True, True, True]
    flights.land(leader)
    assert not flights.is_crowded(3, 0)


def test_the_answer_of_one_who_leads_no_more_answers_nobody():
    flights, leader = under_way("a", "b")
    successor = flights.leave(leader)
    assert flights.land(leader) == ()
    assert flights.leave(leader) is None
    assert successor is not None
    assert flights.land(successor.ticket) == ("b",)


def test_moments_of_those_who_left_do_not_pile_up():
    flights, _ = under_way()
    for number in range(10_000):
        joined = flights.join(KEY, "copy", lane=3, deadline_ms=1e9 + number)
        assert isinstance(joined, Waits)
        flights.leave(joined.ticket)
    assert len(flights._deadlines) < 100  # noqa: SLF001  The bound that is tested is inside.


def test_it_says_how_it_stands():
    flights, _ = under_way("a", "b")
    assert repr(flights) == "<Flights 1 under way, 2 waiting>"

"""Dispatch to nodes that take packs: who goes together, when, and that each job ends once whatever packs do.

Time is virtual, as in `test_dispatch`.
"""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packing import EACH_MS, FIXED_MS, SETTINGS, PackNode, asking, day, grown
from stages import ANSWER, FakeNode, Step
from virtual_time import reaches, run, virtual

from schemas.verdict import ScoredLabel
from streams.core.bisecting import extra_requests_max
from streams.core.routing import Terms
from streams.dispatch import Failed, Judged, Late, Outcome
from streams.ports import Answer, BadAnswer, Misconfigured, Overloaded, Refused, TimedOut, Unreachable

ALONE_MS = FIXED_MS + EACH_MS
SPAM = Answer(labels=(ScoredLabel(name="spam", score=0.99),), confidence=0.99, model=ANSWER.model)


# -- who goes together, and when ----------------------------------------------------------------------------


@virtual
async def test_what_comes_slowly_goes_at_once_and_alone():
    node = PackNode()
    async with asking(node) as asker:
        for _ in range(20):
            asker.ask_days(1)
            await asyncio.sleep(5)
        assert node.sizes == [1] * 20
        assert list(asker.after_ms.values()) == pytest.approx([ALONE_MS] * 20)


@virtual
async def test_what_comes_while_the_slot_is_busy_goes_together_when_it_is_free():
    node = PackNode()
    async with asking(node) as asker:
        for _ in range(400):
            asker.ask_days(1)
            await asyncio.sleep(0.15)
        await asker.all_ended()
        assert asker.are_judged
        assert max(node.sizes) > 4
        # A request of its own takes 1.1 s: one by one the node would be done with an eighth of them.
        assert len(node.sizes) < 400 / 4


@virtual
async def test_a_node_that_is_idle_is_left_idle_for_a_tenth_of_a_request_at_most_and_where_that_pays():
    node = PackNode(slots=2)
    async with asking(node) as asker:
        await grown(asker)
        asker.ask("My tomatoes are ripe")
        await asker.all_ended()
        before = len(node.requests)
        for number in range(9_000, 9_010):
            asker.ask(day(number), tenant="new")
            await asyncio.sleep(0.02)
        await asker.all_ended()
        (first_ms, first), (second_ms, second), *others = node.requests[before:]
        assert first == (day(9_000),), "nobody else was expected"
        # The second came 20 ms later, and another was expected each 20 ms.
        assert 0.1 * ALONE_MS <= second_ms - first_ms - 20 <= 0.1 * (FIXED_MS + 8 * EACH_MS)
        assert len(second) >= 6
        assert len(second) + sum(len(texts) for _, texts in others) == 9


@virtual
async def test_a_node_that_is_busy_is_never_idle_while_somebody_waits():
    node = PackNode()
    async with asking(node) as asker:
        for _ in range(60):
            asker.ask_days(1)
            await asyncio.sleep(0.15)
        await asker.all_ended()
        took = [FIXED_MS + EACH_MS * (count + 2 if count > 1 else 1) for count in node.sizes]
        idle = [
            begins - last - took_ms
            for ((last, _), (begins, _)), took_ms in zip(pairwise(node.requests), took, strict=False)
        ]
        assert max(idle) == pytest.approx(0, abs=1)


@virtual
async def test_a_slot_that_somebody_else_would_have_is_not_waited_in():
    node = PackNode()
    async with asking(node) as asker:
        await grown(asker)
        asker.ask(day(9_000), tenant="a")
        await asyncio.sleep(0.01)
        for number in range(9_001, 9_004):
            asker.ask(day(number), tenant="a")
        asker.ask("My tomatoes are ripe", tenant="b")
        await asker.all_ended()
        last = [texts for _, texts in node.requests][-3:]
        assert [len(texts) for texts in last] == [1, 3, 1]
        begun = [at for at, _ in node.requests][-3:]
        assert begun[1] - begun[0] == pytest.approx(ALONE_MS), "it goes as soon as the slot is free"


@virtual
async def test_those_of_another_tenant_policy_lane_or_length_go_by_themselves():
    node = PackNode()
    async with asking(node) as asker:
        asker.ask(day(0))
        await asyncio.sleep(0)
        asker.ask(day(1), day(2), tenant="a")
        asker.ask(day(3), day(4), tenant="b")
        asker.ask(day(5), day(6), tenant="b", lane=3)
        asker.ask("ho ho ho " * 60, tenant="b")
        await asker.all_ended()
        assert sorted(tuple(sorted(texts)) for _, texts in node.requests if len(texts) > 1) == [
            (day(1), day(2)),
            (day(3), day(4)),
            (day(5), day(6)),
        ]


@virtual
async def test_a_critical_post_goes_before_packs_and_alone():
    node = PackNode()
    async with asking(node) as asker:
        asker.ask_days(30)
        await asyncio.sleep(1.5)
        asker.ask("It burns", "It burns again", lane=0)
        await reaches(lambda: "It burns again" in asker.outcomes)
        alone = [texts for _, texts in node.requests if "It burns" in texts[0]]
        assert alone == [("It burns",), ("It burns again",)]
        assert asker.after_ms["It burns again"] < 4 * ALONE_MS
        await asker.all_ended()


@virtual
async def test_a_node_that_is_not_declared_so_gets_no_packs():
    node = PackNode()
    async with asking(node, terms={"a": Terms()}) as asker:
        asker.ask_days(20)
        await asker.all_ended()
        assert node.sizes == [1] * 20


@virtual
async def test_one_whose_attempt_has_failed_goes_alone_from_then_on():
    node = PackNode(BadAnswer())
    async with asking(node) as asker:
        asker.ask(day(0))
        await asyncio.sleep(0.5)
        asker.ask(*map(day, range(1, 9)))
        await asker.all_ended()
        assert [texts for _, texts in node.requests if day(0) in texts] == [(day(0),), (day(0),)]
        assert asker.outcomes[day(0)].attempts == 2


# -- what spoils a pack -------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(8))
@virtual
async def test_one_post_that_spoils_a_pack_of_eight_costs_six_more_requests_at_most(at):
    node = PackNode(spoils=lambda text: text == day(9_001 + at))
    async with asking(node) as asker:
        await grown(asker)
        before = len(node.requests)
        asker.ask(day(9_000), *[day(9_001 + number) for number in range(8)])
        await asker.all_ended()
        assert asker.are_judged
        assert len(node.requests) - before - 2 <= extra_requests_max(8) == 6
        held = [len(texts) for _, texts in node.requests if day(9_001 + at) in texts]
        assert held == [8, 4, 2, 1]


@virtual
async def test_the_good_ones_have_their_answer_at_once_and_the_bad_one_is_charged_alone():
    node = PackNode(unusable=lambda text: text == day(2))
    async with asking(node) as asker:
        asker.ask(day(0))
        await asyncio.sleep(0.5)
        asker.ask(day(1), day(2), day(3), day(4))
        await asker.all_ended()
        assert [len(texts) for _, texts in node.requests] == [1, 4, 1]
        assert {text: outcome.attempts for text, outcome in asker.outcomes.items()} == {
            day(0): 1, day(1): 1, day(2): 2, day(3): 1, day(4): 1,
        }  # fmt: skip
        assert asker.after_ms[day(1)] < asker.after_ms[day(2)]


@virtual
async def test_a_question_that_is_refused_ends_alone_and_its_neighbours_are_answered():
    # The first answers about a post alone; the second is about the one that spoils its packs.
    node = PackNode(None, Refused(), spoils=lambda text: text == day(3))
    async with asking(node) as asker:
        asker.ask(day(0))
        await asyncio.sleep(0.5)
        asker.ask(day(1), day(2), day(3), day(4))
        await asker.all_ended()
        assert isinstance(asker.outcomes[day(3)], Failed)
        assert sum(isinstance(outcome, Judged) for outcome in asker.outcomes.values()) == 4
        assert node.sizes.count(1) <= 3


@virtual
async def test_a_node_that_answers_about_no_pack_is_not_taken_for_a_bad_one_and_gets_none_for_a_while():
    node = PackNode(spoils=lambda _: True)
    async with asking(node) as asker:
        asker.ask_days(300)
        await asker.all_ended()
        assert asker.are_judged
        assert [status.state for status in asker.dispatch.nodes()] == ["up"]
        assert set(node.sizes[-150:]) == {1}
        assert set(node.sizes) > {1, 2}


@virtual
async def test_a_node_that_is_full_gets_the_pack_later_and_nobody_is_charged():
    node = PackNode()
    node.pack_script = [Overloaded()]
    async with asking(node) as asker:
        asker.ask_days(5)
        await asker.all_ended()
        assert {outcome.attempts for outcome in asker.outcomes.values()} == {1}
        assert node.sizes == [1, 4, 4]


@virtual
async def test_halves_go_one_by_one_to_whoever_is_left_when_no_node_takes_packs_any_more():
    packing, other = PackNode(name="a"), FakeNode(name="b", slots=1, takes_ms=400)
    packing.pack_script = [BadAnswer(), Misconfigured()]
    packing.probe_script = [Misconfigured()] * 1_000
    async with asking(packing, other, terms={"b": Terms(weight=0.1)}) as asker:
        asker.ask_days(9)
        await asker.all_ended()
        assert asker.are_judged
        assert [status.state for status in asker.dispatch.nodes()] == ["out", "up"]
        assert len(other.asked) >= 6


@virtual
async def test_those_who_were_together_when_nodes_broke_off_twice_are_asked_alone():
    node = PackNode(slots=2)
    node.pack_script = [Unreachable(), Unreachable(), Unreachable(), Unreachable()]
    async with asking(node) as asker:
        asker.ask_days(10)
        await asker.all_ended()
        assert asker.are_judged


# -- leaving before the end ---------------------------------------------------------------------------------


@virtual
async def test_who_is_cancelled_leaves_its_pack_and_the_others_are_answered():
    node = PackNode()
    async with asking(node) as asker:
        asker.ask_days(5)
        await asyncio.sleep(1.5)
        assert node.sizes == [1, 4]
        assert asker.dispatch.cancel(asker.jobs.pop(day(2)))
        assert not asker.dispatch.cancel(asker.jobs[day(0)]), "it has ended"
        await asker.all_ended()
        assert asker.are_judged
        assert day(2) not in asker.outcomes
        assert (node.sizes, node.cancelled) == ([1, 4], 0)


@virtual
async def test_a_pack_that_nobody_waits_for_any_more_frees_its_slot():
    node = PackNode()
    async with asking(node) as asker:
        asker.ask_days(5)
        await asyncio.sleep(1.5)
        for number in range(1, 5):
            assert asker.dispatch.cancel(asker.jobs.pop(day(number)))
        await asyncio.sleep(0)
        assert (node.busy, node.cancelled) == (0, 1)
        assert asker.dispatch.nodes()[0].in_flight == 0
        asker.ask("My tomatoes are ripe")
        await asker.all_ended()


@virtual
async def test_who_is_cancelled_while_a_pack_gathers_or_is_halved_does_not_go():
    node = PackNode(spoils=lambda text: text == day(1))
    async with asking(node) as asker:
        asker.ask_days(9)
        await reaches(lambda: len(asker.dispatch.packs) > 0)
        waiting = [job.question.event.id for job in asker.dispatch.packs]
        for text in waiting:
            assert asker.dispatch.cancel(asker.jobs.pop(text))
        await asker.all_ended()
        assert len(asker.dispatch.packs) == 0
        assert all(node.sizes[number] for number in range(len(node.sizes)))


@virtual
async def test_a_drain_gives_up_halves_and_finishes_what_is_on_a_node():
    node = PackNode(spoils=lambda text: text == day(1))
    async with asking(node) as asker:
        asker.ask_days(30)
        await reaches(lambda: len(asker.dispatch.packs) > 0)
        on_node = node.requests[-1][1]
        halves = {job.question.event.id for job in asker.dispatch.packs}
        asker.dispatch.begin_drain()
        await asyncio.sleep(0)
        given_up = [text for text, outcome in asker.outcomes.items() if outcome is None]
        assert len(given_up) > 10
        assert not set(on_node) & set(given_up)
        assert halves <= set(given_up)
        await reaches(lambda: node.busy == 0)
        asker.dispatch.begin_drain()
        await asyncio.sleep(60)
        asker.dispatch.begin_drain()
        await reaches(lambda: len(asker.outcomes) == len(asker.jobs))


@virtual
async def test_a_stop_gives_up_each_job_of_a_pack_once():
    node = PackNode()
    async with asking(node) as asker:
        asker.ask_days(20)
        await asyncio.sleep(1.5)
    assert len(asker.outcomes) == 20
    assert sum(outcome is None for outcome in asker.outcomes.values()) == 19
    assert node.cancelled == 1


@virtual
async def test_one_that_becomes_critical_while_its_pack_waits_goes_alone():
    node = PackNode(spoils=lambda text: text == day(1))
    async with asking(node) as asker:
        asker.ask_days(9)
        await reaches(lambda: len(asker.dispatch.packs) > 0)
        waiting = list(asker.dispatch.packs)[-1]
        asker.dispatch.promote(waiting, 0)
        text, before = waiting.question.event.text, len(node.requests)
        await reaches(lambda: text in asker.outcomes)
        assert node.requests[before][1] == (text,)
        await asker.all_ended()


@virtual
async def test_one_that_became_critical_on_a_node_goes_alone_when_its_pack_is_spoilt():
    node = PackNode(spoils=lambda text: text == day(1))
    async with asking(node) as asker:
        asker.ask_days(9)
        await asyncio.sleep(1.5)
        assert node.requests[1][1] == tuple(map(day, range(1, 5)))
        asker.dispatch.promote(asker.jobs[day(4)], 0)
        await asker.all_ended()
        assert asker.are_judged
        assert node.requests[2][1] == (day(4),)


@virtual
async def test_what_gathers_for_a_node_that_is_drained_goes_elsewhere():
    node, other = PackNode(slots=2), FakeNode(name="b", slots=1)
    async with asking(node, other, terms={"b": Terms()}) as asker:
        asker.dispatch.drain({"b"})
        await grown(asker)
        asker.ask("My tomatoes are ripe")
        await asker.all_ended()
        asker.ask(day(9_000), tenant="new")
        await asyncio.sleep(0.02)
        asker.ask(day(9_001), tenant="new")
        assert len(asker.dispatch.packs) == 1
        asker.dispatch.drain({"a"})
        await asker.all_ended()
        assert [asked for asked, _ in other.asked] == [day(9_001)]


@virtual
async def test_whose_deadline_passes_among_the_halves_is_late_and_the_others_are_answered():
    node = PackNode(spoils=lambda text: text == day(1))
    async with asking(node) as asker:
        asker.ask(day(0))
        await asyncio.sleep(0.5)
        asker.ask(day(1), day(2), day(3))
        asker.ask(day(4), within_ms=2_600)
        await asyncio.sleep(1)
        # It goes before what is left of the pack, which is spoilt 2.2 s after it was asked for.
        asker.ask("It burns", lane=0)
        await asker.all_ended()
        assert isinstance(asker.outcomes[day(4)], Late)
        assert asker.after_ms[day(4)] == pytest.approx(2_600, abs=1)
        assert sum(isinstance(outcome, Judged) for outcome in asker.outcomes.values()) == 5


@virtual
async def test_what_nobody_wants_any_more_is_given_up_and_not_asked_about():
    node = PackNode(spoils=lambda text: text == day(1))
    async with asking(node) as asker:
        asker.ask_days(9)
        await reaches(lambda: len(asker.dispatch.packs) > 0)
        asker.is_wanted = False
        asked = len(node.requests)
        await asker.all_ended()
        assert len(node.requests) == asked
        assert [outcome for outcome in asker.outcomes.values() if outcome is None]


# -- judged again, alone ------------------------------------------------------------------------------------


@virtual
async def test_where_packed_posts_are_judged_otherwise_alone_nothing_is_packed_any_more():
    node = PackNode(answer=SPAM)
    async with asking(node, judge=replace(SETTINGS, pack_recheck_ratio=1.0)) as asker:
        asker.ask_days(300)
        await asker.all_ended()
        await asyncio.sleep(100)
        asker.ask_days(20)
        await asker.all_ended()
        assert asker.are_judged
        assert set(node.sizes[-30:]) == {1}
        assert max(node.sizes) > 2


@virtual
async def test_those_that_are_judged_again_alone_change_no_verdict_and_are_given_up_in_a_drain():
    node = PackNode()
    async with asking(node, judge=replace(SETTINGS, pack_recheck_ratio=1.0)) as asker:
        asker.ask_days(60)
        await asker.all_ended()
        assert len(asker.outcomes) == 60
        assert asker.dispatch.lanes()[3].waiting > 0
        asker.dispatch.begin_drain()
        assert asker.dispatch.lanes()[3].waiting == 0
        await reaches(lambda: node.busy == 0)
        assert sum(node.sizes) > 60


# -- whatever happens ---------------------------------------------------------------------------------------


class Make(NamedTuple):
    """How a node is made."""

    script: list[Step]
    pack_script: list[Step]
    slots: int
    takes_packs: bool

    def node(self, name: str) -> PackNode:
        node = PackNode(*self.script, name=name, slots=self.slots)
        node.pack_script = list(self.pack_script)
        return node


FAULTS = (BadAnswer, Refused, Overloaded, Unreachable, TimedOut, Misconfigured)
steps = st.none() | st.none() | st.sampled_from(FAULTS).map(lambda fault: fault()) | st.just(RuntimeError())


@given(
    makes=st.lists(
        st.builds(
            Make,
            script=st.lists(steps, max_size=8),
            pack_script=st.lists(steps, max_size=12),
            slots=st.integers(1, 3),
            takes_packs=st.sampled_from([True, True, False]),
        ),
        min_size=1,
        max_size=3,
    ),
    spoiling=st.sets(st.integers(0, 59), max_size=6),
    unusable=st.sets(st.integers(0, 59), max_size=6),
    jobs=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.none() | st.none() | st.integers(0, 6_000),
            st.sampled_from(["", "", "", "", "cancelled", "promoted"]),
            st.integers(0, 400),
            st.sampled_from("ab"),
        ),
        max_size=60,
    ),
    drains_after=st.none() | st.integers(0, 60),
    judge=st.builds(
        lambda ratio, by_tenant: replace(SETTINGS, pack_recheck_ratio=ratio, fair_by_tenant=by_tenant),
        st.sampled_from([0.0, 0.5]),
        st.booleans(),
    ),
)
@settings(max_examples=150, deadline=None)
def test_whatever_packs_do_every_job_ends_once_and_no_slot_is_lost(
    makes, spoiling, unusable, jobs, drains_after, judge
):
    nodes = [make.node(f"n{at}") for at, make in enumerate(makes)]
    for node in nodes:
        node.spoils = {day(number) for number in spoiling}.__contains__
        node.unusable = {day(number) for number in unusable}.__contains__
    terms = {f"n{at}": Terms(takes_packs=make.takes_packs) for at, make in enumerate(makes)}
    cancelled: set[str] = set()

    async def scenario() -> dict[str, Outcome | None]:
        async with asking(*nodes, judge=judge, terms=terms) as asker:
            for number, (lane, within_ms, what, gap_ms, tenant) in enumerate(jobs):
                text = day(number)
                asker.ask(text, lane=lane, within_ms=within_ms, tenant=tenant)
                await asyncio.sleep(gap_ms / 1_000)
                if what == "promoted":
                    asker.dispatch.promote(asker.jobs[text], 0)
                if what == "cancelled" and text not in asker.outcomes:
                    assert asker.dispatch.cancel(asker.jobs[text])
                    del asker.jobs[text]
                    cancelled.add(text)
                if drains_after == number:
                    asker.dispatch.begin_drain()
            await asker.all_ended()
            # What is judged again is nobody's, and takes its time.
            await asyncio.sleep(600)
            assert [status.in_flight for status in asker.dispatch.nodes()] == [0] * len(nodes)
            assert [node.busy for node in nodes] == [0] * len(nodes)
            assert [lane.waiting + lane.in_flight for lane in asker.dispatch.lanes()] == [0] * 4
            return asker.outcomes

    outcomes = run(scenario())
    assert len(outcomes) == len(jobs) - len(cancelled)
    assert not cancelled & set(outcomes)
    assert all(outcome.answer is ANSWER for outcome in outcomes.values() if isinstance(outcome, Judged))

"""Dispatch over a pool: room for critical, second attempts, backups, limits, and who is asked alone.

Time is virtual, as in `test_dispatch`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes import POLICY
from stages import SERVICE_MS, FakeNode
from virtual_time import LoopClock, now_ms, reaches, run, virtual

from schemas.event import Moderate
from schemas.settings import JudgeSettings
from streams.core.pacing import EngineLoad
from streams.core.routing import Terms
from streams.dispatch import Dispatch, Failed, Job, Judged, Late, Outcome
from streams.ports import BadAnswer, NodeFault, Overloaded, Question, Unreachable

SETTINGS = JudgeSettings(attempts_max=3, probe_interval_ms=1_000)


class Asker:
    """Submits jobs, and keeps what became of them."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.jobs: dict[str, Job] = {}
        self.outcomes: dict[str, Outcome | None] = {}
        self.after_ms: dict[str, float] = {}

    def ask(self, *ids: str, lane: int = 0, within_ms: float | None = None, tenant: str = "default") -> None:
        at_ms = now_ms()
        for id_ in ids:
            deadline_ms = None if within_ms is None else now_ms() + within_ms
            event = Moderate(v=1, id=id_, text="x", tenant=tenant)
            self.jobs[id_] = Job(
                question=Question(event, POLICY, deadline_ms),
                lane=lane,
                arrived_ms=now_ms(),
                done=lambda outcome, id_=id_, at=at_ms: self._end(id_, outcome, at),
                is_wanted=lambda: True,
                offset=len(self.jobs),
                give_up=lambda id_=id_, at=at_ms: self._end(id_, None, at),
            )
            self.dispatch.submit(self.jobs[id_])

    def _end(self, id_: str, outcome: Outcome | None, asked_ms: float) -> None:
        assert id_ not in self.outcomes, "each job has exactly one end"
        self.outcomes[id_] = outcome
        self.after_ms[id_] = now_ms() - asked_ms

    def judged_by(self, id_: str) -> str:
        outcome = self.outcomes[id_]
        assert isinstance(outcome, Judged)
        return outcome.node

    async def all_ended(self) -> None:
        await reaches(lambda: len(self.outcomes) == len(self.jobs))


@asynccontextmanager
async def asking(
    *nodes: Any, judge: JudgeSettings = SETTINGS, terms: dict[str, Terms] | None = None
) -> AsyncIterator[Asker]:
    known = terms or {}
    dispatch = Dispatch(
        nodes, lambda: judge, LoopClock(), terms=lambda name: known.get(name, Terms()), chance=lambda: 0.5
    )
    await dispatch.start()
    try:
        yield Asker(dispatch)
    finally:
        await dispatch.stop()


def ids(count: int, prefix: str = "job") -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


# -- room for critical --------------------------------------------------------------------------------------


@virtual
async def test_one_of_eight_slots_is_kept_for_critical_while_they_come():
    node = FakeNode(slots=8)
    async with asking(node) as asker:
        asker.ask("urgent")
        asker.ask(*ids(100, "low"), lane=3)
        await asyncio.sleep(0.05)
        assert node.busy == 7, "the critical one, six low ones, and a slot for the next critical one"
        asker.ask("another")
        await reaches(lambda: "another" in asker.outcomes)
        assert asker.after_ms["another"] == pytest.approx(SERVICE_MS, abs=1), "it waited for no slot"
        asker.dispatch.begin_drain()
        await asker.all_ended()


@virtual
async def test_what_is_kept_is_lent_out_by_a_timer_when_no_critical_comes():
    nodes = [FakeNode(name=name, slots=8, takes_ms=10_000) for name in "abcdefgh"]
    async with asking(*nodes) as asker:
        asker.ask("urgent")
        asker.ask(*ids(100, "low"), lane=3)
        await asyncio.sleep(0.99)
        assert sum(node.busy for node in nodes) == 62
        await asyncio.sleep(0.02)
        assert sum(node.busy for node in nodes) == 64


@virtual
async def test_of_a_small_pool_a_slot_is_kept_for_its_share_of_the_time():
    node = FakeNode(slots=8, takes_ms=10_000)
    async with asking(node) as asker:
        asker.ask("urgent")
        asker.ask(*ids(100, "low"), lane=3)
        await asyncio.sleep(0.33)
        assert node.busy == 7
        await asyncio.sleep(0.01)
        assert node.busy == 8
        asker.dispatch.begin_drain()
        await asker.all_ended()


# -- a second attempt ---------------------------------------------------------------------------------------


async def warmed(asker: Asker, count: int = 40) -> None:
    """Let both nodes answer critical ones, so that the budget has a hedge and the usual time is known."""
    asker.ask(*ids(count, "warm"))
    await asker.all_ended()


@virtual
async def test_a_critical_question_that_takes_unusually_long_is_asked_elsewhere_and_the_loser_is_cancelled():
    one, other = FakeNode(name="one"), FakeNode(name="other")
    async with asking(one, other) as asker:
        await warmed(asker)
        one.takes_ms = 60_000
        asker.ask("a", "b")
        await asker.all_ended()
        hung = next(id_ for id_ in ("a", "b") if asker.after_ms[id_] > SERVICE_MS + 1)
        assert asker.judged_by(hung) == "other"
        assert asker.after_ms[hung] == pytest.approx(2.1 * SERVICE_MS, abs=2)
        await asyncio.sleep(0)
        assert (one.cancelled, one.busy) == (1, 0)


@virtual
async def test_only_critical_ones_are_asked_twice():
    one, other = FakeNode(name="one"), FakeNode(name="other")
    async with asking(one, other) as asker:
        await warmed(asker)
        one.takes_ms = other.takes_ms = 1_000
        asked = len(one.asked) + len(other.asked)
        asker.ask("a", "b", lane=1)
        await asker.all_ended()
        assert len(one.asked) + len(other.asked) == asked + 2


@virtual
async def test_second_attempts_are_one_in_twenty():
    one, other = FakeNode(name="one", slots=100), FakeNode(name="other", slots=100)
    async with asking(one, other) as asker:
        await warmed(asker, 100)
        one.takes_ms = other.takes_ms = 1_000
        asked = len(one.asked) + len(other.asked)
        for _ in range(10):
            asker.ask(*[f"job-{len(asker.jobs)}" for _ in range(1)])
        await asker.all_ended()
        assert 0 < len(one.asked) + len(other.asked) - asked - 10 <= 5


@virtual
async def test_a_fault_of_one_attempt_leaves_the_other_alone():
    one, other = FakeNode(name="one"), FakeNode(name="other")
    async with asking(one, other) as asker:
        await warmed(asker)
        one.takes_ms, one.script = 150, [BadAnswer()]
        other.script = []
        asker.ask("a", "b")
        await asker.all_ended()
        assert {asker.judged_by("a"), asker.judged_by("b")} == {"other"}


# -- who is asked at all ------------------------------------------------------------------------------------


@virtual
async def test_backup_nodes_are_asked_only_while_the_others_are_out():
    main, spare = FakeNode(name="main", slots=1), FakeNode(name="spare", slots=1)
    async with asking(main, spare, terms={"spare": Terms(is_backup=True)}) as asker:
        asker.ask("a", "b", "c")
        await asker.all_ended()
        assert spare.asked == []
        main.script = [Unreachable(was_sent=False)]
        main.probe_script = [Unreachable()] * 5
        asker.ask("d")
        await asker.all_ended()
        assert asker.judged_by("d") == "spare"
        await asyncio.sleep(10)
        asker.ask("e")
        await asker.all_ended()
        assert asker.judged_by("e") == "main"


@virtual
async def test_a_node_gets_no_more_requests_a_minute_than_it_allows():
    node = FakeNode(slots=8, takes_ms=1)
    async with asking(node, terms={"a": Terms(requests_per_minute_max=60)}) as asker:
        asker.ask(*ids(20))
        await asker.all_ended()
        assert asker.after_ms["job-9"] < 100, "ten seconds' worth at once"
        assert asker.after_ms["job-19"] == pytest.approx(10_000, abs=50)


@virtual
async def test_a_question_that_no_node_can_answer_in_time_costs_no_slot():
    node = FakeNode(takes_ms=400)
    async with asking(node) as asker:
        asker.ask("first")
        await asker.all_ended()
        asker.ask("hurried", within_ms=300)
        asker.ask("patient", within_ms=500)
        await asker.all_ended()
        assert asker.outcomes["hurried"] == Late(0)
        assert asker.after_ms["hurried"] == 0
        assert asker.judged_by("patient") == "a"


@virtual
async def test_what_was_slow_for_a_moment_is_tried_again_later():
    node = FakeNode(takes_ms=400)
    async with asking(node) as asker:
        asker.ask("first")
        await asker.all_ended()
        node.takes_ms = 10
        await asyncio.sleep(6)
        asker.ask("hurried", within_ms=300)
        await asker.all_ended()
        assert asker.judged_by("hurried") == "a"


@virtual
async def test_a_node_that_came_back_is_tried_with_one_question_before_it_gets_more():
    node = FakeNode(Unreachable(was_sent=False), slots=8)
    async with asking(node) as asker:
        asker.ask(*ids(3))
        await asyncio.sleep(1.15)
        assert node.busy == 1
        await asker.all_ended()
        assert {type(outcome) for outcome in asker.outcomes.values()} == {Judged}


@virtual
async def test_tenants_take_turns_where_that_is_set():
    fair = JudgeSettings(fair_by_tenant=True)
    node = FakeNode(slots=1)
    async with asking(node, judge=fair) as asker:
        asker.ask(*ids(50, "large"), lane=1, tenant="large")
        asker.ask(*ids(3, "small"), lane=1, tenant="small")
        await reaches(lambda: "small-2" in asker.outcomes)
        assert len(asker.outcomes) <= 8
        asker.dispatch.begin_drain()
        await asker.all_ended()


# -- whose fault it is --------------------------------------------------------------------------------------


@virtual
async def test_a_connection_that_breaks_now_and_then_neither_takes_the_node_out_nor_costs_questions():
    script: list[Any] = [Unreachable() if at % 20 == 7 else None for at in range(200)]
    node = FakeNode(*script, slots=8)
    async with asking(node) as asker:
        asker.ask(*ids(190), lane=1)
        await asker.all_ended()
        assert {type(outcome) for outcome in asker.outcomes.values()} == {Judged}
        assert node.probed_ms == []


@virtual
async def test_a_node_that_answers_garbage_is_taken_out_and_what_it_spoiled_is_forgiven():
    bad, good = FakeNode(*[BadAnswer()] * 100, name="bad", slots=8), FakeNode(name="good", slots=8)
    async with asking(bad, good) as asker:
        asker.ask(*ids(100), lane=1)
        await asker.all_ended()
        assert {type(outcome) for outcome in asker.outcomes.values()} == {Judged}
        assert len(bad.asked) <= 8 + 3
        assert {outcome.attempts for outcome in asker.outcomes.values()} <= {1, 2}


class Poisoned(FakeNode):
    """Dies of one question, with all that it is busy with."""

    deaths = 0

    def __init__(self, *, name: str) -> None:
        super().__init__(name=name, slots=4)
        self._death = asyncio.Event()

    async def judge(self, question: Question) -> Any:
        if question.event.id == "poison":
            self.deaths += 1
            self._death.set()
            self._death = asyncio.Event()
            raise Unreachable
        dead = asyncio.ensure_future(self._death.wait())
        answer = asyncio.ensure_future(super().judge(question))
        await asyncio.wait({dead, answer}, return_when=asyncio.FIRST_COMPLETED)
        if dead.done():
            answer.cancel()
            raise Unreachable
        dead.cancel()
        return await answer


@virtual
async def test_a_question_that_breaks_nodes_is_asked_alone_before_it_has_broken_all_of_them():
    nodes = [Poisoned(name=f"n{at}") for at in range(4)]
    async with asking(*nodes) as asker:
        asker.ask(*ids(20), lane=1)
        asker.ask("poison", lane=1)
        asker.ask(*ids(60, "later"), lane=1)
        await asker.all_ended()
        assert asker.outcomes.pop("poison") == Failed("node_unreachable", 3)
        assert {type(outcome) for outcome in asker.outcomes.values()} == {Judged}
        assert sum(node.deaths for node in nodes) <= 2 + 3


class FailsFirst(FakeNode):
    """Fails at every other question once."""

    async def judge(self, question: Question) -> Any:
        is_first = question.event.id not in [id_ for id_, _ in self.asked]
        answer = await super().judge(question)
        if is_first and int(question.event.id.rpartition("-")[2]) % 2 == 0:
            raise BadAnswer
        return answer


@virtual
async def test_retries_past_the_budget_rest_before_they_go_back_to_their_lane():
    node = FailsFirst(slots=1)
    async with asking(node) as asker:
        asker.ask(*ids(120), lane=1)
        await asker.all_ended()
        assert {type(outcome) for outcome in asker.outcomes.values()} == {Judged}
        asked = [id_ for id_, _ in node.asked]
        at_once = sum(one == other for one, other in pairwise(asked))
        assert len(asked) == 180
        assert 10 <= at_once <= 10 + 120 / 10 + 1


# -- room, and leaving --------------------------------------------------------------------------------------


@virtual
async def test_what_the_lanes_have_enough_of_is_told_and_taken_back():
    told: list[frozenset[int]] = []
    async with asking(FakeNode(slots=8)) as asker:
        asker.dispatch.on_room = lambda: told.append(asker.dispatch.paused_lanes())
        asker.ask(*ids(200, "low"), lane=3)
        assert told == [frozenset({3})]
        asker.dispatch.begin_drain()
        assert told == [frozenset({3}), frozenset()]
        await asker.all_ended()


@virtual
async def test_a_job_that_is_cancelled_leaves_without_a_word_and_its_socket_closes():
    node = FakeNode(slots=1, takes_ms=1_000)
    async with asking(node) as asker:
        asker.ask("on the node", "in its lane")
        await asyncio.sleep(0.01)
        assert asker.dispatch.cancel(asker.jobs["on the node"])
        assert asker.dispatch.cancel(asker.jobs["in its lane"])
        await asyncio.sleep(2)
        assert not asker.dispatch.cancel(asker.jobs["on the node"])
        assert (node.cancelled, node.busy, asker.outcomes) == (1, 0, {})
        asker.jobs.clear()


@virtual
async def test_what_is_promoted_waits_with_the_urgent():
    node = FakeNode(slots=1)
    async with asking(node) as asker:
        asker.ask("first")
        asker.ask(*ids(20, "high"), lane=1)
        asker.ask("low", lane=3)
        asker.dispatch.promote(asker.jobs["low"], 0)
        await reaches(lambda: "low" in asker.outcomes)
        assert list(asker.outcomes) == ["first", "low"]
        asker.dispatch.begin_drain()
        await asker.all_ended()


# -- nodes that are drained ---------------------------------------------------------------------------------


@virtual
async def test_a_node_that_is_drained_finishes_what_it_has_and_gets_nothing_more_until_it_is_resumed():
    a, b = FakeNode(name="a", slots=1), FakeNode(name="b", slots=1)
    async with asking(a, b) as asker:
        asker.ask(*ids(6))
        asker.dispatch.drain({"a"})
        assert [node.state for node in asker.dispatch.nodes()] == ["draining", "up"]
        await asker.all_ended()
        assert [node.state for node in asker.dispatch.nodes()] == ["drained", "up"]
        assert (len(a.asked), len(b.asked)) == (1, 5)
        asker.dispatch.drain(set())
        asker.ask(*ids(2, "again"))
        await asker.all_ended()
        assert (len(a.asked), len(b.asked)) == (2, 6)


@virtual
async def test_while_all_nodes_are_drained_what_waits_waits_and_a_resume_asks_at_once():
    node = FakeNode(name="a")
    async with asking(node) as asker:
        asker.dispatch.drain({"a"})
        asker.ask(*ids(3))
        await asyncio.sleep(10_000)
        asker.dispatch.release_overdue()
        assert asker.dispatch.is_held
        assert (node.asked, asker.outcomes) == ([], {})
        asker.dispatch.drain(())
        await asker.all_ended()
        assert asker.after_ms["job-0"] == pytest.approx(10_000_000 + SERVICE_MS, abs=1)


@virtual
async def test_backup_nodes_stand_in_for_those_that_are_drained():
    a, backup = FakeNode(name="a"), FakeNode(name="backup")
    async with asking(a, backup, terms={"backup": Terms(is_backup=True)}) as asker:
        asker.dispatch.drain({"a"})
        asker.ask("job")
        await asker.all_ended()
        assert asker.judged_by("job") == "backup"


# -- what is counted ----------------------------------------------------------------------------------------


@virtual
async def test_refusals_are_counted_apart_from_failures():
    async with asking(FakeNode(Overloaded(), BadAnswer(), Overloaded())) as asker:
        asker.ask("a")
        await asker.all_ended()
        (node,) = asker.dispatch.nodes()
    assert (node.answered, node.failed, node.refused) == (1, 1, 2)


# -- the engine's own metrics -------------------------------------------------------------------------------


class Telling(FakeNode):
    """A node that says what waits in its engine."""

    def __init__(self, *looks: EngineLoad | Exception | None, **options: Any) -> None:
        super().__init__(**options)
        self.script_of_looks = list(looks)
        self.looks = 0

    async def load(self) -> EngineLoad | None:
        self.looks += 1
        said = self.script_of_looks[min(self.looks, len(self.script_of_looks)) - 1]
        if isinstance(said, Exception):
            raise said
        return said


@virtual
async def test_what_waits_in_the_engine_lowers_the_limit():
    node = Telling(NodeFault(), EngineLoad(running=4, waiting=4), slots=8, takes_ms=20_000)
    async with asking(node) as asker:
        asker.ask(*ids(8))
        await asyncio.sleep(9)
        assert node.looks == 4
        assert asker.dispatch.nodes()[0].limit == 4
        await asker.all_ended()


@pytest.mark.parametrize("said", [None, ValueError("content")], ids=["nothing", "nonsense"])
@virtual
async def test_an_engine_that_cannot_tell_is_not_looked_at_again_and_works_on(said):
    node = Telling(said, slots=8, takes_ms=20_000)
    async with asking(node) as asker:
        asker.ask(*ids(8))
        await asker.all_ended()
        assert all(isinstance(outcome, Judged) for outcome in asker.outcomes.values())
    assert node.looks == 1


@virtual
async def test_an_idle_node_is_not_looked_at():
    node = Telling(EngineLoad(running=4, waiting=4))
    async with asking(node):
        await asyncio.sleep(60)
    assert node.looks == 0


# -- any faults, any hedges, in any order -------------------------------------------------------------------

steps = st.sampled_from(
    [None, None, None, Unreachable(), Unreachable(was_sent=False), BadAnswer(), ValueError()]
)


@given(
    scripts=st.lists(st.lists(steps, max_size=30), min_size=2, max_size=4),
    takes_ms=st.lists(st.integers(1, 400), min_size=4, max_size=4),
    backup=st.integers(0, 3),
    jobs=st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 2_000), st.booleans()), max_size=40
    ),
)
@settings(max_examples=100, deadline=None)
def test_with_second_attempts_and_cancellations_every_job_ends_once_and_no_slot_is_lost(
    scripts, takes_ms, backup, jobs
):
    nodes = [
        FakeNode(*script, name=f"n{at}", slots=2, takes_ms=takes_ms[at]) for at, script in enumerate(scripts)
    ]
    cancelled: set[str] = set()

    async def scenario() -> dict[str, Outcome | None]:
        async with asking(*nodes, terms={f"n{backup}": Terms(is_backup=True)}) as asker:
            await warmed(asker, 30)
            for number, (lane, within_ms, is_cancelled) in enumerate(jobs):
                name = f"job-{number}"
                asker.ask(name, lane=lane, within_ms=within_ms)
                await asyncio.sleep(0.013)
                if is_cancelled and name not in asker.outcomes and asker.dispatch.cancel(asker.jobs[name]):
                    cancelled.add(name)
                    del asker.jobs[name]
            await asker.all_ended()
            await asyncio.sleep(1)
            assert [node.in_flight for node in asker.dispatch.nodes()] == [0] * len(nodes)
            return asker.outcomes

    outcomes = run(scenario())
    assert len(outcomes) == 30 + len(jobs) - len(cancelled)
    assert not cancelled & set(outcomes)
    assert None not in outcomes.values()
    for node in nodes:
        assert node.busy == 0
        assert node.busy_max <= 2

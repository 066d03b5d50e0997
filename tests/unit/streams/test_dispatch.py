"""Dispatch: every job ends in exactly one way, whatever the nodes do, and the urgent wait for a slot only.

Time is virtual: nodes take seconds that cost none, and moments are compared exactly.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes import POLICY
from stages import ANSWER, SERVICE_MS, FakeNode
from virtual_time import LoopClock, now_ms, reaches, run, virtual

from infra.nodes.memory import MemoryNode
from schemas.event import Moderate
from schemas.settings import JudgeSettings
from streams.dispatch import Dispatch, Failed, Job, Judged, Late, Outcome, Overdue
from streams.ports import (
    BadAnswer,
    Misconfigured,
    Overloaded,
    Question,
    Refused,
    TimedOut,
    Unreachable,
)
from streams.turns import AT_ONCE

PROBE_MS = 1_000
SETTINGS = JudgeSettings(attempts_max=3, probe_interval_ms=PROBE_MS)


class Asker:
    """Submits jobs, and keeps what became of them."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.began_ms = now_ms()
        self.ended: list[tuple[str, Outcome | None, float]] = []
        """Each job's id, its outcome (None: given up), and after how long."""
        self.is_wanted = True
        self._ids: list[str] = []
        self._jobs: dict[str, Job] = {}

    def ask(
        self,
        *ids: str,
        lane: int = 0,
        within_ms: float | None = None,
        on_done: Callable[[], None] | None = None,
    ) -> None:
        for id_ in ids:
            self._ids.append(id_)
            deadline_ms = None if within_ms is None else now_ms() + within_ms

            def done(outcome: Outcome, id_: str = id_) -> None:
                self._end(id_, outcome)
                if on_done is not None:
                    on_done()

            self._jobs[id_] = Job(
                question=Question(Moderate(v=1, id=id_, text="x"), POLICY, deadline_ms),
                lane=lane,
                arrived_ms=now_ms(),
                done=done,
                is_wanted=lambda: self.is_wanted,
                give_up=lambda id_=id_: self._end(id_, None),
            )
            self.dispatch.submit(self._jobs[id_])

    def job(self, id_: str) -> Job:
        return self._jobs[id_]

    def _end(self, id_: str, outcome: Outcome | None) -> None:
        self.ended.append((id_, outcome, now_ms() - self.began_ms))

    @property
    def open(self) -> int:
        return len(self._ids) - len(self.ended)

    async def all_ended(self) -> None:
        await reaches(lambda: not self.open)

    def outcomes(self) -> dict[str, Outcome | None]:
        """What became of each; every job ended once."""
        ids = [id_ for id_, _, _ in self.ended]
        assert sorted(ids) == sorted(set(self._ids)), "each job has exactly one end"
        return {id_: outcome for id_, outcome, _ in self.ended}

    def after_ms(self, id_: str) -> float:
        return next(after_ms for ended, _, after_ms in self.ended if ended == id_)


@asynccontextmanager
async def asking(*nodes: Any, judge: JudgeSettings = SETTINGS) -> AsyncIterator[Asker]:
    dispatch = Dispatch(nodes, lambda: judge, LoopClock())
    await dispatch.start()
    try:
        yield Asker(dispatch)
    finally:
        await dispatch.stop()


def ids(count: int, prefix: str = "job") -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def failed_codes(outcomes: dict[str, Outcome | None]) -> list[str]:
    return [outcome.code for outcome in outcomes.values() if isinstance(outcome, Failed)]


# -- the way of a job --------------------------------------------------------------------------------------


@virtual
async def test_a_job_is_judged_and_says_where_and_when():
    async with asking(FakeNode(name="gpu-0")) as asker:
        asker.ask("a")
        await asker.all_ended()
        outcome = asker.outcomes()["a"]
        assert isinstance(outcome, Judged)
        assert (outcome.answer, outcome.node, outcome.attempts) == (ANSWER, "gpu-0", 1)
        assert outcome.dispatched_ms == asker.began_ms
        assert outcome.answered_ms - outcome.dispatched_ms == pytest.approx(SERVICE_MS)


def test_the_reference_node_in_memory_answers_through_it():
    async def scenario():
        async with asking(MemoryNode()) as asker:
            asker.ask("a", "b")
            await asker.all_ended()
            assert {type(outcome) for outcome in asker.outcomes().values()} == {Judged}

    asyncio.run(scenario())


@virtual
async def test_a_node_gets_no_more_than_its_slots():
    node = FakeNode(slots=3)
    async with asking(node) as asker:
        asker.ask(*ids(10))
        await asker.all_ended()
        assert (node.busy_max, len(node.asked)) == (3, 10)
        assert asker.after_ms("job-9") == pytest.approx(4 * SERVICE_MS, abs=1)


@virtual
async def test_work_goes_where_the_largest_share_is_free():
    small, large = FakeNode(name="small", slots=2), FakeNode(name="large", slots=6)
    async with asking(small, large) as asker:
        asker.ask(*ids(4))
        await asker.all_ended()
        assert (len(small.asked), len(large.asked)) == (1, 3)


@virtual
async def test_critical_overtakes_a_backlog_of_low():
    node = FakeNode(slots=2)
    async with asking(node) as asker:
        asker.ask(*ids(1_000, "low"), lane=3)
        await asyncio.sleep(0.05)
        asker.ask("urgent")
        await reaches(lambda: "urgent" in {id_ for id_, _, _ in asker.ended})
        # It waits for a slot, and nothing else.
        assert asker.after_ms("urgent") <= 2 * SERVICE_MS + 1
        asker.dispatch.begin_drain()
        await asker.all_ended()


@virtual
async def test_every_model_that_is_served_is_told_once():
    nodes = [FakeNode(name=name) for name in "abc"]
    nodes[1].model = "m-70b"
    async with asking(*nodes) as asker:
        assert asker.dispatch.models() == (ANSWER.model, "m-70b")
        assert not any(node.probed_ms for node in nodes)


@virtual
async def test_a_node_whose_model_is_not_known_is_probed_at_the_start_and_may_be_away():
    known, away = FakeNode(name="a"), FakeNode(name="b")
    away.model = ""
    away.probe_script = [Unreachable()]
    async with asking(known, away) as asker:
        assert (len(known.probed_ms), len(away.probed_ms)) == (0, 1)
        assert asker.dispatch.models() == (ANSWER.model,)
        away.model = "m-70b"
        assert asker.dispatch.models() == (ANSWER.model, "m-70b")


@virtual
async def test_a_job_that_is_pulled_forward_overtakes_the_backlog_of_its_lane():
    node = FakeNode(slots=1)
    async with asking(node) as asker:
        asker.ask(*ids(100, "low"), lane=3)
        copied = asker.job("low-99")
        asker.ask(*ids(10, "high"), lane=1)
        asker.dispatch.promote(copied, 0)
        await reaches(lambda: len(node.asked) == 2)
        assert [id_ for id_, _ in node.asked] == ["low-0", "low-99"]
        waiting = {lane.priority: lane.waiting for lane in asker.dispatch.lanes()}
        assert (waiting["critical"], waiting["high"], waiting["low"]) == (0, 10, 98)
        asker.dispatch.begin_drain()
        await asker.all_ended()
        asker.outcomes()


@virtual
async def test_a_job_on_a_node_is_pulled_forward_in_vain_and_ends_once():
    node = FakeNode(slots=1)
    async with asking(node) as asker:
        asker.ask("a", lane=3)
        await reaches(lambda: len(node.asked) == 1)
        asker.dispatch.promote(asker.job("a"), 0)
        await asker.all_ended()
        assert isinstance(asker.outcomes()["a"], Judged)


@virtual
async def test_low_is_not_starved_by_a_stream_of_critical():
    node = FakeNode(slots=1)
    guarded = JudgeSettings(guard_low_s=5.0, probe_interval_ms=PROBE_MS)
    async with asking(node, judge=guarded) as asker:
        asker.ask(*ids(200, "urgent"))
        asker.ask("low", lane=3)
        await reaches(lambda: "low" in [id_ for id_, _ in node.asked])
        assert 40 <= len(node.asked) <= 50, "not before most of its guard is over, and not after it"
        asker.dispatch.begin_drain()
        await asker.all_ended()


@virtual
async def test_a_drain_gives_up_thousands_in_turns_and_nobody_who_comes_later():
    """The loop belongs to others, too: what a drain waits for, above all."""
    async with asking() as asker:
        asker.ask(*ids(16_000))
        given_up = []
        asker.dispatch.begin_drain()
        while asker.open:
            given_up.append(len(asker.ended))
            if len(given_up) == 2:
                asker.ask("later")
            if len(asker.ended) == 16_000:
                break
            await asyncio.sleep(0)
        assert max(after - before for before, after in pairwise([0, *given_up])) <= AT_ONCE
        assert "later" not in [id_ for id_, _, _ in asker.ended]
    assert asker.outcomes() == dict.fromkeys([*ids(16_000), "later"])


# -- faults ------------------------------------------------------------------------------------------------


@virtual
async def test_what_a_node_fails_at_goes_to_another_first():
    bad, good = FakeNode(BadAnswer(), BadAnswer(), BadAnswer(), name="bad"), FakeNode(name="good")
    async with asking(bad, good) as asker:
        asker.ask("a")
        await asker.all_ended()
        outcome = asker.outcomes()["a"]
        assert isinstance(outcome, Judged)
        assert (outcome.node, outcome.attempts) == ("good", 2)


@virtual
async def test_where_there_is_no_other_node_the_same_one_is_asked_again():
    async with asking(FakeNode(TimedOut(), BadAnswer())) as asker:
        asker.ask("a")
        await asker.all_ended()
        outcome = asker.outcomes()["a"]
        assert isinstance(outcome, Judged)
        assert outcome.attempts == 3


@pytest.mark.parametrize("fault", [BadAnswer, TimedOut], ids=lambda fault: fault.code)
@virtual
async def test_attempts_are_bounded(fault):
    node = FakeNode(*[fault()] * 10)
    async with asking(node) as asker:
        asker.ask("a")
        await asker.all_ended()
        assert asker.outcomes() == {"a": Failed(fault.code, 3)}
        assert len(node.asked) == 3


@virtual
async def test_a_question_that_is_refused_is_not_asked_again():
    node = FakeNode(Refused())
    async with asking(node) as asker:
        asker.ask("a")
        await asker.all_ended()
        assert asker.outcomes() == {"a": Failed("node_refused", 1)}


@pytest.mark.parametrize("bug", [ValueError("content"), asyncio.CancelledError], ids=["error", "cancelled"])
@virtual
async def test_a_client_that_fails_in_its_own_way_costs_attempts_and_no_job(bug):
    node = FakeNode(*[bug] * 10)
    async with asking(node) as asker:
        asker.ask("a")
        await asker.all_ended()
        assert asker.outcomes() == {"a": Failed("node_fault", 3)}
        assert node.busy == 0
        assert asker.dispatch.nodes()[0].in_flight == 0


@virtual
async def test_overload_is_waited_out_and_never_counts():
    node = FakeNode(*[Overloaded()] * 20, slots=1)
    async with asking(node) as asker:
        asker.ask("a")
        await asker.all_ended()
        outcome = asker.outcomes()["a"]
        assert isinstance(outcome, Judged)
        assert outcome.attempts == 1
        gaps = [later - sooner - SERVICE_MS for (_, sooner), (_, later) in pairwise(node.asked)]
        assert gaps[:7] == pytest.approx([50, 100, 200, 400, 800, 1_600, 3_200], abs=1)
        assert gaps[7:] == pytest.approx([4_000] * len(gaps[7:]), abs=1)


@virtual
async def test_a_node_says_itself_how_long_it_wants_to_be_left_alone():
    node = FakeNode(Overloaded(retry_after_ms=2_500.0))
    async with asking(node) as asker:
        asker.ask("a")
        await asker.all_ended()
        assert asker.after_ms("a") == pytest.approx(2 * SERVICE_MS + 2_500, abs=1)


@virtual
async def test_requests_that_are_refused_together_are_one_refusal():
    node = FakeNode(*[Overloaded()] * 8, slots=8)
    async with asking(node) as asker:
        asker.ask(*ids(8))
        await asker.all_ended()
        # After one pause it gets seven tenths of what it had, so two rounds are needed.
        assert asker.after_ms("job-4") == pytest.approx(2 * SERVICE_MS + 50, abs=1)
        assert asker.after_ms("job-7") == pytest.approx(3 * SERVICE_MS + 50, abs=1)


@virtual
async def test_an_answer_ends_a_row_of_refusals():
    node = FakeNode(Overloaded(), Overloaded(), None, Overloaded(), slots=1)
    async with asking(node) as asker:
        asker.ask("a", "b")
        await asker.all_ended()
        gaps = [later - sooner - SERVICE_MS for (_, sooner), (_, later) in pairwise(node.asked)]
        assert gaps == pytest.approx([50, 100, 0, 50], abs=1)


@virtual
async def test_while_one_node_is_overloaded_the_others_work_on():
    full = FakeNode(Overloaded(retry_after_ms=60_000.0), name="full", slots=1)
    free = FakeNode(name="free", slots=1)
    async with asking(full, free) as asker:
        asker.ask("a", "b", "c")
        await asker.all_ended()
        assert {outcome.node for outcome in asker.outcomes().values()} == {"free"}
        assert asker.dispatch.nodes()[0].state == "overloaded"


def gone() -> Unreachable:
    """Give what is met where nobody listens."""
    return Unreachable(was_sent=False)


@pytest.mark.parametrize("fault", [gone, Misconfigured], ids=["gone", "misconfigured"])
@virtual
async def test_a_node_that_is_gone_is_out_until_a_probe_succeeds(fault):
    node = FakeNode(fault())
    node.probe_script = [Unreachable(), ValueError("content"), Overloaded()]
    async with asking(node) as asker:
        asker.ask("a")
        await asyncio.sleep(2.5)
        assert asker.dispatch.nodes()[0].state == "out"
        asker.ask("b")
        await asker.all_ended()
        # Three probes fail, one by a bug of the client; the fourth succeeds.
        assert [round(at_ms - asker.began_ms) for at_ms in node.probed_ms] == [
            100 + PROBE_MS * number for number in (1, 2, 3, 4)
        ]
        outcome = asker.outcomes()["a"]
        assert isinstance(outcome, Judged)
        assert outcome.attempts == 1
        assert asker.after_ms("a") == pytest.approx(100 + 4 * PROBE_MS + SERVICE_MS, abs=2)
        assert asker.dispatch.nodes()[0].state == "up"


@virtual
async def test_all_in_flight_on_a_dying_node_take_it_out_once():
    node = FakeNode(*[Unreachable()] * 8, slots=8)
    async with asking(node) as asker:
        asker.ask(*ids(8))
        await asker.all_ended()
        assert len(node.probed_ms) == 1
        assert all(isinstance(outcome, Judged) for outcome in asker.outcomes().values())


@virtual
async def test_while_all_nodes_are_out_jobs_wait_and_are_not_failed():
    node = FakeNode(*[Unreachable()] * 8)
    node.probe_script = [Unreachable()] * 3_600
    async with asking(node) as asker:
        asker.ask(*ids(20))
        await asyncio.sleep(3_600)
        assert asker.open == 20
        await asker.all_ended()
        assert failed_codes(asker.outcomes()) == []


# -- deadlines ---------------------------------------------------------------------------------------------


@virtual
async def test_a_deadline_that_passes_while_it_waits_makes_a_job_late_at_that_moment():
    async with asking(FakeNode(slots=1, takes_ms=1_000)) as asker:
        asker.ask("first")
        asker.ask("hurried", within_ms=250)
        asker.ask("patient", within_ms=5_000)
        await asker.all_ended()
        outcomes = asker.outcomes()
        assert outcomes["hurried"] == Late(0)
        assert asker.after_ms("hurried") == pytest.approx(250, abs=1)
        assert isinstance(outcomes["patient"], Judged)


@virtual
async def test_a_deadline_is_kept_while_no_node_is_up():
    node = FakeNode(gone())
    node.probe_script = [Unreachable()] * 100
    async with asking(node) as asker:
        asker.ask("a", within_ms=3_333)
        await asker.all_ended()
        assert asker.outcomes() == {"a": Late(0)}
        assert asker.after_ms("a") == pytest.approx(3_333, abs=1)


@virtual
async def test_a_job_whose_deadline_has_passed_is_late_at_once():
    node = FakeNode()
    async with asking(node) as asker:
        asker.ask("a", within_ms=-1)
        assert asker.outcomes() == {"a": Late(0)}
        assert node.asked == []


# -- drains, stops, what is not wanted ---------------------------------------------------------------------


@virtual
async def test_a_drain_gives_up_what_waits_and_finishes_what_is_on_a_node():
    async with asking(FakeNode(slots=2)) as asker:
        asker.ask(*ids(5))
        await asyncio.sleep(0.01)
        asker.dispatch.begin_drain()
        assert [id_ for id_, outcome, _ in asker.ended if outcome is None] == ["job-2", "job-3", "job-4"]
        await asker.all_ended()
        outcomes = asker.outcomes()
        assert isinstance(outcomes["job-0"], Judged)
        assert isinstance(outcomes["job-1"], Judged)


@virtual
async def test_what_is_not_wanted_any_more_is_given_up_before_it_costs_a_slot():
    node = FakeNode(slots=1)
    async with asking(node) as asker:
        asker.ask("a", "b", "c")
        await asyncio.sleep(0.01)
        asker.is_wanted = False
        await asker.all_ended()
        assert [id_ for id_, _ in node.asked] == ["a"]
        assert asker.outcomes()["c"] is None


@pytest.mark.parametrize("fault", [BadAnswer, Unreachable, Overloaded], ids=lambda fault: fault.code)
@virtual
async def test_what_fails_during_a_drain_is_given_up_instead_of_tried_again(fault):
    """At once: a drain would wait for a node that is out until its time is over."""
    async with asking(FakeNode(fault())) as asker:
        asker.ask("a")
        await asyncio.sleep(0.01)
        asker.is_wanted = False
        await asker.all_ended()
        assert asker.outcomes() == {"a": None}
        assert asker.after_ms("a") == pytest.approx(SERVICE_MS, abs=1)


@virtual
async def test_a_stop_cancels_what_is_on_nodes_frees_them_and_gives_everything_up():
    node = FakeNode(slots=2, takes_ms=3_600_000)
    async with asking(node) as asker:
        asker.ask(*ids(4))
        await asyncio.sleep(0.01)
    assert asker.outcomes() == dict.fromkeys(ids(4))
    assert (node.cancelled, node.busy, node.is_closed) == (2, 0, True)
    assert asker.dispatch.nodes()[0].in_flight == 0


@virtual
async def test_a_stop_before_a_request_was_begun_gives_it_up_too():
    node = FakeNode()
    async with asking(node) as asker:
        asker.ask("a")
    assert asker.outcomes() == {"a": None}
    assert node.asked == []


@virtual
async def test_after_a_stop_nothing_is_asked_any_more():
    node = FakeNode()
    async with asking(node) as asker:
        pass
    asker.ask("a")
    assert asker.outcomes() == {"a": None}


@virtual
async def test_a_stop_does_not_wait_for_a_node_that_is_out():
    node = FakeNode(gone())
    node.probe_script = [Unreachable()] * 1_000
    async with asking(node) as asker:
        asker.ask("a")
        await asyncio.sleep(5)
        began_ms = now_ms()
    assert now_ms() - began_ms < 1_000
    assert asker.outcomes() == {"a": None}


@virtual
async def test_a_callback_that_fails_takes_nobody_with_it():
    def broken() -> None:
        raise RuntimeError

    async with asking(FakeNode(slots=1)) as asker:
        asker.ask("a", on_done=broken)
        asker.ask("b")
        await asker.all_ended()
        assert all(isinstance(outcome, Judged) for outcome in asker.outcomes().values())


@virtual
async def test_it_says_how_it_stands():
    async with asking(FakeNode(slots=2), FakeNode(gone(), name="b", slots=1, takes_ms=1)) as asker:
        asker.ask(*ids(3), lane=1)
        asker.ask(*ids(2, "low"), lane=3)
        await asyncio.sleep(0.01)
        assert repr(asker.dispatch) == "<Dispatch [1 of 2 up | 2 in flight, 3 waiting]>"
        lanes = {lane.priority: (lane.waiting, lane.in_flight) for lane in asker.dispatch.lanes()}
        assert lanes == {"critical": (0, 0), "high": (1, 2), "medium": (0, 0), "low": (2, 0)}
        assert asker.dispatch.lanes()[3].oldest_ms == pytest.approx(10, abs=1)
        assert [(node.state, node.last_error) for node in asker.dispatch.nodes()] == [
            ("up", ""),
            ("out", "node_unreachable"),
        ]


# -- any faults, in any order ------------------------------------------------------------------------------

steps = st.sampled_from(
    [None, Overloaded(), Unreachable(), TimedOut(), BadAnswer(), Refused(), Misconfigured(), ValueError()]
)
scripts = st.lists(steps, max_size=12)


@given(
    scripts=st.lists(scripts, min_size=1, max_size=3),
    slots=st.integers(1, 3),
    jobs=st.lists(
        st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3_000), st.integers(0, 400)), max_size=20
    ),
    drain_after_ms=st.none() | st.integers(0, 2_000),
    stop_after_ms=st.none() | st.integers(0, 2_000),
)
@settings(max_examples=150)
def test_every_job_ends_exactly_once_whatever_the_nodes_do(
    scripts, slots, jobs, drain_after_ms, stop_after_ms
):
    nodes = [FakeNode(*script, name=f"n{at}", slots=slots) for at, script in enumerate(scripts)]

    async def scenario() -> dict[str, Outcome | None]:
        async with asking(*nodes) as asker:
            loop = asyncio.get_running_loop()
            if drain_after_ms is not None:
                loop.call_later(drain_after_ms / 1_000, asker.dispatch.begin_drain)
            for number, (lane, within_ms, pause_ms) in enumerate(jobs):
                asker.ask(f"job-{number}", lane=lane, within_ms=within_ms)
                await asyncio.sleep(pause_ms / 1_000)
            if stop_after_ms is None:
                await asker.all_ended()
            else:
                await asyncio.sleep(stop_after_ms / 1_000)
        return asker.outcomes()

    outcomes = run(scenario())
    assert len(outcomes) == len(jobs)
    for node in nodes:
        assert node.busy == 0
        assert node.busy_max <= slots
        assert node.is_closed
    asked = Counter(id_ for node in nodes for id_, _ in node.asked)
    for id_, outcome in outcomes.items():
        attempts_max = min(SETTINGS.attempts_max, asked[id_])
        match outcome:
            case Judged() | Failed():
                assert 1 <= outcome.attempts <= attempts_max
            case Late():
                assert 0 <= outcome.attempts < SETTINGS.attempts_max
            case None:
                assert drain_after_ms is not None or stop_after_ms is not None


# -- what waits for too long --------------------------------------------------------------------------------


@virtual
async def test_what_waited_for_too_long_is_let_go_of_and_what_did_not_stays():
    patient = JudgeSettings(park_after_s=10, probe_interval_ms=PROBE_MS)
    async with asking(FakeNode(slots=1, takes_ms=15_000), judge=patient) as asker:
        asker.ask("on the node", "old")
        await asyncio.sleep(6)
        asker.ask("young")
        await asyncio.sleep(1)
        asker.dispatch.release_overdue()
        assert not asker.ended
        await asyncio.sleep(5)
        asker.dispatch.release_overdue()
        assert asker.ended == [("old", Overdue(asker.began_ms + 2_000), 12_000)]
        await asker.all_ended()
        outcomes = asker.outcomes()
        assert {type(outcomes[name]) for name in ("on the node", "young")} == {Judged}


@virtual
async def test_while_all_nodes_are_out_nothing_is_overdue():
    patient = JudgeSettings(park_after_s=10, attempts_max=20, probe_interval_ms=PROBE_MS)
    node = FakeNode(gone())
    node.probe_script += [Unreachable()] * 40
    async with asking(node, judge=patient) as asker:
        asker.ask("a")
        await asyncio.sleep(30)
        assert asker.dispatch.is_held
        asker.dispatch.release_overdue()
        assert not asker.ended
        await asker.all_ended()
        assert isinstance(asker.outcomes()["a"], Judged)


# -- whose fault it is --------------------------------------------------------------------------------------


class Hanging(FakeNode):
    """Answers nobody until a moment; its probe finds it well all the time."""

    def __init__(self, *, well_from_ms: float, timeout_ms: float, slots: int) -> None:
        super().__init__(slots=slots)
        self.well_from_ms = well_from_ms
        self.timeout_ms = timeout_ms

    async def judge(self, question: Question) -> Any:
        if now_ms() < self.well_from_ms:
            await asyncio.sleep(self.timeout_ms / 1_000)
            raise TimedOut
        return await super().judge(question)


class Breaking(FakeNode):
    """Dies of one question, and takes along whatever it is busy with."""

    def __init__(self, *, poison: str, slots: int) -> None:
        super().__init__(slots=slots)
        self.poison = poison
        self.deaths = 0
        self._death = asyncio.Event()

    async def judge(self, question: Question) -> Any:
        if question.event.id == self.poison:
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
async def test_a_node_that_hangs_turns_nothing_into_a_dead_letter_but_what_it_had_alone():
    began_ms = now_ms()
    node = Hanging(well_from_ms=began_ms + 100_000, timeout_ms=30_000, slots=8)
    async with asking(node, judge=JudgeSettings(attempts_max=4, probe_interval_ms=PROBE_MS)) as asker:
        asker.ask(*ids(40))
        await asker.all_ended()
        outcomes = asker.outcomes()
        assert {type(outcome) for outcome in outcomes.values()} == {Judged}
        assert len(node.asked) == 40, "asked anew only once it was well"


@virtual
async def test_a_question_that_breaks_the_node_ends_and_those_beside_it_are_judged():
    node = Breaking(poison="job-3", slots=8)
    async with asking(node) as asker:
        asker.ask(*ids(40))
        await asker.all_ended()
        outcomes = asker.outcomes()
        assert failed_codes(outcomes) == ["node_unreachable"]
        assert outcomes["job-3"] == Failed("node_unreachable", 3)
        assert node.deaths <= 3 + 2, "three times alone, and before that in company"


@virtual
async def test_a_deadline_that_passes_on_the_node_is_late_and_not_a_failure():
    async with asking(FakeNode(TimedOut()), judge=JudgeSettings(attempts_max=1)) as asker:
        asker.ask("a", within_ms=SERVICE_MS / 2)
        await asker.all_ended()
        assert asker.outcomes() == {"a": Late(0)}


@virtual
async def test_deadlines_that_pass_together_do_not_keep_the_loop():
    async with asking(FakeNode(slots=1, takes_ms=60_000)) as asker:
        asker.ask(*ids(1_000), within_ms=500)
        await asyncio.sleep(0.5)
        # 100 at a time, and others in between.
        assert 0 < len(asker.ended) <= 200
        await asyncio.sleep(0.1)
        assert len(asker.ended) == 999
        asker.dispatch.begin_drain()


@virtual
async def test_who_is_told_of_an_end_may_bring_the_next_that_ends_at_once():
    """As copies do that take over: thousands, each told within the other, would be no stack for Python."""
    async with asking(FakeNode(slots=1, takes_ms=10_000)) as asker:
        asker.ask("running")
        numbers = iter(range(3_000))

        def bring_the_next() -> None:
            if (number := next(numbers, None)) is not None:
                asker.ask(f"late-{number}", within_ms=0, on_done=bring_the_next)

        asker.ask("late", within_ms=1, on_done=bring_the_next)
        await asker.all_ended()
        assert Counter(type(outcome) for outcome in asker.outcomes().values()) == {Judged: 1, Late: 3_001}
        assert max(asker.after_ms(f"late-{number}") for number in range(3_000)) < 10_000


@virtual
async def test_those_that_no_node_can_answer_in_time_do_not_keep_the_loop():
    async with asking(FakeNode(slots=1, takes_ms=400)) as asker:
        asker.ask("first")
        await asker.all_ended()
        asker.ask("running", *ids(1_000), within_ms=700)
        await asyncio.sleep(0.4)
        ended = [len(asker.ended)]
        while asker.open:
            await asyncio.sleep(0)
            ended.append(len(asker.ended))
        # 100 at a time and who was judged, and others in between.
        assert max(after - before for before, after in pairwise(ended)) <= 101
        assert Counter(type(outcome) for outcome in asker.outcomes().values()) == {Judged: 2, Late: 1_000}
        assert asker.after_ms("job-999") == pytest.approx(800, abs=10)


@virtual
async def test_who_is_told_that_no_node_can_answer_in_time_may_bring_the_next():
    async with asking(FakeNode(slots=1, takes_ms=400)) as asker:
        asker.ask("first")
        await asker.all_ended()
        numbers = iter(range(3_000))

        def bring_the_next() -> None:
            if (number := next(numbers, None)) is not None:
                asker.ask(f"late-{number}", within_ms=300, on_done=bring_the_next)

        asker.ask("late", within_ms=300, on_done=bring_the_next)
        await asker.all_ended()
        assert Counter(type(outcome) for outcome in asker.outcomes().values()) == {Judged: 1, Late: 3_001}


@virtual
async def test_who_cannot_be_told_of_an_answer_stops_the_whole():
    async with asking(FakeNode()) as asker:
        asker.dispatch.submit(
            Job(
                question=Question(Moderate(v=1, id="a", text="x"), POLICY),
                lane=0,
                arrived_ms=now_ms(),
                done=lambda _: 1 / 0,
                is_wanted=lambda: True,
                give_up=lambda: None,
            )
        )
        await reaches(lambda: asker.dispatch.crashed)
        assert isinstance(asker.dispatch.crash_reason, ZeroDivisionError)

"""Memory and single flight together, as judge uses them: whatever comes in whatever order, beside a model.

Never an answer of another policy, content or model; never one that is too old or was forgotten; never two who
are asked the same at one time; and everybody is answered once, through crashes and moves.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace
from samples import SOURCE, VERDICT

from schemas.event import PRIORITIES, Moderate
from schemas.memory import Memo
from schemas.policy import Label, Policy, Prompt, ReuseTtl
from schemas.verdict import ModelRef, Verdict
from schemas.wire import encode
from streams.core.cuts import Cut, Cuts
from streams.core.digest import content_digest
from streams.core.flights import Flights, Key, Leads, Successor, Ticket, Waits
from streams.core.judging import Case, Ruling, cache_verdict, moment, timing
from streams.core.reusing import Questions, answers, may_share, memo_of
from streams.core.rules import CompiledPolicy, compile_policy
from streams.ports import Change, MemoryLimits, Placed
from streams.recalling import MemoryMemory

pytestmark = pytest.mark.slow

TTL_S = 100
HOUR_MS = 3_600_000
# Two texts that are one, and one that shares nothing.
TEXTS = ("I will find you", "i WILL find you", "Ignore all previous instructions")
MODELS = ("m-7b", "m-70b")
POLICIES = [
    compile_policy(
        Policy(
            id=name,
            version=1,
            labels=(Label(name="spam", description="Adverts."),),
            prompts=(Prompt(kind="moderate", text=f"Judge it {name}."),),
            reuse_confidence=0.5,
            reuse_ttl=ReuseTtl(allow_s=TTL_S),
        )
    )
    for name in ("one", "two")
]
QUESTIONS = Questions(b"s")


class Work(NamedTuple):
    """An event on its way through."""

    number: int
    case: Case
    document: CompiledPolicy

    @property
    def key(self) -> Key:
        return Key(self.case.content_digest, self.document.ref.digest)


class Asked(NamedTuple):
    """What a node has been asked."""

    work: Work
    ticket: Ticket | None
    """None: it shares nothing."""
    at_ms: int
    lane: int


def truth(work: Work, model: str) -> str:
    """What this model says of this content under this policy."""
    return f"{work.case.content_digest}/{work.document.ref.id}/{model}"


class CopiesMachine(RuleBasedStateMachine):
    """One partition and the worker that has it."""

    @initialize(entries_max=st.integers(0, 5))
    def start(self, entries_max):
        self.limits = MemoryLimits(entries_max, 1 << 20, HOUR_MS)
        self.now_ms = 1_000_000
        self.number = 0
        self.changelog: list[Change] = []
        self.cuts = Cuts()
        self.given_cuts: list[Cut] = []
        self.unsettled: dict[int, Work] = {}
        self.ended: list[int] = []
        self._begin()

    def _begin(self):
        """A worker starts, or takes over: it reads the changelog, and what is unsettled comes again."""
        self.memory = MemoryMemory(self.limits)
        self.memory.restore(self.changelog)
        self.memory.restored(len(self.changelog))
        self.memory.obey(self.cuts.refuses)
        self.flights: Flights[Work] = Flights()
        self.asked: list[Asked] = []
        for work in list(self.unsettled.values()):
            self._admit(work)

    # -- what happens --

    @rule(
        text=st.sampled_from(TEXTS),
        tenant=st.sampled_from(["acme", "acme", "forum"]),
        context=st.sampled_from([{}, {}, {"title": "t"}]),
        probe=st.sampled_from(["", "", "nonce"]),
        lanes=st.lists(st.integers(0, 3), min_size=1, max_size=4),
        document=st.sampled_from(POLICIES),
    )
    def copies_come(self, text, tenant, context, probe, lanes, document):
        for lane in lanes:
            self._comes(text, tenant, context, probe, lane, document)

    def _comes(self, text, tenant, context, probe, lane, document):
        self.number += 1
        event = Moderate(
            v=1, id=f"post-{self.number}", text=text, tenant=tenant, context=context, probe=probe
        )
        digest = content_digest(event, secret=b"s", scope="tenant")
        work = Work(self.number, Case(event, digest, PRIORITIES[lane], SOURCE, document.ref), document)
        self.unsettled[work.number] = work
        self._admit(work)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), model=st.sampled_from(MODELS), confidence=st.sampled_from([0.4, 0.5, 0.9]))
    def a_node_answers(self, data, model, confidence):
        asked = self._taken(data)
        work = asked.work
        ruling = Ruling("allow", (), (truth(work, model),), confidence)
        verdict = replace(
            VERDICT,
            tenant=work.case.event.tenant,
            id=work.case.event.id,
            content_digest=work.case.content_digest,
            decided_by="model",
            policy=work.document.ref,
            model=ModelRef(name=model, node="gpu-0"),
        )
        question = QUESTIONS.digest(work.case.content_digest, work.document, "moderate", model)
        self._end(work)
        if asked.ticket is None:
            return
        memo = memo_of(verdict, ruling, work.document.policy, question=question, asked_at_ms=asked.at_ms)
        if memo is None or self.cuts.refuses(memo):
            self._ask_next(self.flights.leave(asked.ticket))
            return
        # The changelog, the local write, and only then the flight is over: no copy falls between the two.
        self.changelog.append(Change(question.encode(), encode(memo), len(self.changelog)))
        self.memory.remember([Placed(memo, encode(memo))], len(self.changelog) - 1)
        for waiting in self.flights.land(asked.ticket):
            self._answer(waiting, memo)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def a_node_fails_for_good(self, data):
        asked = self._taken(data)
        self._end(asked.work)
        if asked.ticket is not None:
            self._ask_next(self.flights.leave(asked.ticket))

    @rule(ms=st.integers(1, 40_000))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule(about=st.sampled_from(["all", "all", "policy", "model"]), back_ms=st.sampled_from([0, 20_000]))
    def an_operator_has_answers_forgotten(self, about, back_ms):
        value = {"all": "", "policy": "one", "model": MODELS[0]}[about]
        cut = Cut(about, value, self.now_ms - back_ms)
        self.given_cuts.append(cut)
        self.cuts = self.cuts.after(cut)
        self.memory.obey(self.cuts.refuses)

    @rule()
    def the_worker_dies_or_the_partition_moves(self):
        self._begin()

    # -- as judge does it --

    def _admit(self, work: Work):
        case = work.case
        if not may_share(case.event, ()):
            self._ask(work, None)
            return
        questions = QUESTIONS.to_look_up(case.content_digest, work.document, "moderate", MODELS)
        memo = self.memory.look_up(questions, self.now_ms)
        if memo is not None:
            assert answers(memo, case)
            assert memo.expires_at_ms > self.now_ms
            self._answer(work, memo)
            return
        match self.flights.join(work.key, work, lane=PRIORITIES.index(case.priority)):
            case Leads(ticket):
                self._ask(work, ticket)
            case Waits(_, promote):
                if promote is not None:
                    self.asked = [
                        one._replace(lane=promote.lane) if one.ticket == promote.leader else one
                        for one in self.asked
                    ]

    def _ask(self, work: Work, ticket: Ticket | None):
        if ticket is not None:
            assert not any(one.ticket is not None and one.work.key == work.key for one in self.asked)
        self.asked.append(Asked(work, ticket, self.now_ms, PRIORITIES.index(work.case.priority)))

    def _ask_next(self, successor: Successor[Work] | None):
        if successor is not None:
            self._ask(successor.item, successor.ticket)

    def _answer(self, work: Work, memo: Memo):
        verdict = cache_verdict(
            work.case,
            memo,
            timing(written_at_ms=0, decided_at_ms=0, worker_ms=0),
            moment(self.now_ms),
            enforce=True,
        )
        self._check(work, memo, verdict)
        self._end(work)

    # -- what must be so --

    def _check(self, work: Work, memo: Memo, verdict: Verdict):
        assert verdict.decided_by == "cache"
        assert verdict.model is not None
        assert verdict.reasons == (truth(work, verdict.model.name),)
        assert not work.case.event.probe
        assert memo.confidence >= 0.5
        assert not any(cut.matches(memo) for cut in self.given_cuts)
        assert memo.original.tenant == work.case.event.tenant
        assert verdict.original is not None
        assert verdict.original.id != verdict.id

    def _taken(self, data) -> Asked:
        return self.asked.pop(data.draw(st.integers(0, len(self.asked) - 1)))

    def _end(self, work: Work):
        del self.unsettled[work.number]
        self.ended.append(work.number)

    @invariant()
    def everybody_is_answered_once_or_still_at_hand(self):
        assert sorted(self.ended + list(self.unsettled)) == list(range(1, self.number + 1))
        assert len(self.unsettled) == len(self.asked) + self.flights.waiting

    @invariant()
    def never_are_two_asked_the_same_at_one_time(self):
        shared = [one.work.key for one in self.asked if one.ticket is not None]
        assert len(shared) == len(set(shared)) == len(self.flights)

    @invariant()
    def who_is_asked_for_copies_is_as_urgent_as_the_most_urgent_of_them(self):
        lane_of = {one.work.key: one.lane for one in self.asked if one.ticket is not None}
        at_hand = {one.work.number for one in self.asked}
        for work in self.unsettled.values():
            if work.number not in at_hand:
                assert lane_of[work.key] <= PRIORITIES.index(work.case.priority)


CopiesMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestCopies = CopiesMachine.TestCase

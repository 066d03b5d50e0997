"""Judge as a stage: every pending record becomes a verdict or a dead letter, and is settled by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import at_work
from mutating import mutated
from stages import (
    SERVICE_MS,
    TOPICS,
    FakeNode,
    FakePublisher,
    FakeRecall,
    FakeRecord,
    WorkingClock,
    book,
    callbacks_ran,
    fetched,
    policy_book,
    records,
)
from strategies import pendings
from virtual_time import LoopClock, now_ms, reaches, run, virtual

from agents.judge import Judge
from infra.nodes.memory import MemoryNode
from schemas.dead_letter import DeadLetter
from schemas.errors import UnknownVersion, WireError
from schemas.event import Moderate, Source
from schemas.pending import Pending
from schemas.settings import CampaignSettings, JudgeSettings
from schemas.verdict import PolicyRef, ScoredLabel, Verdict
from schemas.wire import decode_dead_letter, decode_pending, decode_verdict, encode, verdict_key
from streams.campaigning import Campaigns
from streams.core.orders import Orders
from streams.core.policies import document_key
from streams.core.reusing import Questions
from streams.dead_lettering import DeadLetters
from streams.dispatch import Dispatch
from streams.failing import CrashLoop, Failing
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import (
    Answer,
    BadAnswer,
    NodeFault,
    Outgoing,
    Overloaded,
    Publisher,
    Refused,
    TimedOut,
    Unreachable,
)
from streams.publishing import MemoryPublisher
from streams.settling import Settling
from streams.sharing import Sharing, SharingSettings
from streams.tracing import MemoryTracer

TOPIC = TOPICS.pending("high")
POLICIES = policy_book()
ACTIVE = POLICIES.active("default")
assert ACTIVE is not None
REF = ACTIVE.ref
KEY = b"acme/post-1"
TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = (("traceparent", b"00-" + TRACE + b"-00f067aa0ba902b7-01"),)
SETTINGS = JudgeSettings(attempts_max=3, probe_interval_ms=500)
GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "messages" / "pending").glob("*.json"))
WROTE_MS = 1_700_000_000_000
"""When the event was written, on the broker's clock."""


class Stage:
    """Judge with everything real but Kafka, the time, and what the nodes say."""

    def __init__(self, *nodes: Any, publisher: Publisher | None = None, **parts: Any) -> None:
        self.clock = LoopClock(wall_ms=int(WROTE_MS + 100 - now_ms()))
        self.partitions = book(self.clock, stage="judge")
        self.partitions.open([(TOPIC, 0)])
        self.publisher = publisher or MemoryPublisher()
        self.tally = Tally()
        self.tracer = MemoryTracer()
        self.orders = Orders()
        self.stopped: list[Exception] = []
        self.nodes = nodes or (FakeNode(),)
        self.dispatch = Dispatch(self.nodes, lambda: SETTINGS, self.clock)
        self.partitions.on_drain.append(self.dispatch.begin_drain)
        dead_letters = DeadLetters("judge", TOPICS, self.clock)
        settling = Settling(self.publisher, dead_letters, self.tally)
        made = {
            "topics": TOPICS,
            "policies": POLICIES,
            "orders": lambda: self.orders,
            "sharing": Sharing(
                recall=FakeRecall(),
                dispatch=self.dispatch,
                questions=Questions(b""),
                settings=lambda: SharingSettings(enabled=False),
                clock=self.clock,
            ),
            "campaigns": Campaigns(CampaignSettings, self.publisher, TOPICS, self.tally),
            "clock": self.clock,
            "settling": settling,
            "dead_letters": dead_letters,
            "tally": self.tally,
            "tracer": self.tracer,
            "failing": Failing(self.partitions, condemn=settling.condemn, stop_worker=self.stopped.append),
            "stop_worker": self.stopped.append,
        }
        self.judge = Judge(**made | parts)

    async def put(self, *values: bytes | None, **fields: Any) -> Batch:
        """Hand the agent a batch, and leave it to the nodes."""
        first = self.partitions.owned[TOPIC, 0].watermark.next_offset or 0
        batch = fetched(
            self.partitions, [record._replace(**fields) for record in records(TOPIC, values, first=first)]
        )
        await self.judge.handle(batch)
        return batch

    async def handle(self, *values: bytes | None, **fields: Any) -> list[Outgoing]:
        """Let a batch of these values through; gives all that was written."""
        await self.put(*values, **fields)
        await reaches(lambda: not self.partitions.awaited)
        assert isinstance(self.publisher, MemoryPublisher)
        return self.publisher.records

    async def verdict(self, value: bytes, **fields: Any) -> Verdict:
        """Give the one verdict on this record."""
        (outgoing,) = await self.handle(value, **fields)
        assert outgoing.topic == TOPICS.verdicts
        return decode_verdict(outgoing.value)

    async def letter(self, value: bytes | None, **fields: Any) -> tuple[Outgoing, DeadLetter]:
        """Give the one dead letter on this record."""
        (outgoing,) = await self.handle(value, **fields)
        assert outgoing.topic == TOPICS.dead_letters
        return outgoing, decode_dead_letter(outgoing.value)


def staged(*nodes: Any, **parts: Any) -> AbstractAsyncContextManager[Stage]:
    return at_work(Stage(*nodes, **parts))


class Opinionated(FakeNode):
    """Says that everything is spam, and how sure it is."""

    def __init__(self, *script: Any, score: float = 0.99, **parts: Any) -> None:
        super().__init__(*script, **parts)
        self.score = score
        self.questions: list[Any] = []

    async def judge(self, question: Any) -> Answer:
        self.questions.append(question)
        await super().judge(question)
        return Answer(labels=(ScoredLabel(name="spam", score=self.score),), confidence=0.8, model="m-1")


def pending(**fields: Any) -> bytes:
    """A pending record as triage writes it; fields of the event go to the event."""
    of_event = {name: fields.pop(name) for name in ("id", "text", "deadline_ms", "rejudge") if name in fields}
    event = Moderate(**{"v": 1, "id": "post-1", "tenant": "acme", "text": "hello", **of_event})
    made = {
        "v": 1,
        "content_digest": "a" * 32,
        "priority": "high",
        "event": event,
        "source": Source(topic=TOPICS.content("high"), partition=3, offset=77, timestamp_ms=WROTE_MS),
        "policy": REF,
    }
    return encode(Pending(**made | fields))


def broken(**changes: Any) -> bytes:
    """A pending record with fields that do not fit."""
    return msgspec.json.encode(msgspec.json.decode(pending()) | changes)


# -- verdicts ----------------------------------------------------------------------------------------------


@virtual
async def test_an_answer_becomes_a_verdict_that_says_who_decided_and_how_long_each_part_took():
    async with staged(Opinionated(slots=1, name="gpu-0")) as stage:
        first, second = await stage.handle(pending(), pending(id="post-2"))
    verdict = decode_verdict(second.value)
    assert (verdict.decided_by, verdict.action, verdict.attempts) == ("model", "block", 1)
    assert (verdict.model.name, verdict.model.node) == ("m-1", "gpu-0")
    assert [(label.name, label.score) for label in verdict.labels] == [("spam", 0.99)]
    assert (verdict.policy, verdict.content_digest, verdict.priority) == (REF, "a" * 32, "high")
    assert (verdict.source.topic, verdict.source.offset) == ("content.high", 77)
    timing = verdict.timing
    assert timing.kafka_ms == pytest.approx(100, abs=2)
    assert timing.queue_ms == pytest.approx(SERVICE_MS, abs=1)
    assert timing.inference_ms == pytest.approx(SERVICE_MS, abs=1)
    assert timing.total_ms == pytest.approx(timing.kafka_ms + timing.queue_ms + timing.inference_ms)
    assert first.key == verdict_key("acme", "post-1") == KEY
    assert stage.tally.decided == {"model": 2}


def test_the_reference_node_judges_through_the_whole_stage():
    async def scenario() -> Verdict:
        async with staged(MemoryNode()) as stage:
            return await stage.verdict(pending(text="I will kill you"))

    verdict = asyncio.run(scenario())
    assert verdict.decided_by == "model"
    assert [label.name for label in verdict.labels] == ["violence"]


@virtual
async def test_with_enforcement_off_when_it_is_answered_a_block_becomes_a_review():
    async with staged(Opinionated()) as stage:
        await stage.put(pending())
        stage.orders = Orders(enforce=False)
        await reaches(lambda: not stage.partitions.awaited)
        verdict = decode_verdict(stage.publisher.records[0].value)
    assert verdict.action == "review"
    assert "enforce_off" in verdict.reasons


@virtual
async def test_the_policy_that_triage_saw_judges_and_not_the_one_that_is_active_now():
    stricter = msgspec.structs.replace(ACTIVE.policy, version=2)
    policies = policy_book(stricter)
    policies.apply(document_key(REF.digest), encode(ACTIVE.policy))
    async with staged(Opinionated(), policies=policies) as stage:
        assert (await stage.verdict(pending())).policy == REF


@virtual
async def test_where_that_document_was_taken_back_the_active_one_judges():
    async with staged(Opinionated()) as stage:
        revoked = PolicyRef(id="default", version=7, digest="b" * 32)
        assert (await stage.verdict(pending(policy=revoked))).policy == REF


@virtual
async def test_an_event_that_is_late_gets_the_policys_action_at_its_deadline():
    """The deadline counts from the broker's timestamp, 100 ms ago."""
    async with staged(FakeNode(slots=1, takes_ms=60_000)) as stage:
        await stage.put(pending())
        began_ms = now_ms()
        await stage.put(pending(id="post-2", deadline_ms=2_600))
        await reaches(lambda: stage.publisher.records)
        assert now_ms() - began_ms == pytest.approx(2_500, abs=3)
        verdict = decode_verdict(stage.publisher.records[0].value)
        assert (verdict.id, verdict.decided_by, verdict.action) == ("post-2", "fallback", "review")
        assert (verdict.confidence, verdict.coverage, verdict.attempts) == (0.0, 0.0, 0)
        assert verdict.timing.total_ms == pytest.approx(2_600, abs=3)
        assert stage.partitions.committable() == {(TOPIC, 0): 0}, "the one before it is still on the node"


@virtual
async def test_a_question_carries_its_deadline_on_our_own_clock():
    node = Opinionated()
    async with staged(node) as stage:
        arrived_ms = now_ms()
        await stage.handle(pending(deadline_ms=1_100))
        assert node.questions[0].deadline_ms == pytest.approx(arrived_ms + 1_000, abs=2)


@virtual
async def test_within_a_lane_the_earliest_deadline_is_asked_first_then_the_oldest_then_the_lowest_offset():
    async with staged(FakeNode(slots=1)) as stage:
        stage.partitions.open([(TOPIC, 0), (TOPIC, 1)])
        await stage.put(pending(id="on the node"))
        await stage.put(pending(id="young"), timestamp=WROTE_MS + 60)
        await stage.put(pending(id="of the future"), timestamp=WROTE_MS + 10**9)
        await stage.put(pending(id="old, last"), timestamp=WROTE_MS + 10, partition=1, offset=50)
        await asyncio.sleep(0.000_7)
        await stage.put(pending(id="old, first"), pending(id="old, then"), timestamp=WROTE_MS + 10)
        await stage.put(pending(id="due", deadline_ms=3_000), timestamp=WROTE_MS + 90)
        await asyncio.sleep(0.05)
        await stage.put(pending(id="younger"), timestamp=WROTE_MS + 140)
        await reaches(lambda: not stage.partitions.awaited)
    asked = [id_ for id_, _ in stage.nodes[0].asked]
    assert asked[:6] == ["on the node", "due", "old, first", "old, then", "old, last", "young"]
    assert asked[6:] == ["of the future", "younger"], "nobody waits until a clock that is wrong is right"


# -- what cannot be judged ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code", "attempts"),
    [
        (BadAnswer, "node_bad_answer", 3),
        (TimedOut, "node_timed_out", 3),
        (Refused, "node_refused", 1),
        (ValueError, "node_fault", 3),
    ],
)
@virtual
async def test_what_no_node_can_answer_becomes_a_dead_letter_with_code_and_attempts(fault, code, attempts):
    async with staged(FakeNode(*[fault()] * 9)) as stage:
        outgoing, letter = await stage.letter(pending(), headers=SAMPLED, key=b"digest")
    assert (letter.stage, letter.code, letter.attempts) == ("judge", code, attempts)
    assert (outgoing.key, letter.tenant, letter.id) == (KEY, "acme", "post-1")
    assert (letter.payload, letter.key, letter.headers[0].value) == (pending(), b"digest", SAMPLED[0][1])
    assert letter.source.topic == TOPIC
    assert letter.event == decode_pending(pending()).source
    assert stage.tally.dead_letters == 1


@virtual
async def test_a_policy_that_nobody_knows_any_more_makes_a_dead_letter():
    unknown = PolicyRef(id="gone", version=1, digest="b" * 32)
    async with staged() as stage:
        outgoing, letter = await stage.letter(pending(policy=unknown))
    assert (letter.code, outgoing.key) == ("unknown_policy", KEY)
    assert stage.nodes[0].asked == []


BAD = {
    "no value": (None, "malformed_payload", None),
    "not JSON": (b"hello {", "malformed_payload", None),
    "an event": (encode(Moderate(v=1, id="post-1", text="x")), "malformed_payload", None),
    "priority unknown": (broken(priority="urgent"), "malformed_payload", KEY),
    "digest of a wrong shape": (broken(content_digest="../etc"), "malformed_payload", KEY),
    "kind unknown": (pending().replace(b'"moderate"', b'"dance"'), "unknown_kind", KEY),
    "invalid UTF-8": (pending().replace(b"hello", b"he\xfflo"), "malformed_payload", KEY),
    "lone surrogate": (pending().replace(b"hello", b"\\ud83d"), "malformed_payload", KEY),
    "10,000 deep": (b'{"v":1,"event":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "malformed_payload", None),
}


@pytest.mark.parametrize("name", BAD)
@virtual
async def test_a_record_that_is_not_ours_becomes_a_dead_letter_and_the_others_are_judged(name):
    value, code, key = BAD[name]
    async with staged() as stage:
        outgoing = await stage.handle(pending(id="a"), value, pending(id="b"))
    by_topic = {one.topic: one for one in outgoing}
    letter = decode_dead_letter(by_topic[TOPICS.dead_letters].value)
    assert (letter.code, letter.payload, by_topic[TOPICS.dead_letters].key) == (code, value, key)
    assert sorted(decode_verdict(one.value).id for one in outgoing if one.topic == TOPICS.verdicts) == [
        "a",
        "b",
    ]
    assert stage.stopped == []


@pytest.mark.parametrize("value", [broken(v=2), pending().replace(b'"event":{', b'"event":{"v":2,')])
@virtual
async def test_an_unknown_version_on_our_own_topic_stops_the_worker_and_stays_unsettled(value):
    """Not a dead letter: the newer release that wrote it is able to judge it."""
    async with staged() as stage:
        await stage.put(pending(id="a"), broken(v=2), pending(id="b"))
        assert [type(reason) for reason in stage.stopped] == [UnknownVersion]
        await reaches(lambda: stage.partitions.awaited == 0)
        assert stage.partitions.committable() == {(TOPIC, 0): 1}
        assert {one.topic for one in stage.publisher.records} == {TOPICS.verdicts}


@virtual
async def test_a_bug_on_the_way_in_costs_the_record_that_meets_it_and_nothing_else():
    class Broken(MemoryTracer):
        def child(self, parent: Any) -> Any:
            raise ZeroDivisionError

    async with staged(tracer=Broken()) as stage:
        await stage.put(pending(), headers=SAMPLED)
        await stage.handle(pending(id="a"), pending(id="b"))
        by_topic = {one.topic: one for one in stage.publisher.records}
        outgoing = by_topic[TOPICS.dead_letters]
        letter = decode_dead_letter(outgoing.value)
        assert (letter.code, letter.detail, outgoing.key) == ("stage_failed", "ZeroDivisionError", KEY)
        assert (stage.tally.errors, len(stage.publisher.records)) == (1, 3)
        assert sorted(asked for asked, _ in stage.nodes[0].asked) == ["a", "b"], "each was asked once"


@virtual
async def test_a_bug_on_the_way_out_costs_the_record_that_meets_it_and_nothing_else():
    class Broken(MemoryTracer):
        def record(self, span: Any) -> Any:
            raise ZeroDivisionError

    async with staged(tracer=Broken()) as stage:
        await stage.put(pending(), headers=SAMPLED)
        await reaches(lambda: stage.partitions.counts.failures)
        await stage.handle(pending(id="a"))
        letters = [one for one in stage.publisher.records if one.topic == TOPICS.dead_letters]
        assert [decode_dead_letter(one.value).code for one in letters] == ["stage_failed"]
        assert [asked for asked, _ in stage.nodes[0].asked] == ["post-1", "a"], "it was not asked again"


@virtual
async def test_a_release_that_fails_at_every_answer_condemns_none_though_the_way_in_works():
    class Broken(MemoryTracer):
        def record(self, span: Any) -> Any:
            raise ZeroDivisionError

    async with staged(tracer=Broken()) as stage:
        await stage.put(*(pending(id=f"post-{number}") for number in range(20)), headers=SAMPLED)
        await reaches(lambda: stage.stopped)
        assert [type(reason) for reason in stage.stopped] == [CrashLoop]
        assert (stage.publisher.records, stage.partitions.committable()) == ([], {(TOPIC, 0): 0})
        assert len(stage.nodes[0].asked) == 20


# -- settling, drains --------------------------------------------------------------------------------------


@virtual
async def test_a_record_is_settled_when_its_verdict_is_confirmed_in_whatever_order():
    publisher = FakePublisher()
    async with staged(publisher=publisher) as stage:
        await stage.put(pending(id="a"), pending(id="b"), pending(id="c"))
        await reaches(lambda: len(publisher.handed) == 3)
        assert stage.partitions.awaited == 3
        # Of requests that take equally long any may end first.
        handed = {decode_verdict(one.records[0].value).id: one for one in publisher.handed}
        handed["b"].confirm()
        await callbacks_ran()
        assert stage.partitions.committable() == {(TOPIC, 0): 0}
        handed["a"].confirm()
        await callbacks_ran()
        assert stage.partitions.committable() == {(TOPIC, 0): 2}


@virtual
async def test_a_verdict_that_kafka_refuses_becomes_a_dead_letter_under_the_events_key():
    publisher = FakePublisher()
    async with staged(publisher=publisher) as stage:
        await stage.put(pending())
        await reaches(lambda: publisher.handed)
        publisher.handed[0].refuse(0)
        await callbacks_ran()
        (outgoing,) = publisher.handed[1].records
        letter = decode_dead_letter(outgoing.value)
        assert (letter.code, letter.payload) == ("msg_size_too_large", pending())
        assert stage.partitions.awaited == 1
        publisher.handed[1].confirm()
        await callbacks_ran()
        assert stage.partitions.awaited == 0


@virtual
async def test_a_drain_finishes_what_is_on_nodes_and_leaves_the_rest_for_whoever_comes_next():
    async with staged(FakeNode(slots=2)) as stage:
        await stage.put(*(pending(id=f"post-{number}") for number in range(6)))
        await asyncio.sleep(0.01)
        stage.partitions.begin_drain()
        assert stage.partitions.awaited == 2
        await reaches(lambda: not stage.partitions.awaited)
        assert stage.partitions.committable() == {(TOPIC, 0): 2}
        assert len(stage.publisher.records) == 2


@virtual
async def test_a_batch_that_arrives_during_a_drain_is_not_begun():
    async with staged() as stage:
        batch = fetched(stage.partitions, records(TOPIC, [pending()]))
        stage.partitions.begin_drain()
        await stage.judge.handle(batch)
        assert stage.partitions.awaited == 0
        assert stage.nodes[0].asked == []


@virtual
async def test_an_answer_for_a_partition_that_was_given_away_settles_nothing():
    async with staged() as stage:
        await stage.put(pending())
        await asyncio.sleep(0.01)
        stage.partitions.open([(TOPIC, 0)])
        await reaches(lambda: stage.publisher.records)
        assert stage.partitions.counts.settled == 0
        assert stage.partitions.committable() == {}


@virtual
async def test_the_loop_is_handed_back_within_a_large_batch():
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with staged(clock=WorkingClock(LoopClock())) as stage:
        other = asyncio.ensure_future(others())
        await stage.put(*(pending(id=f"post-{number}") for number in range(1_000)))
        other.cancel()
        # Each record costs a look at least: four of them fill the 2 ms.
        assert turns >= 200


# -- traces ------------------------------------------------------------------------------------------------


@virtual
async def test_a_sampled_record_leaves_the_wait_and_the_chat_and_hands_its_trace_on():
    node = Opinionated(slots=1)
    async with staged(node) as stage:
        await stage.put(pending(id="before"))
        await stage.put(pending(), headers=SAMPLED)
        await reaches(lambda: not stage.partitions.awaited)
    (wait,), (chat,) = stage.tracer.named("dispatch wait"), stage.tracer.named("chat m-1")
    assert wait.end_ms - wait.start_ms == pytest.approx(SERVICE_MS, abs=1)
    assert chat.start_ms == wait.end_ms
    assert chat.end_ms - chat.start_ms == pytest.approx(SERVICE_MS, abs=1)
    assert chat.context is not None
    assert node.questions[1].traceparent == chat.context.format().decode()
    assert {span.context.trace_id for span in stage.tracer.spans} == {TRACE.decode()}
    assert dict(stage.publisher.records[1].headers)["traceparent"][3:35] == TRACE
    assert (node.questions[0].traceparent, stage.publisher.records[0].headers) == ("", ())


@virtual
async def test_an_unsampled_record_leaves_no_span():
    async with staged() as stage:
        (outgoing,) = await stage.handle(pending(trace_id=TRACE.decode()))
    assert not stage.tracer.spans
    assert outgoing.headers == ()


# -- any batch ---------------------------------------------------------------------------------------------

hostile = st.builds(
    lambda seed, at, other: mutated(
        Random(seed), GOLDEN[at % len(GOLDEN)].read_bytes(), GOLDEN[other % len(GOLDEN)].read_bytes()
    ),
    st.integers(0, 2**32),
    st.integers(0, 99),
    st.integers(0, 99),
)
ours = pendings(policy=st.just(REF)).map(encode)
values = st.one_of(ours, pendings().map(encode), hostile, st.binary(max_size=60), st.none())
faults: Sequence[NodeFault | None] = (None, Overloaded(), Unreachable(), TimedOut(), BadAnswer(), Refused())


@given(
    st.lists(values, min_size=1, max_size=10),
    st.lists(st.sampled_from(faults), max_size=12),
    st.integers(1, 4),
)
@settings(max_examples=100)
def test_each_record_of_any_batch_becomes_exactly_one_record_whatever_the_nodes_do(batch, script, slots):
    async def scenario() -> None:
        async with staged(FakeNode(*script, slots=slots)) as stage:
            made = [FakeRecord(TOPIC, 0, at, value) for at, value in enumerate(batch)]
            await stage.judge.handle(fetched(stage.partitions, made))
            newer = [at for at, value in enumerate(batch) if _is_newer(value)]
            assert len(stage.stopped) == len(newer)
            await reaches(lambda: not stage.partitions.awaited)
            assert len(stage.publisher.records) == len(batch) - len(newer)
            assert stage.partitions.committable() == {(TOPIC, 0): newer[0] if newer else len(batch)}
            buried = [
                decode_dead_letter(one.value).source.offset
                for one in stage.publisher.records
                if one.topic == TOPICS.dead_letters
            ]
            assert len(set(buried)) == len(buried)
            assert {at for at, value in enumerate(batch) if not _is_pending(value)} - {*newer} <= {*buried}
            assert stage.tally.errors == 0

    run(scenario())


def _is_pending(value: bytes | None) -> bool:
    try:
        decode_pending(value)
    except WireError:
        return False
    return True


def _is_newer(value: bytes | None) -> bool:
    try:
        decode_pending(value)
    except UnknownVersion:
        return True
    except WireError:
        return False
    return False


# -- what waits for too long --------------------------------------------------------------------------------


@virtual
async def test_what_waited_for_too_long_goes_to_the_tail_of_its_topic_and_is_settled():
    async with staged(FakeNode(slots=1, takes_ms=2_000_000)) as stage:
        await stage.put(pending(id="on the node"), pending(id="waiting", parked=2), headers=SAMPLED)
        await asyncio.sleep(SETTINGS.park_after_s + 1)
        stage.dispatch.release_overdue()
        await callbacks_ran()
        (outgoing,) = stage.publisher.records
        parked = decode_pending(outgoing.value)
        assert (outgoing.topic, outgoing.key, parked.event.id) == (TOPIC, b"a" * 32, "waiting")
        assert (parked.parked, parked.source.offset) == (3, 77), (
            "it says how often, and keeps where it came from"
        )
        assert outgoing.headers, "it keeps its place in the trace"
        assert stage.partitions.counts.settled == 1

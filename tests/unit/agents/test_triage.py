"""Triage as a stage: every record of every batch becomes exactly one record, and a bad one harms no other."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutating import mutated
from stages import (
    TOPICS,
    FakePublisher,
    FakeRecord,
    WorkingClock,
    book,
    callbacks_ran,
    fetched,
    policy_book,
    records,
)
from strategies import events
from virtual_time import LoopClock, reaches, virtual

from agents.triage import COST_SAMPLE, Triage
from schemas.dead_letter import DeadLetter
from schemas.errors import WireError
from schemas.event import KINDS, PRIORITIES
from schemas.pending import Pending
from schemas.policy import ActivePolicy, FloodRule, Label, Policy, Prompt, RegexRule
from schemas.settings import LimitSettings
from schemas.verdict import Verdict
from schemas.wire import decode_dead_letter, decode_pending, decode_verdict, encode, verdict_key
from streams.clock import ManualClock
from streams.core.digest import document_digest
from streams.core.orders import Orders
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.rules import compile_policy
from streams.dead_lettering import DeadLetters
from streams.failing import CrashLoop, Failing
from streams.observing import Tally
from streams.ports import BY_KEY, Outgoing, Publisher, size_of
from streams.publishing import MemoryPublisher
from streams.settling import Settling
from streams.tracing import MemoryTracer

TOPIC = TOPICS.content("high")
LIMITS = LimitSettings(record_bytes_max=50_000, text_bytes_max=20_000)
TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = (("traceparent", b"00-" + TRACE + b"-00f067aa0ba902b7-01"),)
UNSAMPLED = (("traceparent", b"00-" + TRACE + b"-00f067aa0ba902b7-00"),)
BLOCKED = "We sell cheap followers, buy now at https://spam.example/followers"
OPEN = "I am not sure what to think of the referee in yesterday's match"
GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "messages" / "event").glob("*.json"))


class Stage:
    """Triage with everything real but Kafka and the time."""

    def __init__(self, publisher: Publisher | None = None, **parts: Any) -> None:
        self.clock = ManualClock()
        self.partitions = book(LoopClock(), stage="triage")
        self.partitions.open([(TOPIC, 0)])
        self.publisher = publisher or MemoryPublisher()
        self.tally = Tally()
        self.tracer = MemoryTracer()
        self.orders = Orders()
        self.stopped: list[Exception] = []
        dead_letters = DeadLetters("triage", TOPICS, self.clock)
        settling = Settling(self.publisher, dead_letters, self.tally)
        made = {
            "topics": TOPICS,
            "default_policy": "default",
            "policies": policy_book(),
            "limits": lambda: LIMITS,
            "orders": lambda: self.orders,
            "secret": b"",
            "clock": self.clock,
            "settling": settling,
            "dead_letters": dead_letters,
            "tally": self.tally,
            "tracer": self.tracer,
            "failing": Failing(self.partitions, condemn=settling.condemn, stop_worker=self.stopped.append),
        }
        self.triage = Triage(**made | parts)
        self._next = 0

    async def handle(self, *values: bytes | None, **fields: Any) -> list[Outgoing]:
        """Let a batch of these values through; gives what was written for it."""
        batch = [record._replace(**fields) for record in records(TOPIC, values, first=self._next)]
        self._next += len(batch)
        assert isinstance(self.publisher, MemoryPublisher)
        before = len(self.publisher.records)
        await self.triage.handle(fetched(self.partitions, batch))
        await callbacks_ran()
        assert self.partitions.awaited == 0, "the batch is settled"
        return self.publisher.records[before:]


def event(text: str = OPEN, /, **fields: Any) -> bytes:
    return json.dumps({"v": 1, "id": "post-1", "kind": "moderate", "text": text} | fields).encode()


def of(outgoing: Outgoing) -> Verdict | Pending | DeadLetter:
    """The message in a record."""
    if outgoing.topic == TOPICS.verdicts:
        return decode_verdict(outgoing.value)
    if outgoing.topic == TOPICS.dead_letters:
        return decode_dead_letter(outgoing.value)
    assert outgoing.topic.startswith("pending.")
    return decode_pending(outgoing.value)


def deep(depth: int) -> bytes:
    return b'{"v":1,"id":"post-1","kind":"moderate","text":"x","more":' + b"[" * depth + b"]" * depth + b"}"


# -- what is good ------------------------------------------------------------------------------------------


async def test_what_a_rule_finds_becomes_a_verdict_beside_all_others_on_the_event():
    stage = Stage()
    (outgoing,) = await stage.handle(event(BLOCKED, tenant="acme"))
    verdict = of(outgoing)
    assert isinstance(verdict, Verdict)
    assert (verdict.decided_by, verdict.priority, verdict.rev, verdict.status) == ("rule", "high", 2, "final")
    assert verdict.action in {"block", "review", "label"}
    assert verdict.reasons
    assert (verdict.source.topic, verdict.source.offset) == (TOPIC, 0)
    key = verdict_key("acme", "post-1")
    assert (outgoing.key, outgoing.partition) == (key, BY_KEY)
    assert stage.tally.decided == {"rule": 1}


async def test_what_no_rule_decides_goes_to_the_partition_of_all_copies_of_its_text():
    first, copy, other = await Stage().handle(
        event(id="post-1"), event(id="post-2", author="x"), event(OPEN + "!", id="post-3")
    )
    pending = of(first)
    assert isinstance(pending, Pending)
    assert (first.topic, pending.priority, pending.event.id) == (TOPICS.pending("high"), "high", "post-1")
    assert first.key == copy.key == pending.content_digest.encode()
    assert first.partition == copy.partition == BY_KEY
    assert other.key != first.key


async def test_verdicts_say_how_long_they_waited_in_kafka_and_in_the_worker():
    stage = Stage()
    stage.clock.advance(700)
    (outgoing,) = await stage.handle(event(BLOCKED))
    verdict = of(outgoing)
    assert isinstance(verdict, Verdict)
    assert verdict.timing.kafka_ms + verdict.timing.queue_ms == verdict.timing.total_ms == 700.0


async def test_a_created_at_of_long_ago_changes_nothing():
    (outgoing,) = await Stage().handle(event(BLOCKED, created_at="2001-01-01T00:00:00Z"))
    verdict = of(outgoing)
    assert isinstance(verdict, Verdict)
    assert verdict.timing.total_ms == 0.0


async def test_with_enforcement_off_a_block_becomes_a_review():
    stage = Stage()
    blocked = _a_blocked_text(stage)
    (before,) = await stage.handle(event(blocked))
    stage.orders = Orders(enforce=False)
    (after,) = await stage.handle(event(blocked))
    assert [of(before).action, of(after).action] == ["block", "review"]
    assert "enforce_off" in of(after).reasons


async def test_the_same_id_with_the_same_text_has_one_verdict_id_and_with_another_text_another():
    same, again, edited = [
        of(outgoing)
        for outgoing in await Stage().handle(event(BLOCKED), event(BLOCKED), event(BLOCKED + "!"))
    ]
    assert same.verdict_id == again.verdict_id != edited.verdict_id
    assert same.content_digest == again.content_digest != edited.content_digest


async def test_a_nul_within_a_text_is_a_character_like_others():
    (outgoing,) = await Stage().handle(event("what \x00 is this"))
    pending = of(outgoing)
    assert isinstance(pending, Pending)
    assert pending.event.text == "what \x00 is this"


# -- what is bad -------------------------------------------------------------------------------------------

KEY = b"default/post-1"
BAD = {
    "no value": (None, "malformed_payload", "$", None),
    "empty": (b"", "malformed_payload", "$", None),
    "not JSON": (b"hello {", "malformed_payload", "$", None),
    "another JSON": (b"[1, 2]", "malformed_payload", "$", None),
    "text of a wrong type": (event(text=5), "malformed_payload", "$.text", KEY),
    "id of a wrong type": (event(id=5), "malformed_payload", "$.id", None),
    "no id": (b'{"v":1,"kind":"moderate","text":"x"}', "malformed_payload", "$", None),
    "unknown kind": (event(kind="dance"), "unknown_kind", "$.kind", KEY),
    "unknown version": (event(v=2), "unknown_version", "$.v", KEY),
    "unknown version and shape": (event(v=9, text=[], kind=0), "unknown_version", "$.v", KEY),
    "empty text": (event(""), "malformed_payload", "$.text", KEY),
    "text too large": (event("x" * 20_001), "too_large", "$.text", KEY),
    "record too large": (event("x" * 60_000), "too_large", "$", KEY),
    "10 MB": (event("x" * 10_000_000), "too_large", "$", KEY),
    "invalid UTF-8": (event().replace(b"referee", b"ref\xffree"), "malformed_payload", "$", KEY),
    "lone surrogate": (event("\ud83d"), "malformed_payload", "$", KEY),
    "raw NUL": (event().replace(b"referee", b"ref\x00ree"), "malformed_payload", "$", None),
    "NUL in the id": (event(id="post\x00"), "malformed_payload", "$.id", None),
    "10,000 deep": (deep(10_000), "malformed_payload", "$", None),
    "missing policy": (event(policy="nobody"), "unknown_policy", "$.policy", KEY),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_record_becomes_a_dead_letter_with_the_reason_and_the_original(name):
    value, code, path, key = BAD[name]
    stage = Stage()
    headers = (("x-app", b"forum"), *SAMPLED)
    (outgoing,) = await stage.handle(value, key=b"author", headers=headers)
    letter = of(outgoing)
    assert isinstance(letter, DeadLetter)
    assert (letter.stage, letter.code, letter.path) == ("triage", code, path)
    assert (letter.payload, letter.key) == (value, b"author")
    assert tuple((header.key, header.value) for header in letter.headers) == headers
    assert outgoing.key == key
    assert (letter.source.topic, letter.source.partition, letter.source.offset) == (TOPIC, 0, 0)
    assert (stage.tally.dead_letters, stage.tally.decided) == (1, {})
    assert stage.stopped == []


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_record_among_good_ones_harms_nobody(name):
    good = [event(BLOCKED, id="a"), event(id="b"), event(BLOCKED, id="c"), event(id="d")]
    outgoing = await Stage().handle(*good[:2], BAD[name][0], *good[2:])
    assert [one.topic for one in outgoing] == [
        TOPICS.verdicts,
        TOPICS.pending("high"),
        TOPICS.dead_letters,
        TOPICS.verdicts,
        TOPICS.pending("high"),
    ]


@pytest.mark.parametrize("name", BAD)
async def test_no_dead_letter_quotes_content(name):
    (outgoing,) = await Stage().handle(BAD[name][0])
    letter = of(outgoing)
    assert isinstance(letter, DeadLetter)
    assert "referee" not in letter.detail
    assert "dance" not in letter.detail


class Broken:
    """Policies that raise when they are asked for one of these."""

    def __init__(self, *policy_ids: str) -> None:
        self._policy_ids = policy_ids
        self._policies = policy_book()

    def judging(self) -> Broken:
        return self

    def get(self, policy_id: str) -> Any:
        if policy_id in self._policy_ids:
            raise ZeroDivisionError(policy_id)
        return self._policies.active("default")


@virtual
async def test_a_bug_costs_the_record_that_meets_it_and_nothing_else():
    stage = Stage(policies=Broken("bad"))
    batch = fetched(
        stage.partitions, records(TOPIC, [event(policy="bad"), event(BLOCKED, id="a"), event(id="b")])
    )
    await stage.triage.handle(batch)
    assert [one.topic for one in stage.publisher.records] == [TOPICS.verdicts, TOPICS.pending("high")]
    await callbacks_ran()
    assert stage.partitions.committable() == {(TOPIC, 0): 0}, "the batch is not acknowledged"
    await reaches(lambda: not stage.partitions.awaited)
    outgoing = stage.publisher.records[2]
    letter = of(outgoing)
    assert isinstance(letter, DeadLetter)
    assert (letter.code, letter.detail, outgoing.key) == ("stage_failed", "ZeroDivisionError", KEY)
    assert (stage.tally.errors, stage.tally.dead_letters, stage.tally.decided) == (1, 1, {"rule": 1})
    assert (stage.partitions.committable(), stage.stopped) == ({(TOPIC, 0): 3}, [])


class FullOnce(MemoryPublisher):
    """Fails when it is first asked for room, before anything was handed to it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def room(self, records: int, size_bytes: int) -> None:
        self.asked += 1
        if self.asked == 1:
            raise BufferError


class OrdersLostOnce:
    """Fails when the first verdict is made, after the rules were asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Orders:
        self.asked += 1
        if self.asked == 1:
            raise LookupError
        return Orders()


@virtual
@pytest.mark.parametrize("fails", ["a record", "the batch"])
async def test_a_record_that_is_tried_again_is_counted_once(fails):
    stage = Stage(orders=OrdersLostOnce()) if fails == "a record" else Stage(FullOnce())
    values = [event(BLOCKED, id=f"post-{number}") for number in range(3)]
    batch = fetched(stage.partitions, records(TOPIC, [*values, b"not JSON"]))
    await stage.triage.failing.handle(batch, stage.triage.handle)
    await reaches(lambda: stage.partitions.committable() == {(TOPIC, 0): 4})
    assert stage.partitions.counts.failures == (1 if fails == "a record" else 4)
    status = stage.tally.rules.status()
    assert (status.posts, status.decided) == (3, 3)
    assert status.hits
    assert {hit.hits for hit in status.hits} == {3}
    assert (stage.tally.decided, stage.tally.dead_letters) == ({"rule": 3}, 1)


@virtual
async def test_a_release_that_fails_at_every_event_condemns_none_and_stops_the_worker():
    """What is refused for its own sake passes, and is no evidence that the rest works."""
    stage = Stage(policies=Broken("default"))
    values = [event(id=f"post-{number}") for number in range(20)]
    await stage.triage.handle(fetched(stage.partitions, records(TOPIC, [*values, b"not JSON"])))
    await reaches(lambda: stage.stopped)
    assert [type(reason) for reason in stage.stopped] == [CrashLoop]
    assert [of(one).code for one in stage.publisher.records] == ["malformed_payload"]
    assert stage.partitions.committable() == {(TOPIC, 0): 0}


async def test_where_the_default_policy_is_not_active_events_are_dead_letters_not_lost():
    stage = Stage(policies=policy_book(active=False))
    (outgoing,) = await stage.handle(event())
    assert of(outgoing).code == "unknown_policy"


# -- settling ----------------------------------------------------------------------------------------------


async def test_a_batch_is_settled_only_when_all_that_it_led_to_is_confirmed():
    publisher = FakePublisher()
    stage = Stage(publisher)
    batch = fetched(stage.partitions, records(TOPIC, [event(BLOCKED), event(), b"not JSON"]))
    await stage.triage.handle(batch)
    (handed,) = publisher.handed
    assert len(handed.records) == 3
    await callbacks_ran()
    assert stage.partitions.committable() == {(TOPIC, 0): 0}
    handed.confirm()
    await callbacks_ran()
    assert stage.partitions.committable() == {(TOPIC, 0): 3}


async def test_a_verdict_that_kafka_refuses_becomes_a_dead_letter_with_the_event():
    publisher = FakePublisher()
    stage = Stage(publisher)
    values = [event(BLOCKED, id="a"), event(BLOCKED, id="b")]
    await stage.triage.handle(fetched(stage.partitions, records(TOPIC, values)))
    publisher.handed[0].refuse(1)
    await callbacks_ran()
    (letter,) = [of(one) for one in publisher.handed[1].records]
    assert isinstance(letter, DeadLetter)
    assert (letter.code, letter.payload) == ("msg_size_too_large", values[1])
    assert stage.partitions.awaited == 2
    publisher.handed[1].confirm()
    await callbacks_ran()
    assert stage.partitions.awaited == 0


async def test_nothing_is_published_before_there_is_room():
    publisher = FakePublisher()
    stage = Stage(publisher)
    publisher.has_room.clear()
    handling = asyncio.ensure_future(
        stage.triage.handle(fetched(stage.partitions, records(TOPIC, [event()])))
    )
    await callbacks_ran()
    assert publisher.handed == []
    publisher.has_room.set()
    await handling
    (handed,) = publisher.handed
    assert publisher.asked_room == [(1, size_of(handed.records))]


async def test_a_stage_that_is_cancelled_while_it_waits_for_room_settles_nothing():
    publisher = FakePublisher()
    stage = Stage(publisher)
    publisher.has_room.clear()
    handling = asyncio.ensure_future(
        stage.triage.handle(fetched(stage.partitions, records(TOPIC, [event()])))
    )
    await callbacks_ran()
    handling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handling
    assert (publisher.handed, stage.partitions.awaited) == ([], 1)


async def test_the_loop_is_handed_back_within_a_large_batch():
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    stage = Stage(clock=WorkingClock(ManualClock()))
    other = asyncio.ensure_future(others())
    await stage.handle(*[event(id=f"post-{number}") for number in range(1_000)])
    other.cancel()
    # Each record costs a look at least: four of them fill the 2 ms.
    assert turns >= 200


# -- traces ------------------------------------------------------------------------------------------------


async def test_a_sampled_event_leaves_a_span_and_hands_its_trace_on():
    stage = Stage()
    decided, pending = await stage.handle(event(BLOCKED), event(), headers=SAMPLED)
    spans = stage.tracer.named("triage")
    assert [span.attributes.get("penstock.decided_by") for span in spans] == ["rule", None]
    for outgoing, span in zip((decided, pending), spans, strict=True):
        assert span.context is not None
        assert span.parent is not None
        assert span.parent.trace_id == span.context.trace_id == TRACE.decode()
        assert dict(outgoing.headers) == {"traceparent": span.context.format()}
    assert of(pending).trace_id == ""


async def test_of_an_unsampled_event_the_trace_id_alone_travels_on():
    stage = Stage()
    decided, pending = await stage.handle(event(BLOCKED), event(), headers=UNSAMPLED)
    assert not stage.tracer.spans
    assert (decided.headers, pending.headers) == ((), ())
    assert of(pending).trace_id == TRACE.decode()


@pytest.mark.parametrize("header", [b"", b"00-nonsense", b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01"])
async def test_a_traceparent_that_is_none_is_no_trace_and_no_error(header):
    stage = Stage()
    (pending,) = await stage.handle(event(), headers=(("traceparent", header),))
    assert (pending.headers, of(pending).trace_id, len(stage.tracer.spans)) == ((), "", 0)


# -- any batch ---------------------------------------------------------------------------------------------

hostile = st.builds(
    lambda seed, at, other: mutated(
        Random(seed), GOLDEN[at % len(GOLDEN)].read_bytes(), GOLDEN[other % len(GOLDEN)].read_bytes()
    ),
    st.integers(0, 2**32),
    st.integers(0, 99),
    st.integers(0, 99),
)
values = st.one_of(events().map(encode), hostile, st.binary(max_size=60), st.none())
headers = st.lists(
    st.tuples(st.sampled_from(["traceparent", "other"]), st.binary(max_size=60) | st.just(SAMPLED[0][1])),
    max_size=3,
).map(tuple)


@given(st.lists(st.tuples(values, headers), min_size=1, max_size=12))
def test_each_record_of_any_batch_becomes_exactly_one_record(batch):
    async def scenario() -> None:
        stage = _stage()
        made = [
            FakeRecord(TOPIC, 0, at, value, key=b"k", headers=given_headers)
            for at, (value, given_headers) in enumerate(batch)
        ]
        await stage.triage.handle(fetched(stage.partitions, made))
        await callbacks_ran()
        assert stage.partitions.committable() == {(TOPIC, 0): len(batch)}
        assert [of(one).source.offset for one in stage.publisher.records] == [*range(len(batch))]
        for one, (value, _) in zip(stage.publisher.records, batch, strict=True):
            message = of(one)
            if isinstance(message, DeadLetter):
                assert message.payload == value
                assert message.code in {
                    "unknown_policy",
                    *(error.code for error in WireError.__subclasses__()),
                }
        assert stage.tally.errors == 0

    asyncio.run(scenario())


POLICIES = policy_book()


def _stage() -> Stage:
    """A stage for many examples: compiling the policy anew for each would take most of the time."""
    return Stage(policies=POLICIES)


def _a_blocked_text(stage: Stage) -> str:
    """A text that a live rule of the default policy blocks, taken from the rule's own examples."""
    compiled = stage.triage.policies.active("default")
    assert compiled is not None
    for rule in compiled.policy.rules:
        if rule.action == "block" and rule.mode == "live" and "moderate" in rule.kinds and rule.matches:
            return rule.matches[0]
    raise LookupError("the default policy blocks nothing")


# -- policies ----------------------------------------------------------------------------------------------


def policy_of(version: int, *rules, **fields) -> Policy:
    made = {
        "id": "default",
        "version": version,
        "labels": (Label(name="spam", description="Ads."),),
        "prompts": (Prompt(kind="moderate", text="Judge."), Prompt(kind="scan", text="Judge.")),
        "rules": rules,
    }
    return Policy(**made | fields)


def activate(policies: PolicyBook, policy: Policy) -> None:
    document = encode(policy)
    digest = document_digest(document)
    policies.apply(document_key(digest), document)
    pointer = ActivePolicy(id=policy.id, version=policy.version, digest=digest)
    policies.apply(active_key(policy.id), encode(pointer))
    assert policies.compile_due() == ()


async def test_a_policy_that_arrives_within_a_batch_judges_from_the_next_batch_on():
    policies = policy_book(policy_of(1))
    stage = Stage(policies=policies, clock=WorkingClock(ManualClock()))
    values = [event(id=f"post-{number}") for number in range(100)]
    handling = asyncio.ensure_future(stage.handle(*values))
    # The batch hands the loop back several times; the new version is there from the first time on.
    await asyncio.sleep(0)
    assert not handling.done()
    activate(policies, policy_of(2))
    assert {of(one).policy.version for one in await handling} == {1}
    assert {of(one).policy.version for one in await stage.handle(*values)} == {2}


@pytest.mark.parametrize(("lowered_to", "priority"), [(None, "high"), ("critical", "high"), ("low", "low")])
async def test_a_policy_may_lower_the_priority_of_a_kind_and_never_raises_it(lowered_to, priority):
    prompt = Prompt(kind="moderate", text="Judge.", priority=lowered_to)
    (outgoing,) = await Stage(policies=policy_book(policy_of(1, prompts=(prompt,)))).handle(event())
    assert (outgoing.topic, of(outgoing).priority) == (TOPICS.pending(priority), priority)


@given(st.sampled_from(PRIORITIES), st.none() | st.sampled_from(PRIORITIES), st.sampled_from(KINDS))
def test_no_priority_is_ever_more_urgent_than_its_topics(of_topic, of_policy, kind):
    prompts = (Prompt(kind="moderate", text="Judge.", priority=of_policy),)
    priority = compile_policy(policy_of(1, prompts=prompts)).priority(of_topic, kind)
    asked = of_policy if kind == "moderate" and of_policy else "critical"
    assert PRIORITIES.index(priority) == max(PRIORITIES.index(of_topic), PRIORITIES.index(asked))


async def test_a_kind_may_be_held_to_shorter_texts_than_the_settings_allow():
    prompt = Prompt(kind="moderate", text="Judge.", text_bytes_max=10)
    stage = Stage(policies=policy_book(policy_of(1, prompts=(prompt,))))
    short, long, scan = await stage.handle(event("0123456789"), event("0123456789a"), event(kind="scan"))
    assert isinstance(of(short), Pending)
    assert of(long).code == "too_large"
    assert isinstance(of(scan), Pending)


async def test_what_rules_find_is_counted_by_rule_label_and_mode_and_some_posts_are_measured():
    live = RegexRule(id="x", action="label", label="spam", patterns=("x",))
    trial = RegexRule(id="all", action="block", label="spam", mode="shadow", patterns=(".",))
    stage = Stage(policies=policy_book(policy_of(1, live, trial)))
    ban = {"account": "a", "ground": "g", "kind": "review_ban"}
    values = [event("x" if number % 4 == 0 else "o", id=str(number)) for number in range(COST_SAMPLE)]
    await stage.handle(*values, event(**ban))
    status = stage.tally.rules.status()
    assert (status.posts, status.decided) == (COST_SAMPLE, COST_SAMPLE // 4)
    assert [(hit.rule, hit.label, hit.mode, hit.hits) for hit in status.hits] == [
        ("all", "spam", "shadow", COST_SAMPLE),
        ("x", "spam", "live", COST_SAMPLE // 4),
    ]
    assert [(cost.family, cost.samples) for cost in status.costs] == [("folding", 1), ("regex", 1)]
    assert status.rule_costs == ()


async def test_an_author_who_writes_too_much_is_counted_until_the_partition_is_given_away():
    flood = FloodRule(id="flood", action="label", label="spam", posts_over=2, window_s=10)
    stage = Stage(policies=policy_book(policy_of(1, flood)))
    three = [event(id=str(number), author="a") for number in range(3)]
    assert [one.topic for one in await stage.handle(*three)][2] == TOPICS.verdicts
    assert [one.topic for one in await stage.handle(*three)] == [TOPICS.verdicts] * 3
    stage.partitions.open([(TOPIC, 0)])
    assert [one.topic for one in await stage.handle(*three)][:2] == [TOPICS.pending("high")] * 2


async def test_a_backlog_of_old_posts_is_no_flood():
    flood = FloodRule(id="flood", action="label", label="spam", posts_over=2, window_s=10)
    stage = Stage(policies=policy_book(policy_of(1, flood)))
    for minute in range(20):
        (outgoing,) = await stage.handle(event(author="a"), timestamp=1_700_000_000_000 + minute * 60_000)
        assert outgoing.topic == TOPICS.pending("high")

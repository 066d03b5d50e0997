"""Whatever the schemas allow comes back from its bytes as it was, and its bytes come back from it."""

from __future__ import annotations

import msgspec
import pytest
import strategies as messages
from hypothesis import given

from schemas import wire
from schemas.event import Event

pytestmark = pytest.mark.slow

decode_event = wire.event_decoder(1_000_000)


@given(messages.events())
def test_an_event_comes_back_as_it_was(event: Event):
    data = wire.encode(event)
    assert decode_event(data) == event
    assert wire.encode(decode_event(data)) == data
    assert wire.identity_of(data) == (event.tenant, event.id)


@given(messages.events())
def test_an_event_knows_the_kind_that_it_has_on_the_wire(event: Event):
    assert msgspec.json.decode(wire.encode(event))["kind"] == event.kind


@given(messages.pendings())
def test_a_pending_record_comes_back_as_it_was(pending):
    data = wire.encode(pending)
    assert wire.decode_pending(data) == pending
    assert wire.identity_of_pending(data) == (pending.event.tenant, pending.event.id)


@given(messages.verdicts())
def test_a_verdict_comes_back_as_it_was(verdict):
    assert wire.decode_verdict(wire.encode(verdict)) == verdict


@given(messages.campaigns())
def test_a_campaign_comes_back_as_it_was(campaign):
    assert wire.decode_campaign(wire.encode(campaign)) == campaign


@given(messages.memos())
def test_a_memo_comes_back_as_it_was(memo):
    assert wire.decode_memo(wire.encode(memo)) == memo


@given(messages.dead_letters())
def test_a_dead_letter_comes_back_as_it_was_to_the_last_byte_of_its_payload(letter):
    assert wire.decode_dead_letter(wire.encode(letter)) == letter


@given(messages.policies())
def test_a_policy_comes_back_as_it_was(policy):
    assert wire.decode_policy(wire.encode(policy)) == policy


@given(messages.active_policies())
def test_an_active_policy_comes_back_as_it_was(active):
    assert wire.decode_active_policy(wire.encode(active)) == active


@given(messages.orders())
def test_an_order_comes_back_as_it_was_and_knows_its_subject(order):
    again = wire.decode_control(wire.encode(order))
    assert again == order
    assert again.subject == order.subject


@given(messages.events(), messages.texts)
def test_fields_that_are_not_known_are_ignored(event, text):
    data = wire.encode(event)[:-1] + b',"of_a_newer_release":' + wire.encode({"a": [text]}) + b"}"
    assert decode_event(data) == event


@given(messages.tenants, messages.ids)
def test_no_two_events_share_a_key(tenant, event_id):
    # A tenant has no slash, so the first one ends it.
    key = wire.verdict_key(tenant, event_id).decode()
    assert tuple(key.split("/", 1)) == (tenant, event_id)

"""Whatever bytes arrive, a decoder gives the message or raises a `WireError`, and nothing else ever escapes.

A hundred thousand broken events and twenty thousand of each other message, the same in every run, made of
the golden ones. In the end nothing was left out: the counts are asserted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest
from mutating import MUTATIONS, mutated

from schemas import wire
from schemas.errors import WireError
from schemas.event import EventId, Tenant

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[2] / "golden" / "messages"
# Some of the bombs are larger than this.
RECORD_BYTES_MAX = 50_000

DECODERS = {
    "event": wire.event_decoder(RECORD_BYTES_MAX),
    "verdict": wire.decode_verdict,
    "dead_letter": wire.decode_dead_letter,
    "pending": wire.decode_pending,
    "campaign": wire.decode_campaign,
    "memo": wire.decode_memo,
    "policy": wire.decode_policy,
    "active_policy": wire.decode_active_policy,
    "control": wire.decode_control,
}
# Events come from strangers, the others from us.
PAYLOADS = dict.fromkeys(DECODERS, 20_000) | {"event": 100_000}
OTHERS = [path.read_bytes() for path in sorted(GOLDEN.glob("*/*.json"))]

# All that an error may say: our own words, msgspec's, and names of the schema. Nothing that a payload brings.
TYPES = r"`(str|int|float|bool|bytes|null|array|object|datetime)(\ \|\ null)?`"
DETAIL = re.compile(
    rf"""(a\ key:\ )?(
        JSON\ is\ malformed:\ [a-z0-9\ '":,\[\]{{}}-]+\ \(byte\ \d+\)
      | Input\ data\ was\ truncated
      | not\ valid\ UTF-8 | nested\ too\ deeply | an\ escaped\ surrogate\ without\ its\ other\ half
      | not\ one\ of\ the\ known\ values | a\ field\ that\ is\ not\ known
      | (version\ -?\d{{1,4}}|a\ version\ out\ of\ range),\ this\ release\ reads\ 1
      | this\ release\ reads\ version\ 1
      | \d+\ bytes,\ \d+\ are\ allowed
      | Expected\ {TYPES}(,\ got\ {TYPES})?
      | Expected\ {TYPES}\ (of\ length\ )?[<>]=\ -?[0-9.]+
      | Expected\ `str`\ matching\ regex\ '\^[^']+\\\\Z'
      | Expected\ `datetime`\ with\ a\ timezone\ component
      | Object\ missing\ required\ field\ `[a-z_]+`
      | Invalid\ (RFC3339\ encoded\ datetime|base64\ encoded\ string)
      | (Number|Integer\ value)\ out\ of\ range
    )""",
    re.VERBOSE,
)
PATH = re.compile(r"\$(\.[a-z_]+|\[\d+\]|\[\.\.\.\])*")


def payloads(name: str, count: int) -> Iterator[bytes]:
    """Broken ones, drawn from a seed."""
    random = Random(f"{name} of version {wire.VERSION}")
    whole = [path.read_bytes() for path in sorted((GOLDEN / name).glob("*.json"))]
    return (mutated(random, random.choice(whole), random.choice(OTHERS)) for _ in range(count))


def outcome(name: str, payload: bytes) -> object:
    """The message, or its error; whatever else is raised ends the test."""
    try:
        return DECODERS[name](payload)
    except WireError as refusal:
        return refusal


@pytest.mark.parametrize(("name", "count"), PAYLOADS.items())
def test_every_payload_decodes_or_is_refused_with_a_wire_error(name, count):
    outcomes: Counter[str] = Counter()
    for payload in payloads(name, count):
        match outcome(name, payload):
            case WireError() as refusal:
                outcomes[refusal.code] += 1
                assert DETAIL.fullmatch(refusal.detail), refusal.detail
                assert PATH.fullmatch(refusal.path), refusal.path
            case message:
                outcomes["decoded"] += 1
                # What could be read can be written, and read again.
                assert DECODERS[name](wire.encode(message)) == message

    assert outcomes.total() == count
    # The mutations neither leave everything whole nor break everything in one way.
    assert count * 0.01 < outcomes["decoded"] < count * 0.5
    assert outcomes["unknown_version"] > 0


def test_events_are_refused_for_every_reason_there_is():
    refusals = (outcome("event", payload) for payload in payloads("event", 20_000))
    codes = Counter(refusal.code for refusal in refusals if isinstance(refusal, WireError))
    assert set(codes) == {"malformed_payload", "unknown_version", "unknown_kind", "too_large"}


def test_the_identity_of_any_payload_is_valid_or_empty():
    read = 0
    for payload in payloads("event", 20_000):
        tenant, event_id = wire.identity_of(payload)
        wire.identity_of_pending(payload)
        if event_id:
            read += 1
            msgspec.convert(tenant, type=Tenant)
            msgspec.convert(event_id, type=EventId)
        else:
            assert tenant == ""
    assert 2_000 < read < 18_000


def test_the_payloads_are_the_same_in_every_run_and_hardly_ever_whole():
    some = list(payloads("event", 2_000))
    assert some == list(payloads("event", 2_000))
    assert len(set(some)) > 1_900
    whole = {path.read_bytes() for path in (GOLDEN / "event").glob("*.json")}
    assert sum(payload in whole for payload in some) < 100


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutation_changes_a_message_and_none_fails_on_scraps(mutation):
    random, data = Random(1), OTHERS[0]
    assert len({mutation(random, data, OTHERS[1]) for _ in range(50)} - {data}) > 5
    for scrap in (b"", b"{", b'"', b":", json.dumps({}).encode()):
        assert isinstance(mutation(random, scrap, b""), bytes)

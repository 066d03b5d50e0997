"""Bytes to messages and back: the only place that encodes or decodes what travels through Kafka.

A decoder gives the message or raises a `WireError`, and nothing else, whatever the bytes. Of a field given
twice the last one counts, and each must be valid; a second tag (`kind`, `order`) must equal the first. Fields
that are not known are skipped, and only their JSON is checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec

from schemas.campaign import Campaign
from schemas.control import Control
from schemas.dead_letter import DeadLetter
from schemas.errors import MalformedPayload, TooLarge, UnknownKind, UnknownVersion, WireError
from schemas.event import Event, EventId, Moderate, Scan, Tenant, texts_of
from schemas.memory import Memo
from schemas.pending import Pending
from schemas.policy import ActivePolicy, Policy
from schemas.verdict import Verdict

T = TypeVar("T")

VERSION = 1
POLICY_BYTES_MAX = 4 << 20

encode = msgspec.json.Encoder().encode
"""Any message to its bytes; fields stand in the order of their declaration."""

# What msgspec may raise: besides its own errors, ValueError for bytes that are not UTF-8 and for dates out of
# range, RecursionError for what is nested too deeply, OverflowError for numbers.
_PROBLEMS = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)

# How msgspec names the place: `… - at `$.v`` or, of a map's key, `… - at `key` in `$.context``.
_PLACE = re.compile(r" - at (?P<key>`key` in )?`(?P<path>[^`]*)`\Z")

# Half of a surrogate pair, escaped (`\ud83d` without `\ude00`), which no UTF-8 can say. Lists of escapes are
# passed over without being walked through in Python: a hostile text may be nothing but escapes.
_LONE_SURROGATE = re.compile(
    rb"""(?<!\\)((?:\\\\)*)                        # an even number of backslashes: escaped ones
         \\u[dD](?:
             [89abAB][0-9a-fA-F]{2}                # the first half, without the second after it
             (?!\\u[dD][c-fC-F][0-9a-fA-F]{2})
           | (?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])  # the second half, without the first before it
             [c-fC-F][0-9a-fA-F]{2}
         )""",
    re.VERBOSE,
)


class _Versioned(msgspec.Struct):
    v: object = None


class _Identity(msgspec.Struct):
    id: EventId
    tenant: Tenant = "default"


class _PendingIdentity(msgspec.Struct):
    event: _Identity


_decode_version = msgspec.json.Decoder(_Versioned).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode
_decode_pending_identity = msgspec.json.Decoder(_PendingIdentity).decode


class WireDecoder(Generic[T]):
    """Decodes one kind of message, within a bound of bytes. `tag` is the field that says which one it is."""

    def __init__(self, message: type[T], *, bytes_max: int, tag: str = "") -> None:
        self._decode = msgspec.json.Decoder(message).decode
        self._bytes_max = bytes_max
        self._tag = tag

    def __call__(self, data: bytes | None) -> T:
        """The message, or a `WireError`."""
        if data is None:
            raise MalformedPayload("the record has no value")
        if len(data) > self._bytes_max:
            raise TooLarge(f"{len(data)} bytes, {self._bytes_max} are allowed")
        try:
            return self._decode(data)
        except _PROBLEMS as problem:
            raise self._translated(data, problem) from None

    def _translated(self, data: bytes, problem: Exception) -> WireError:
        """What the decoder's complaint means here.

        1. The bytes are not JSON.
        2. They are, of another version: then nothing else that is wrong with them matters.
        3. So is a message within this one (the event of a pending record), or its kind is not known.
        4. Anything else.
        """
        if not isinstance(problem, msgspec.ValidationError):
            return MalformedPayload(why_not_json(data, problem))
        version = _version_of(data)
        if version is not None and version != VERSION:
            return UnknownVersion(_version_detail(version), "$.v")
        detail, path = _detail_and_path(str(problem))
        field = path.rpartition(".")[2]
        if field == "v" and detail == "not one of the known values":
            return UnknownVersion(f"this release reads version {VERSION}", path)
        if field == self._tag and detail == "not one of the known values":
            return UnknownKind(detail, path)
        return MalformedPayload(detail, path)


def _version_of(data: bytes) -> int | None:
    try:
        version = _decode_version(data).v
    except _PROBLEMS:
        return None
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def _version_detail(version: int) -> str:
    # A number may have four thousand digits, and be content.
    shown = f"version {version}" if abs(version) < 10_000 else "a version out of range"
    return f"{shown}, this release reads {VERSION}"


def why_not_json(data: bytes, problem: Exception) -> str:
    """Why the bytes are not JSON, without quoting them."""
    match problem:
        case RecursionError():
            return "nested too deeply"
        case UnicodeError():
            return "not valid UTF-8"
        case msgspec.DecodeError():
            # msgspec calls some of these truncated, which sends the reader the wrong way.
            return (
                "an escaped surrogate without its other half"
                if _LONE_SURROGATE.search(data)
                else str(problem)
            )
        case _:
            return "not decodable"


def _detail_and_path(complaint: str) -> tuple[str, str]:
    """What msgspec complains of, and where, without what it may quote: values and names of fields."""
    place = _PLACE.search(complaint)
    detail = complaint[: place.start()] if place else complaint
    path = place["path"] if place else "$"
    if detail.startswith(("Invalid enum value", "Invalid value")):
        return "not one of the known values", path
    if detail.startswith("Object contains unknown field"):
        return "a field that is not known", path
    return (f"a key: {detail}" if place and place["key"] else detail), path


@lru_cache(maxsize=8)
def event_decoder(record_bytes_max: int) -> WireDecoder[Event]:
    """A decoder for what apps send; making one costs as much as decoding three posts, so it is kept."""
    return WireDecoder(Event, bytes_max=record_bytes_max, tag="kind")  # type: ignore[arg-type]


# Our own records are bounded by what we wrote; the bound here only keeps a foreign writer out.
_OWN_BYTES_MAX = 32 << 20
decode_pending = WireDecoder(Pending, bytes_max=_OWN_BYTES_MAX, tag="kind")
decode_verdict = WireDecoder(Verdict, bytes_max=_OWN_BYTES_MAX)
decode_dead_letter = WireDecoder(DeadLetter, bytes_max=_OWN_BYTES_MAX)
decode_campaign = WireDecoder(Campaign, bytes_max=1 << 20)
# A memo is bounded by its labels and codes; this is what a node's longest answer could make of them.
decode_memo = WireDecoder(Memo, bytes_max=1 << 20)
decode_policy = WireDecoder(Policy, bytes_max=POLICY_BYTES_MAX, tag="type")
decode_active_policy = WireDecoder(ActivePolicy, bytes_max=POLICY_BYTES_MAX)
decode_control: WireDecoder[Control] = WireDecoder(Control, bytes_max=1 << 20, tag="order")  # type: ignore[arg-type]


def check_text(event: Event, text_bytes_max: int) -> None:
    """Hold every text of an event to the limit, in UTF-8 bytes; how many there may be, the schema says."""
    # A character takes four bytes at most, so most texts need not be encoded to be measured; most events are
    # posts without a context, and a tenth of a microsecond answers for those.
    if len(event.text) * 4 <= text_bytes_max and not event.context and isinstance(event, Moderate | Scan):
        return
    for path, text in texts_of(event):
        if len(text) * 4 > text_bytes_max and (size := len(text.encode())) > text_bytes_max:
            raise TooLarge(f"{size} bytes of text, {text_bytes_max} are allowed", path)


def identity_of(data: bytes | None) -> tuple[str, str]:
    """(tenant, id) of an event that could not be decoded, as far as they can be read; else empty strings.

    What is given is valid as a tenant and an id, whatever else is wrong with the event: its version, its
    kind, a text that is too large, not UTF-8, or has half a surrogate pair.
    """
    found = _tolerantly(_decode_identity, data)
    return (found.tenant, found.id) if found else ("", "")


def identity_of_pending(data: bytes | None) -> tuple[str, str]:
    """The same for the event within a pending record."""
    found = _tolerantly(_decode_pending_identity, data)
    return (found.event.tenant, found.event.id) if found else ("", "")


def _tolerantly(decode: Callable[[bytes], T], data: bytes | None) -> T | None:
    """What can be read once lone surrogates are replaced by what no id may hold."""
    for mend in (False, True):
        try:
            return decode(_LONE_SURROGATE.sub(rb"\1\\u0000", data or b"") if mend else data or b"")
        except msgspec.ValidationError:
            return None
        except _PROBLEMS:
            continue
    return None


def verdict_key(tenant: str, event_id: str) -> bytes:
    """The key of an event's verdicts and dead letters."""
    return f"{tenant}/{event_id}".encode()

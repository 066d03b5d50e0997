"""Bytes to messages and back: the only place that encodes or decodes what travels through Kafka.

A decoder gives the message or raises a `WireError`, and nothing else, whatever the bytes.
"""

from __future__ import annotations

import re
from typing import Generic, TypeVar

import msgspec

from schemas.control import Control
from schemas.dead_letter import DeadLetter
from schemas.errors import MalformedPayload, TooLarge, UnknownKind, UnknownVersion, WireError
from schemas.event import Event
from schemas.pending import Pending
from schemas.policy import ActivePolicy, Policy
from schemas.verdict import Verdict

T = TypeVar("T")

VERSION = 1
POLICY_BYTES_MAX = 4 << 20

encode = msgspec.json.Encoder().encode
"""Any message to its bytes; fields stand in the order of their declaration."""

# `Invalid value … - at `$.v`` is how msgspec names the place.
_PLACE = re.compile(r"^(?P<detail>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN_TAG = re.compile(r"^Invalid value '.*'$", re.DOTALL)


class _Versioned(msgspec.Struct):
    v: object = None


class _Identity(msgspec.Struct):
    id: str = ""
    tenant: str = "default"


_decode_version = msgspec.json.Decoder(_Versioned).decode
_decode_identity = msgspec.json.Decoder(_Identity).decode


class WireDecoder(Generic[T]):
    """Decodes one kind of message, within a bound of bytes."""

    def __init__(self, message: type[T], *, bytes_max: int, tag_path: str | None = None) -> None:
        self._decode = msgspec.json.Decoder(message).decode
        self._bytes_max = bytes_max
        self._tag_path = tag_path

    def __call__(self, data: bytes | None) -> T:
        """The message, or a `WireError`."""
        if data is None:
            raise MalformedPayload("the record has no value")
        if len(data) > self._bytes_max:
            raise TooLarge(f"{len(data)} bytes, {self._bytes_max} are allowed")
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError) as problem:
            raise self._translated(data, problem) from None

    def _translated(self, data: bytes, problem: Exception) -> WireError:
        """What the decoder's complaint means here."""
        if not isinstance(problem, msgspec.ValidationError):
            return MalformedPayload(_reason(problem))
        version = _version_of(data)
        if isinstance(version, int) and not isinstance(version, bool) and version != VERSION:
            return UnknownVersion(f"version {version}, this release reads {VERSION}", "$.v")
        place = _PLACE.match(str(problem))
        path = (place and place["path"]) or "$"
        detail = _without_content((place and place["detail"]) or "")
        if path == self._tag_path and detail.startswith("Invalid value"):
            return UnknownKind("not a known one", path)
        return MalformedPayload(detail, path)


def _version_of(data: bytes) -> object:
    try:
        return _decode_version(data).v
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return None


def _reason(problem: Exception) -> str:
    """Why the bytes are not JSON, without quoting them."""
    match problem:
        case RecursionError():
            return "nested too deeply"
        case UnicodeError():
            return "not valid UTF-8"
        case msgspec.DecodeError():
            return str(problem)
        case _:
            return "not decodable"


def _without_content(detail: str) -> str:
    """msgspec quotes an unknown enum value; that may be content."""
    return "Invalid value" if detail.startswith("Invalid enum value") or _UNKNOWN_TAG.match(detail) else detail


def event_decoder(record_bytes_max: int) -> WireDecoder[Event]:
    """A decoder for what apps send."""
    return WireDecoder(Event, bytes_max=record_bytes_max, tag_path="$.kind")  # type: ignore[arg-type]


# Our own records are bounded by what we wrote; the bound here only keeps a foreign writer out.
_OWN_BYTES_MAX = 32 << 20
decode_pending = WireDecoder(Pending, bytes_max=_OWN_BYTES_MAX)
decode_verdict = WireDecoder(Verdict, bytes_max=_OWN_BYTES_MAX)
decode_dead_letter = WireDecoder(DeadLetter, bytes_max=_OWN_BYTES_MAX)
decode_policy = WireDecoder(Policy, bytes_max=POLICY_BYTES_MAX)
decode_active_policy = WireDecoder(ActivePolicy, bytes_max=POLICY_BYTES_MAX)
decode_control: WireDecoder[Control] = WireDecoder(Control, bytes_max=1 << 20, tag_path="$.order")  # type: ignore[arg-type]


def check_text(event: Event, text_bytes_max: int) -> None:
    """Hold the texts of an event to the limit, in UTF-8 bytes."""
    size = len(event.text.encode())
    if size > text_bytes_max:
        raise TooLarge(f"{size} bytes of text, {text_bytes_max} are allowed", "$.text")


def identity_of(data: bytes | None) -> tuple[str, str]:
    """(tenant, id) of an event that could not be decoded, as far as they can be read; else empty strings."""
    try:
        found = _decode_identity(data or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return "", ""
    return (found.tenant, found.id) if found.id else ("", "")


def verdict_key(tenant: str, event_id: str) -> bytes:
    """The key of an event's verdicts and dead letters."""
    return f"{tenant}/{event_id}".encode()

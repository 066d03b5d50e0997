"""Events that a person sends: made from words, files and JSON lines, and judged as triage will judge them.

Nothing is sent here. A mistake is told before Kafka sees it, with its place; an event's content never is.
"""

from __future__ import annotations

import argparse
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

import msgspec

from infra.errors import ExitCode, Failure
from infra.wording import told_of_event
from schemas.errors import TooLarge, WireError
from schemas.event import Event
from schemas.settings import LimitSettings
from schemas.wire import WireDecoder, check_text, event_decoder, why_not_json

# One that ends so holds an event on each line.
_LINES_SUFFIXES = {".jsonl", ".ndjson"}
# Read at most: more is too large by any setting.
_FILE_BYTES_MAX = 32 << 20


class Mistake(Failure):
    """What was given is no event."""


class Draft(NamedTuple):
    """One event, ready to be sent as these bytes."""

    event: Event
    value: bytes

    @property
    def key(self) -> bytes:
        """The author's, so that one author's events stay in order; without one, the event's own."""
        return (self.event.author or self.event.id).encode()


def drafts(args: argparse.Namespace, limits: LimitSettings, stdin: BinaryIO) -> Iterator[Draft]:
    """The events that the command line asks for; a `Failure` for the first that is none."""
    fields = fields_of(args)
    decode = event_decoder(limits.record_bytes_max)
    if args.file is not None and Path(args.file).suffix in _LINES_SUFFIXES:
        with _open(args.file) as lines:
            yield from _of_lines(lines, fields, decode, limits)
    elif args.file is not None:
        yield _draft({"text": _text_of(args.file)} | fields, decode, limits, "The event")
    elif args.text == "-":
        yield from _of_lines(stdin, fields, decode, limits)
    else:
        yield _draft(
            {"text": utf8(args.text, "set the terminal's locale, or use --file")} | fields,
            decode,
            limits,
            "The event",
        )


def fields_of(args: argparse.Namespace) -> dict[str, object]:
    """What the flags say of each event."""
    given = {
        "kind": args.kind,
        "id": args.id,
        "tenant": args.tenant,
        "author": args.author,
        "deadline_ms": args.deadline_ms,
        "context": dict(map(pair, args.context)) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _of_lines(
    lines: Iterable[bytes], fields: dict[str, object], decode: WireDecoder[Event], limits: LimitSettings
) -> Iterator[Draft]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why = (
                "a byte order mark stands before it"
                if line.startswith(BOM_UTF8)
                else why_not_json(line, error).removeprefix("JSON is malformed: ")
            )
            raise _mistake(f"Line {number}", f"not JSON: {why}", "give one JSON object a line") from None
        if not isinstance(found, dict):
            raise _mistake(f"Line {number}", "not a JSON object", "give one JSON object a line")
        yield _draft(found | fields, decode, limits, f"Line {number}")


def _draft(fields: dict[str, object], decode: WireDecoder[Event], limits: LimitSettings, what: str) -> Draft:
    whole = {"v": 1, "id": uuid4().hex, "kind": "moderate"} | fields
    try:
        value = msgspec.json.encode(whole)
        event = decode(value)
        check_text(event, limits.text_bytes_max)
    except WireError as error:
        advice = "see docs/messages.md"
        if isinstance(error, TooLarge):
            advice = (
                "send less, or raise limits.text_bytes_max or limits.record_bytes_max on the workers, too"
            )
        if what == "The event" and fields.get("kind") not in {None, "moderate", "scan"}:
            advice = "send this kind as JSON lines (`penstock send -`), with all its fields"
        raise _mistake(
            what, f"{told_of_event(error.detail, error.path, error.code)} (at {error.path})", advice
        ) from None
    except UnicodeEncodeError:
        raise _mistake(what, "it holds half a character (a lone surrogate)", "send UTF-8") from None
    return Draft(event, value)


def pair(given: str) -> tuple[str, str]:
    """What a context has under a name, as the command line gives it: `NAME=VALUE`."""
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise _mistake("--context", "it is not NAME=VALUE", "repeat it for each of several")
    return utf8(name), utf8(value)


def _text_of(name: str) -> str:
    with _open(name) as file:
        data = file.read(_FILE_BYTES_MAX)
    try:
        return data.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise _mistake(
            f"The file {name}", f"not UTF-8 at byte {error.start}", "convert it, with iconv for example"
        ) from None


def _open(name: str) -> BinaryIO:
    try:
        return Path(name).open("rb")
    except OSError as error:
        raise _mistake(f"The file {name}", f"cannot be read ({error.strerror})", "name another") from None


def utf8(text: str, advice: str = "set the terminal's locale") -> str:
    """Words of the command line: bytes that are no UTF-8 come as lone surrogates, which no JSON can carry."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _mistake("The text", "not UTF-8", advice)
    return text


def _mistake(what: str, problem: str, advice: str) -> Mistake:
    return Mistake(f"{what}: {problem}; {advice}.", exit_code=ExitCode.USAGE)

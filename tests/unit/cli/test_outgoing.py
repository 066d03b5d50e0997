"""What a person sends is checked before Kafka sees it, and a mistake is one sentence without content."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ExitCode, Failure
from infra.outgoing import Draft, drafts
from schemas.event import ReviewBan, Scan
from schemas.settings import LimitSettings

LIMITS = LimitSettings()


def _drafts(text: str | None = None, *, stdin: bytes = b"", **given: object) -> list[Draft]:
    flags = {"file": None, "kind": None, "id": None, "tenant": None, "author": None, "deadline_ms": None}
    args = argparse.Namespace(**(flags | {"text": text, "context": []} | given))
    return [*drafts(args, LIMITS, io.BytesIO(stdin))]


def test_a_text_becomes_a_post_with_an_id_of_its_own() -> None:
    (one,), (other,) = _drafts("Hello"), _drafts("Hello")
    assert (one.event.kind, one.event.text, one.event.tenant) == ("moderate", "Hello", "default")
    assert len(one.event.id) == 32
    assert one.event.id != other.event.id
    assert one.key == one.event.id.encode()


def test_flags_say_what_they_say_of_the_event() -> None:
    (draft,) = _drafts(
        "Hello",
        kind="scan",
        id="post-1",
        tenant="forum",
        author="ann",
        deadline_ms=500,
        context=["title=A=B", "x="],
    )
    event = draft.event
    assert isinstance(event, Scan)
    assert (event.id, event.tenant, event.deadline_ms) == ("post-1", "forum", 500)
    assert event.context == {"title": "A=B", "x": ""}
    assert draft.key == b"ann"


def test_lines_hold_events_of_any_kind_and_keep_fields_that_are_unknown_here() -> None:
    lines = (
        b'{"text": "one", "new": 1}\n\n'
        b'{"kind": "review_ban", "id": "b", "account": "ann", "ground": "spam"}\n'
    )
    one, other = _drafts("-", stdin=lines)
    assert json.loads(one.value)["new"] == 1
    assert isinstance(other.event, ReviewBan)


def test_a_file_is_one_text_or_an_event_a_line_by_its_ending(tmp_path: Path) -> None:
    text, lines = tmp_path / "post.txt", tmp_path / "posts.jsonl"
    text.write_text('{"text": "not JSON here"}\nsecond line\n')
    lines.write_text('{"text": "one"}\n{"text": "two"}\n')
    (whole,) = _drafts(file=str(text))
    assert whole.event.text == '{"text": "not JSON here"}\nsecond line'
    assert [draft.event.text for draft in _drafts(file=str(lines))] == ["one", "two"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"text": ""}, r"The event: must not be empty \(at \$\.text\)"),
        (
            {"text": "x" * 70_000},
            r"The event: 70000 bytes of text, 65536 are allowed .*limits\.text_bytes_max",
        ),
        ({"text": "x" * 10_000_000}, r"The event: 10000\d+ bytes, 1000000 are allowed"),
        ({"text": "bad \udcff byte"}, r"The text: not UTF-8"),
        ({"text": "x", "id": "a\nb"}, r"an id must not hold line breaks .* \(at \$\.id\)"),
        ({"text": "x", "tenant": "no blanks"}, r"must be 1 to 64 letters, .* \(at \$\.tenant\)"),
        ({"text": "x", "deadline_ms": 0}, r"at \$\.deadline_ms"),
        ({"text": "x", "context": ["nothing"]}, r"--context: it is not NAME=VALUE"),
        ({"text": "x", "kind": "review_ban"}, r"`account`.*JSON lines"),
        ({"file": "/no/such/file"}, r"The file /no/such/file: cannot be read \(No such file"),
        ({"text": "-", "stdin": b'{"text": "x"}\nnope\n'}, r"Line 2: not JSON: invalid character"),
        ({"text": "-", "stdin": b"[1]\n"}, r"Line 1: not a JSON object"),
        ({"text": "-", "stdin": b'{"text": "\xff"}\n'}, r"Line 1: not JSON: not valid UTF-8"),
        ({"text": "-", "stdin": b'\xef\xbb\xbf{"text": "x"}\n'}, r"Line 1: not JSON: a byte order mark"),
        ({"text": "-", "stdin": b'{"text": "\\ud83d"}\n'}, r"Line 1: not JSON: an escaped surrogate without"),
        (
            {"text": "-", "stdin": b'{"kind": "moan"}\n'},
            r"Line 1: must be one of moderate, .* \(at \$\.kind\)",
        ),
        ({"text": "-", "stdin": b"[" * 10_000}, r"Line 1: not JSON: nested too deeply"),
        ({"text": "-", "stdin": b'{"text": "x", "v": 9}\n'}, r"Line 1: version 9"),
    ],
)
def test_a_mistake_is_told_with_its_place(given: dict[str, object], sentence: str) -> None:
    with pytest.raises(Failure, match=sentence) as failed:
        _drafts(**given)  # type: ignore[arg-type]
    assert failed.value.exit_code == ExitCode.USAGE


def test_a_file_that_is_no_text_is_told_with_the_byte(tmp_path: Path) -> None:
    (tmp_path / "post.txt").write_bytes(b"abc\xff")
    with pytest.raises(Failure, match="not UTF-8 at byte 3"):
        _drafts(file=str(tmp_path / "post.txt"))


@given(st.binary(max_size=300))
def test_whatever_a_line_holds_it_is_an_event_or_a_mistake_of_the_user(line: bytes) -> None:
    try:
        found = _drafts("-", stdin=line)
    except Failure as failure:
        assert failure.exit_code == ExitCode.USAGE  # noqa: PT017  Either outcome is right.
    else:
        assert all(draft.event.id for draft in found)

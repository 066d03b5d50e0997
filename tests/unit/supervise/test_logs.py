"""A child's log holds its lines in order, each with its time and name, within the bounds of size."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infra.supervise.logs import LINE_BYTES_MAX, Lines, RotatingLog

AT_MS = 1_700_000_000_123
PREFIX = b"2023-11-14T22:13:20.123Z node | "


def test_each_line_carries_its_time_and_the_childs_name() -> None:
    assert Lines("node").feed(b"one\ntwo\r\nthr", AT_MS) == [PREFIX + b"one\n", PREFIX + b"two\n"]


def test_a_line_that_comes_in_pieces_is_one_line() -> None:
    lines = Lines("node")
    assert lines.feed(b"on", AT_MS) == []
    assert lines.feed(b"e\nt", AT_MS) == [PREFIX + b"one\n"]
    assert lines.flush(AT_MS) == [PREFIX + b"t\n"]
    assert lines.flush(AT_MS) == []


def test_the_last_line_that_says_something_is_remembered_within_a_bound() -> None:
    lines = Lines("node")
    lines.feed(b"penstock: No.\n  \n\n", AT_MS)
    assert lines.last_line == "penstock: No."
    lines.feed(b"\xff" + b"x" * 9_000 + b"\n", AT_MS)
    assert lines.last_line.startswith("\ufffdx")
    assert len(lines.last_line) == 500


def test_a_complaint_is_remembered_with_its_further_lines_and_forgotten_when_the_child_goes_on() -> None:
    lines = Lines("node")
    lines.feed(b"starting\npenstock: Two mistakes:\n  one\n  two\n", AT_MS)
    assert lines.complaint == "Two mistakes:\n  one\n  two"
    lines.feed(b"well, then\n", AT_MS)
    assert lines.complaint == ""


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_nothing_is_lost_however_the_stream_is_cut(chunks: list[bytes]) -> None:
    lines = Lines("node")
    written = [line for chunk in chunks for line in lines.feed(chunk, AT_MS)] + lines.flush(AT_MS)
    whole = b"".join(chunks)
    expected = [line.rstrip(b"\r") for line in whole.split(b"\n")]
    if not whole.endswith(b"\n") and whole:
        assert [line[len(PREFIX) : -1] for line in written] == expected
    else:
        assert [line[len(PREFIX) : -1] for line in written] == expected[:-1]


def test_a_line_without_an_end_is_broken_before_it_fills_the_memory() -> None:
    lines = Lines("node")
    written = [line for _ in range(10) for line in lines.feed(b"x" * LINE_BYTES_MAX, AT_MS)]
    assert len(written) == 9
    assert {len(line) for line in written} == {len(PREFIX) + LINE_BYTES_MAX + 1}


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 4))
def test_the_files_stay_within_their_bounds_and_hold_the_newest_lines(sizes: list[int], files: int) -> None:
    import tempfile  # noqa: PLC0415  A directory for each example.

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs" / "node.log"
        log = RotatingLog(path, bytes_max=500, files_max=files)
        lines = [str(n % 10).encode() * (size - 1) + b"\n" for n, size in enumerate(sizes)]
        for line in lines:
            log.write([line])
        log.close()
        found = sorted(path.parent.glob("*"), key=lambda file: (len(file.name), file.name), reverse=True)
        assert len(found) <= files
        assert all(file.stat().st_size <= 500 for file in found)
        kept = b"".join(file.read_bytes() for file in found)
        assert b"".join(lines).endswith(kept)
        assert bool(kept) == bool(lines)


def test_a_log_that_exists_is_continued(tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        log = RotatingLog(tmp_path / "node.log", bytes_max=100, files_max=2)
        log.write([line])
        log.close()
    assert (tmp_path / "node.log").read_bytes() == b"one\ntwo\n"


def test_what_cannot_be_written_is_counted_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    log = RotatingLog(tmp_path / "logs" / "node.log", bytes_max=100, files_max=2)
    log.write([b"one\n", b"two\n"])
    assert log.lines_dropped == 2
    (tmp_path / "logs").unlink()
    log.write([b"three\n"])
    log.close()
    assert (tmp_path / "logs" / "node.log").read_bytes() == b"three\n"

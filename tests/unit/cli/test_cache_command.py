"""`penstock cache`: what it finds in the changelog, what it says of it, and what it refuses to order."""

from __future__ import annotations

from argparse import Namespace

import pytest
from hypothesis import given
from msgspec.structs import replace
from samples import MEMO
from strategies import memos

from infra.cli import main
from infra.cli.cache_actions import figures, purged, span_ms
from infra.clients import Found
from infra.errors import ExitCode, Failure
from infra.memos import Remembered, remembered, standing, told
from schemas.memory import Memo
from schemas.verdict import ModelRef, ScoredLabel
from schemas.wire import encode
from streams.core.cuts import Cuts
from streams.observing import MemoryStatus
from streams.ports import MemoryStats


def record(memo: Memo | None, question: str = "", *, value: bytes | None = None) -> Found:
    key = question or (memo.question_digest if memo else "")
    return Found("memory", 0, 0, 0, key.encode(), encode(memo) if memo else value)


# -- lookup --


def test_a_content_has_an_answer_for_each_question_and_the_latest_stands() -> None:
    other = replace(MEMO, question_digest="4" * 32)
    later = replace(MEMO, action="block")
    assert standing(map(record, (MEMO, other, later)), MEMO.content_digest) == [later, other]


def test_a_question_is_found_by_its_own_digest() -> None:
    assert standing([record(MEMO)], MEMO.question_digest) == [MEMO]
    assert standing([record(MEMO)], "e" * 32) == []


def test_what_a_record_without_a_value_forgets_is_not_shown() -> None:
    assert standing([record(MEMO), record(None, MEMO.question_digest)], MEMO.content_digest) == []


def test_an_answer_that_was_replaced_by_one_about_something_else_is_not_shown() -> None:
    foreign = record(replace(MEMO, content_digest="e" * 32, question_digest="e" * 32), MEMO.question_digest)
    assert standing([record(MEMO), foreign], MEMO.content_digest) == []


def test_what_is_no_memo_is_passed_by() -> None:
    broken = record(None, "5" * 32, value=b'{"v":1,"content_digest":"%b"}' % MEMO.content_digest.encode())
    assert standing([broken, record(MEMO)], MEMO.content_digest) == [MEMO]


def test_a_digest_that_stands_elsewhere_in_a_memo_is_not_what_it_is_about() -> None:
    assert standing([record(MEMO)], MEMO.original.verdict_id) == []


def test_a_newer_release_is_named_as_such() -> None:
    newer = record(None, MEMO.question_digest, value=encode(MEMO).replace(b'"v":1', b'"v":2'))
    with pytest.raises(Failure) as failure:
        standing([newer], MEMO.content_digest)
    assert failure.value.exit_code == ExitCode.UNKNOWN_VERSION


TTL_MS = 7 * 86_400_000


def standing_now(memo: Memo) -> Remembered:
    return remembered(memo, Cuts(), memo.judged_at_ms, TTL_MS)


def test_an_answer_stands_no_longer_than_workers_reuse_any() -> None:
    def state(now_ms: int, ttl_ms: int) -> tuple[str, int]:
        one = remembered(MEMO, Cuts(), now_ms, ttl_ms)
        return one.state, one.stands_until_ms

    judged_ms, until_ms = MEMO.judged_at_ms, MEMO.expires_at_ms
    assert state(until_ms - 1, TTL_MS) == ("answers", until_ms)
    assert state(until_ms, TTL_MS) == ("expired", until_ms)
    assert state(judged_ms + 999, 1_000) == ("answers", judged_ms + 1_000)
    assert state(judged_ms + 1_000, 1_000) == ("expired", judged_ms + 1_000)


def test_an_answer_is_told_with_who_gave_it_and_until_when() -> None:
    memo = replace(MEMO, action="block", labels=(ScoredLabel(name="spam", score=0.93),))
    assert list(told(standing_now(memo))) == [
        "block   answers    spam 0.93",
        f"  question {'3' * 32}, content {'1' * 32}, moderate",
        "  by model m-7b on gpu-0, 90% sure, policy default version 1",
        "  judged 1970-01-01 00:00:01, stands until 1970-01-02 00:00:01 (UTC)",
        "  first asked about forum/post",
    ]
    assert "by a person" in "".join(told(standing_now(replace(memo, model=None))))


def test_what_a_stranger_chose_cannot_steer_the_terminal() -> None:
    hostile = "\x1b[2J\u202e"
    memo = replace(
        MEMO,
        original=replace(MEMO.original, id=hostile),
        model=ModelRef(name=hostile, node=hostile),
        reasons=(hostile,),
    )
    assert all(line.isprintable() for line in told(standing_now(memo)))


@given(memos())
def test_every_memo_can_be_told(memo: Memo) -> None:
    lines = list(told(standing_now(memo)))
    assert len(lines) == 5
    assert all(line.isprintable() for line in lines)


# -- stats --


def test_the_figures_of_several_workers_are_added_up() -> None:
    one = MemoryStats(entries=10, bytes=1_500_000, hits_memory=6, hits_disk=3, misses=1, expired=2, evicted=4)
    other = MemoryStats(entries=5, bytes=500_000, misses=10, read_only=True)
    assert list(figures([MemoryStatus(figures=one), MemoryStatus(figures=other)])) == [
        "remembered 15 answers in 2.0 MB",
        "asked      20: 6 (30.0%) answered from memory, 3 (15.0%) from disk, 11 (55.0%) unknown",
        "let go     2 expired, 4 for room",
        "READ-ONLY  on 1 of 2 workers: nothing new is kept on disk, and the log says why",
    ]


def test_a_worker_that_was_asked_nothing_yet_is_told_as_well() -> None:
    assert next(iter(figures([MemoryStatus()]))) == "remembered 0 answers in 0.0 MB"
    assert len(list(figures([MemoryStatus()]))) == 3


# -- purge --


def asked(**flags: object) -> Namespace:
    return Namespace(**{"policy": None, "model": None, "all": False, "older_than": None} | flags)


@pytest.mark.parametrize(
    ("flags", "subject"),
    [
        ({"policy": "default"}, ("policy", "default")),
        ({"model": "m/7b", "older_than": "2h"}, ("model", "m/7b")),
        ({"all": True}, ("all", "")),
        ({"older_than": "2h"}, ("all", "")),
    ],
)
def test_a_purge_says_which_answers(flags: dict[str, object], subject: tuple[str, str]) -> None:
    assert purged(asked(**flags)) == subject


@pytest.mark.parametrize(
    "flags", [{}, {"policy": ""}, {"model": "m" * 201}, {"model": "\udcff"}, {"policy": "a\nb"}]
)
def test_a_purge_of_nothing_in_particular_is_refused(flags: dict[str, object]) -> None:
    with pytest.raises(Failure) as failure:
        purged(asked(**flags))
    assert failure.value.exit_code == ExitCode.USAGE


def test_an_empty_span_is_a_mistake_and_not_everything() -> None:
    """As a shell makes it of a variable that nobody has set."""
    settings = ("--set", "kafka.bootstrap=127.0.0.1:1")
    assert main([*settings, "cache", "purge", "--all", "--older-than", ""]) == ExitCode.USAGE


@pytest.mark.parametrize(
    ("said", "ms"), [("90s", 90_000), ("30m", 1_800_000), ("2h", 7_200_000), ("7d", 604_800_000)]
)
def test_a_span_is_a_number_and_a_unit(said: str, ms: int) -> None:
    assert span_ms(said) == ms


@pytest.mark.parametrize("said", ["", "2", "h", "-2h", "2 h", "2w", "2h\n", "٢h", "1.5h"])
def test_a_span_that_is_none_is_refused(said: str) -> None:
    with pytest.raises(Failure) as failure:
        span_ms(said)
    assert failure.value.exit_code == ExitCode.USAGE

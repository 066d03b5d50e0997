"""Why a worker stopped: the code of each reason, what may be told of it, and where the runbook goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    TopicAuthorizationFailedError,
)

from infra.errors import ExitCode, Failure
from infra.reasons import RUNBOOK, code_of, heading, is_told, last_words, told
from infra.supervise.deciding import Death, GiveUp, Restart, restart_or_give_up
from schemas.errors import UnknownVersion
from schemas.settings import SuperviseSettings
from streams.continuity import PositionLost
from streams.failing import CrashLoop
from streams.membership import Fenced
from streams.partitions import TopicPartition
from streams.rescuing import Damaged

PAGE = (Path(__file__).parents[2] / RUNBOOK).read_text(encoding="utf-8")
AWAY = (
    "Kafka does not answer any more ({}): see that its brokers run and that kafka.bootstrap leads to them, "
    "then start again"
)
FORBIDDEN = (
    "Kafka does not let our user read the {0} {1}: let an administrator give it the right READ on that {0}"
)


def wrapped(reason: Exception) -> Exception:
    """As a library hands it on."""
    wrapper = RuntimeError("crashed")
    wrapper.__cause__ = reason
    return wrapper


REASONS = [
    (KafkaConnectionError("Unable to bootstrap"), 3, AWAY.format("KafkaConnectionError")),
    (wrapped(NodeNotReadyError()), 3, AWAY.format("NodeNotReadyError")),
    (GroupAuthorizationFailedError("penstock.judge"), 17, FORBIDDEN.format("group", "penstock.judge")),
    (TopicAuthorizationFailedError({"b", "a"}), 17, FORBIDDEN.format("topic", "a, b")),
    (TopicAuthorizationFailedError("policy"), 17, FORBIDDEN.format("topic", "policy")),
    (KafkaError("what it quotes"), 1, "KafkaError"),
    (wrapped(ValueError("the content itself")), 1, "RuntimeError"),
    (Failure("No broker answers.", exit_code=ExitCode.KAFKA_UNREACHABLE), 3, "No broker answers."),
    (
        PositionLost(TopicPartition("t", 1), expected=4, earliest=9),
        11,
        "t/1: 5 records from 4 on are gone",
    ),
    (UnknownVersion("$.v", "2"), 13, None),
    (Damaged("t", 1, 5), 18, "t/1: the batch of records at 5 is damaged on the broker, by its checksum"),
    (
        CrashLoop("triage", ValueError("content"), records=7, tries=6),
        14,
        "triage failed at all of 7 records, 6 times in a row: ValueError",
    ),
    (Fenced("w.triage"), 16, "another process has joined the group as w.triage, and does its work"),
    (ValueError("the content itself"), 1, "ValueError"),
]


@pytest.mark.parametrize(("reason", "code", "sentence"), REASONS, ids=lambda value: str(value)[:20])
def test_each_reason_has_its_code_and_its_sentence(reason, code, sentence):
    assert code_of(reason) == code
    assert told(reason) == (sentence or str(reason))
    assert is_told(reason) == (code != ExitCode.UNEXPECTED)


@pytest.mark.parametrize("code", [code for code in ExitCode if 0 < code < 100])
def test_the_runbook_has_a_paragraph_for_each_code_and_the_last_words_name_it(code):
    title = f"### {heading(code)}\n"
    assert PAGE.count(title) == 1
    paragraph = PAGE.partition(title)[2].partition("\n### ")[0].strip()
    assert len(paragraph) > 40
    assert last_words(code, "A reason.").splitlines()[-1].endswith(f'"{heading(code)}".')


def test_the_last_words_are_one_line_unless_the_reason_has_several():
    assert (
        last_words(ExitCode.CRASH_LOOP, "triage failed")
        == 'triage failed. What to do: docs/operations.md, "Exit code 14: crash loop".'
    )
    said = last_words(ExitCode.TOPICS, "Two topics:\n  a\n  b")
    assert said.splitlines()[-1] == '  What to do: docs/operations.md, "Exit code 4: topics".'


def test_up_tells_a_crash_loop_with_its_reason():
    settings = SuperviseSettings(restarts_max=2)
    said = last_words(ExitCode.CRASH_LOOP, "triage failed at all of 7 records")
    deaths = [Death(at_ms, ExitCode.CRASH_LOOP, was_ever_ready=True, last_words=said) for at_ms in (1, 2, 3)]
    assert isinstance(restart_or_give_up(deaths[:2], 2, settings), Restart)
    gives_up = restart_or_give_up(deaths, 3, settings)
    assert isinstance(gives_up, GiveUp)
    assert gives_up.exit_code == ExitCode.CHILD_KEPT_DYING
    assert "exit code 14, crash loop" in gives_up.reason
    assert "triage failed at all of 7 records" in gives_up.reason

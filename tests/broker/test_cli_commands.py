"""The operator's commands on a running Penstock: what they do, show, and exit with."""

from __future__ import annotations

import io
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from deadline import until
from upped import upped

from infra import cli
from infra.clients import Writer, reach
from infra.errors import ExitCode
from infra.policies import default_policy_path
from infra.settings import Sources, read
from streams.topics import Topics

DEFAULT_POLICY = default_policy_path().read_text()
# What the rules let pass, and the reference node blocks.
THREAT = "I will find you and kill you, you worthless idiot"


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def flags(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Run one Penstock for all tests of this module; the flags with which commands find it."""
    prefix = f"t{uuid.uuid4().hex[:12]}."
    with upped(tmp_path_factory.mktemp("commands"), kafka, prefix) as data_dir:
        yield [
            f"--data-dir={data_dir}",
            f"--bootstrap={kafka}",
            f"--set=topics.prefix={prefix}",
            "--set=topics.partitions=2",
        ]


@pytest.fixture
def penstock(flags: list[str], capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`penstock …`, as a user runs it."""

    def run(*words: str) -> Said:
        code = cli.main([*flags, *words])
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def event_id() -> str:
    return f"post-{uuid.uuid4().hex[:12]}"


def test_a_text_is_sent_and_its_verdict_shown(penstock: Callable[..., Said], event_id: str) -> None:
    said = penstock("send", "Good morning everyone", "--id", event_id, "--wait")
    assert (said.code, said.err) == (ExitCode.OK, "")
    assert said.out.startswith("allow   rule ")
    assert f"default/{event_id}" in said.out


def test_a_model_is_asked_about_what_the_rules_leave_open(
    penstock: Callable[..., Said], event_id: str
) -> None:
    said = penstock("send", THREAT, "--id", event_id, "--tenant", "forum", "--wait", "--json")
    verdict = json.loads(said.out)
    assert (verdict["id"], verdict["tenant"], verdict["decided_by"]) == (event_id, "forum", "model")
    assert verdict["action"] == "block"
    assert verdict["timing"]["inference_ms"] > 0


def test_lines_from_standard_input_are_each_answered(
    penstock: Callable[..., Said], event_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"".join(b'{"id": "%s-%d", "text": "Thanks!"}\n' % (event_id.encode(), n) for n in range(20))
    # An edited post keeps its id, and each of its texts has its verdict.
    lines += b'{"id": "%s-0", "text": "Many thanks!"}\n' % event_id.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    said = penstock("send", "-", "--wait", "--json", "--priority", "medium")
    assert said.code == ExitCode.OK
    verdicts = [json.loads(line) for line in said.out.splitlines()]
    assert {verdict["id"] for verdict in verdicts} == {f"{event_id}-{n}" for n in range(20)}
    assert len(verdicts) == 21
    assert {verdict["priority"] for verdict in verdicts} == {"medium"}


def test_a_mistake_in_the_middle_says_how_much_was_sent_before_it(
    penstock: Callable[..., Said], event_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b'{"id": "%s-1", "text": "Thanks!"}\n\n{"text": "Thanks!"}\nnope\n' % event_id.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    said = penstock("send", "-")
    assert said.code == ExitCode.USAGE
    assert said.out.count("\n") == 2
    assert "Line 4: not JSON: " in said.err
    assert "What stands before it was sent (2 events): mend it, and send from it on." in said.err


def test_an_older_policy_is_shown_and_comes_back_under_a_new_number(
    penstock: Callable[..., Said], tmp_path: Path
) -> None:
    versions = []
    for version in (1, 2):
        text = DEFAULT_POLICY.replace('id = "default"', 'id = "mine"')
        file = tmp_path / f"{version}.toml"
        text = text.replace("reuse_confidence = 0.6", f"reuse_confidence = 0.{version}")
        file.write_text(re.sub(r"\nversion = \d+\n", f"\nversion = {version}\n", text))
        assert penstock("policy", "push", str(file)).code == ExitCode.OK
        versions.append(json.loads(penstock("policy", "show", "mine", "--json").out))
    old = json.loads(penstock("policy", "show", "mine", "--version", "1", "--json").out)
    assert [old, old == versions[1]] == [versions[0], False]
    back = tmp_path / "back.json"
    back.write_text(json.dumps(old))
    refused = penstock("policy", "push", str(back))
    assert "policy rollback mine" in refused.err
    back.write_text(json.dumps(old | {"version": 3}))
    assert penstock("policy", "push", str(back)).code == ExitCode.OK
    missing = penstock("policy", "show", "mine", "--version", "9")
    assert "There is no version 9 of the policy mine (there are: 1, 2, 3)." in missing.err


def test_an_edited_post_under_the_same_id_gets_a_verdict_of_its_own(
    penstock: Callable[..., Said], event_id: str
) -> None:
    first, again, edited = (
        json.loads(penstock("send", text, "--id", event_id, "--wait", "--json").out)
        for text in ("Good morning everyone", "Good morning everyone", "Congratulations!")
    )
    assert first["verdict_id"] == again["verdict_id"] != edited["verdict_id"]
    said = penstock("verdicts", "--from-start", "--no-follow", "--id", event_id, "--json")
    assert [json.loads(line)["verdict_id"] for line in said.out.splitlines()] == [
        first["verdict_id"],
        edited["verdict_id"],
    ]
    everything = penstock("verdicts", "--from-start", "--no-follow", "--id", event_id, "--all")
    assert everything.out.count(event_id) == 3


def test_verdicts_are_filtered_counted_and_begun_a_little_before_the_end(
    penstock: Callable[..., Said], event_id: str
) -> None:
    for number in range(4):
        assert penstock("send", "Well done", "--id", f"{event_id}-{number}", "--wait").code == ExitCode.OK
    last = penstock("verdicts", "--last", "3", "--no-follow", "--json")
    assert [json.loads(line)["id"] for line in last.out.splitlines()] == [
        f"{event_id}-{n}" for n in (1, 2, 3)
    ]
    two = penstock("verdicts", "--from-start", "--until", "2", "--action", "allow", "--decided-by", "rule")
    assert two.out.count("\n") == 2
    assert penstock("verdicts", "--from-start", "--no-follow", "--tenant", "nobody").out == ""


def test_a_paused_priority_waits_and_is_judged_after_it_is_resumed(
    penstock: Callable[..., Said], event_id: str
) -> None:
    said = penstock("pause", "high")
    assert said.out == "high paused: obeyed by worker-1\n"
    assert "paused: high" in penstock("status").out
    waiting = penstock(
        "send", "Well done", "--id", event_id, "--priority", "high", "--wait", "--timeout", "1"
    )
    assert waiting.code == ExitCode.TIMED_OUT
    assert f"No verdict on {event_id} within 1 s" in waiting.err
    until(lambda: _lag_of_workers(penstock) == 1, within_s=10, what="the worker knows what waits")
    assert penstock("send", "Well done", "--wait").code == ExitCode.OK
    assert penstock("resume").out == "all resumed: obeyed by worker-1\n"
    until(
        lambda: penstock("verdicts", "--from-start", "--no-follow", "--id", event_id).out,
        within_s=20,
        what="the waiting event has its verdict",
    )


def _lag_of_workers(penstock: Callable[..., Said]) -> int:
    workers = json.loads(penstock("status", "--json").out)["workers"].values()
    return sum(
        partition["lag"]
        for worker in workers
        for stage in worker["stages"]
        for partition in stage["partitions"]
    )


def test_while_enforcing_is_off_a_block_becomes_a_review(penstock: Callable[..., Said]) -> None:
    assert penstock("enforce", "off").out == "enforce off: obeyed by worker-1\n"
    assert json.loads(penstock("send", THREAT, "--wait", "--json").out)["action"] == "review"
    assert penstock("enforce", "on").out == "enforce on: obeyed by worker-1\n"
    assert json.loads(penstock("send", THREAT, "--wait", "--json").out)["action"] == "block"


def test_what_cannot_be_read_is_a_dead_letter_whose_content_is_shown_on_demand_only(
    penstock: Callable[..., Said], flags: list[str], event_id: str
) -> None:
    settings = read(Sources.of(cli._shared_flags().parse_args(flags, cli._Defaults()))).settings  # noqa: SLF001
    writer = Writer(settings, reach(settings))
    value = json.dumps({"v": 1, "id": event_id, "kind": "moderate", "text": ""}) + "\x1b[2J"
    writer.write(Topics.of(settings.topics).content("low"), b"key", value.encode())
    writer.flush()

    def letters(*words: str) -> list[str]:
        return penstock("dead-letters", *words).out.splitlines()

    until(lambda: [one for one in letters() if "malformed_payload" in one], within_s=20)
    assert {json.loads(one)["payload"] for one in letters("--json")} == {None}
    shown = [one for one in letters("--show-content") if event_id in one]
    assert shown
    assert "\\x1b[2J" in shown[-1]


def test_the_status_shows_everything_for_a_person_and_for_a_program(penstock: Callable[..., Said]) -> None:
    said = penstock("status")
    assert said.code == ExitCode.OK
    for words in (
        "kafka ",
        "worker-1  ready",
        "triage: 8 partitions",
        "judge: 8 partitions",
        "policy default",
    ):
        assert words in said.out
    picture = json.loads(penstock("status", "--json").out)
    assert picture["workers"]["worker-1"]["ready"] is True
    assert len(picture["lag"]) == 8


def test_the_doctor_finds_nothing_to_mend(penstock: Callable[..., Said]) -> None:
    said = penstock("doctor")
    assert said.code == ExitCode.OK, said.out
    assert "fail" not in said.out
    assert "ok    worker-1" in said.out
    assert "ok    topics           14, all as the table says" in said.out


def test_without_a_worker_the_status_says_so_and_an_order_is_kept_for_later(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = [f"--data-dir={tmp_path}", *flags[1:]]
    assert cli.main([*elsewhere, "status"]) == ExitCode.NOT_RUNNING
    assert "No worker runs for the data directory" in capsys.readouterr().err
    assert cli.main([*elsewhere, "enforce", "on"]) == ExitCode.OK
    assert "no worker runs for this data directory to be asked" in capsys.readouterr().out


def test_a_topic_that_does_not_exist_is_told_with_what_to_do(
    kafka: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--bootstrap={kafka}", f"--data-dir={tmp_path}", "--set=topics.prefix=nowhere.", "send", "x"]
    assert cli.main(words) == ExitCode.TOPICS
    told = capsys.readouterr().err
    assert "The topic nowhere.content.critical does not exist" in told
    assert "`penstock topics create`" in told

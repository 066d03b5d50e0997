"""Policies in a real Kafka: published once, replaced by higher versions only, read back as they were."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from infra.cli import main
from infra.clients import Writer, reach
from infra.errors import ExitCode, Failure
from infra.policies import default_policy_path, read
from infra.policy_topic import push, push_if_none, read_book, roll_back
from infra.topics import ensure
from schemas.settings import KafkaSettings, Settings, TopicSettings
from streams.core.policies import document_key
from streams.core.rules import compile_policy
from streams.topics import Topics


@pytest.fixture
def settings(kafka, topics_prefix):
    """Give settings under which all topics have been made."""
    made = Settings(
        kafka=KafkaSettings(bootstrap=kafka), topics=TopicSettings(prefix=topics_prefix, partitions=1)
    )
    ensure(made, reach(made))
    return made


@pytest.fixture
def version(tmp_path):
    """Give the default policy in another version."""

    def of(number: int):
        file = Path(tmp_path / f"{number}.toml")
        text = default_policy_path().read_text(encoding="utf-8")
        file.write_text(re.sub(r"\nversion = \d+\n", f"\nversion = {number}\n", text), encoding="utf-8")
        return read(file)

    return of


def test_what_is_published_is_read_back_as_it_was(settings, version):
    assert read_book(settings).pointers() == ()
    assert push(version(1), settings) == "active"
    book = read_book(settings)
    assert book.pointer("default").digest == version(1).ref.digest
    assert book.document(version(1).ref.digest).policy == version(1).policy
    assert book.compile_due() == ()
    assert book.active("default").ref == version(1).ref


def test_the_same_policy_is_published_once(settings, version):
    assert push(version(1), settings) == "active"
    assert push(version(1), settings) == "already_active"
    assert read_book(settings).pointer("default").history == ()


def test_a_higher_version_replaces_and_the_history_remembers(settings, version):
    push(version(1), settings)
    push(version(3), settings)
    with pytest.raises(Failure, match="give it version 4 or more") as refused:
        push(version(2), settings)
    assert refused.value.exit_code is ExitCode.POLICY
    pointer = read_book(settings).pointer("default")
    assert (pointer.version, pointer.history) == (3, (version(1).ref.digest,))


def test_a_former_document_comes_back_and_the_history_tells_it(settings, version, capsys):
    flags = ["--bootstrap", settings.kafka.bootstrap, "--set", f"topics.prefix={settings.topics.prefix}"]
    for number in (1, 2, 3):
        push(version(number), settings)
    assert main([*flags, "policy", "rollback", "default"]) == ExitCode.OK
    assert read_book(settings).pointer("default").version == 2
    assert main([*flags, "policy", "rollback", "default", "--to", "1"]) == ExitCode.OK
    pointer = read_book(settings).pointer("default")
    assert (pointer.version, pointer.digest) == (1, version(1).ref.digest)
    assert pointer.history == tuple(version(number).ref.digest for number in (1, 2, 3, 2))
    assert main([*flags, "policy", "rollback", "default", "--to", version(3).ref.digest]) == ExitCode.OK
    assert read_book(settings).pointer("default").version == 3
    assert main([*flags, "policy", "rollback", "default", "--to", "3"]) == ExitCode.OK
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("default version 2 (")
    assert told[-1].endswith("is active already")


def test_after_going_back_a_number_that_was_used_names_no_other_document(settings, version):
    push(version(1), settings)
    push(version(3), settings)
    book = read_book(settings)
    roll_back(book.pointer("default"), book.document(version(1).ref.digest), settings)
    other = replace(version(3).policy, reuse_confidence=0.9)
    with pytest.raises(Failure, match="give it version 4 or more"):
        push(compile_policy(other), settings)
    assert push(compile_policy(replace(other, version=4)), settings) == "active"


@pytest.mark.parametrize(
    ("wanted", "told"), [("9", "no version 9"), ("x" * 32, "was ever active"), ("", "no older document")]
)
def test_what_was_never_active_cannot_come_back(settings, version, capsys, wanted, told):
    flags = ["--bootstrap", settings.kafka.bootstrap, "--set", f"topics.prefix={settings.topics.prefix}"]
    push(version(1), settings)
    assert main([*flags, "policy", "rollback", "default", "--to", wanted]) == ExitCode.POLICY
    assert told in capsys.readouterr().err


def test_a_text_is_explained_by_the_active_policy(settings, version, capsys):
    flags = ["--bootstrap", settings.kafka.bootstrap, "--set", f"topics.prefix={settings.topics.prefix}"]
    assert main([*flags, "policy", "explain", "--text", "Thanks!"]) == ExitCode.POLICY
    push(version(5), settings)
    assert main([*flags, "policy", "explain", "--text", "Thanks!"]) == ExitCode.OK
    said = capsys.readouterr()
    assert "is active: name a FILE" in said.err
    assert said.out.startswith("policy default version 5 (")
    assert "decided: allow" in said.out


def test_the_policy_of_the_house_never_replaces_a_chosen_one(settings, version):
    assert push_if_none(version(2), settings)
    assert not push_if_none(version(9), settings)
    assert read_book(settings).pointer("default").version == 2


def test_the_command_can_be_told_to_leave_a_chosen_policy_alone(settings, version, capsys):
    flags = ["--bootstrap", settings.kafka.bootstrap, "--set", f"topics.prefix={settings.topics.prefix}"]
    assert main([*flags, "policy", "push", "--if-none"]) == ExitCode.OK
    assert "is published and active" in capsys.readouterr().out

    push(version(7), settings)
    assert main([*flags, "policy", "push", "--if-none"]) == ExitCode.OK
    assert capsys.readouterr().out == "a policy default is active already: nothing is published\n"
    assert main([*flags, "policy", "push"]) == ExitCode.POLICY
    assert read_book(settings).pointer("default").version == 7


def test_without_topics_the_failure_says_how_to_make_them(kafka, topics_prefix, version):
    bare = Settings(kafka=KafkaSettings(bootstrap=kafka), topics=TopicSettings(prefix=topics_prefix))
    with pytest.raises(Failure, match="penstock topics create") as failure:
        push(version(1), bare)
    assert failure.value.exit_code is ExitCode.TOPICS


def test_a_policy_of_a_newer_release_is_told_as_such(settings, version):
    writer = Writer(settings, reach(settings))
    writer.write(Topics.of(settings.topics).policy, document_key("0" * 32), b'{"v":2}')
    writer.flush()
    with pytest.raises(Failure, match=r"policy/0@0 with the key `doc/0+` .* Update this one") as failure:
        push(version(1), settings)
    assert failure.value.exit_code is ExitCode.UNKNOWN_VERSION
    writer.write(Topics.of(settings.topics).policy, document_key("0" * 32), None)
    writer.flush()
    assert push(version(1), settings) == "active"


MOMENT = r"20[0-9-]{8} [0-9:]{8} UTC"


def test_the_command_publishes_shows_and_tells_the_history(settings, capsys):
    flags = ["--bootstrap", settings.kafka.bootstrap, "--set", f"topics.prefix={settings.topics.prefix}"]
    assert main([*flags, "policy", "show", "default"]) == ExitCode.POLICY
    assert main([*flags, "policy", "push"]) == ExitCode.OK
    assert main([*flags, "policy", "push"]) == ExitCode.OK
    said = capsys.readouterr()
    assert "penstock policy push FILE" in said.err
    assert [line.partition(") ")[2] for line in said.out.splitlines()] == [
        "is published and active",
        "is active already",
    ]

    assert main([*flags, "policy", "show", "--json"]) == ExitCode.OK
    (row,) = json.loads(capsys.readouterr().out)
    version = read(default_policy_path()).policy.version
    assert (row["id"], row["version"]) == ("default", version)
    assert main([*flags, "policy", "show", "default"]) == ExitCode.OK
    assert "rule short-and-plain: allow" in capsys.readouterr().out
    assert main([*flags, "policy", "show", "default", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["labels"][0]["name"] == "spam"
    assert main([*flags, "policy", "history"]) == ExitCode.OK
    assert re.fullmatch(
        rf"{row['digest']}  version {version}  published {MOMENT}  active since {MOMENT}\n",
        capsys.readouterr().out,
    )

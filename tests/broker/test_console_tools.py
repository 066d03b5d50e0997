"""Kafka's own console tools (Java) produce an event and read its verdict: no code of ours in between."""

from __future__ import annotations

import json
import subprocess

import pytest
from upped import upped

from infra.embedded import EmbeddedKafka
from schemas.settings import EmbeddedSettings

PRODUCER = "org.apache.kafka.tools.ConsoleProducer"
CONSUMER = "org.apache.kafka.tools.consumer.ConsoleConsumer"
WITHIN_S = 90


@pytest.fixture
def tool(tmp_path, kafka):
    """Run one of Kafka's tools against the broker; gives what it printed."""
    ours = EmbeddedKafka(tmp_path / "tools", EmbeddedSettings())

    def run(main_class: str, *arguments: str, fed: str = "") -> str:
        command = ours.tool_command(main_class, "--bootstrap-server", kafka, *arguments)
        done = subprocess.run(
            command, input=fed, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_an_event_of_the_console_producer_is_answered_to_the_console_consumer(
    tool, kafka, topics_prefix, tmp_path
):
    event = {"v": 1, "id": "console-1", "kind": "moderate", "text": "Have a nice day, everybody here."}
    with upped(tmp_path, kafka, topics_prefix):
        tool(
            PRODUCER,
            *("--topic", f"{topics_prefix}content.critical"),
            *("--reader-property", "parse.key=true", "--reader-property", "key.separator=|"),
            fed=f"author-1|{json.dumps(event)}\n",
        )
        printed = tool(
            CONSUMER,
            *("--topic", f"{topics_prefix}verdicts", "--from-beginning"),
            *("--max-messages", "1", "--timeout-ms", "60000"),
            *("--formatter-property", "print.key=true", "--formatter-property", "key.separator=|"),
        )

    key, _, value = printed.strip().partition("|")
    verdict = json.loads(value)
    assert key == "default/console-1"
    assert verdict["id"] == "console-1"
    assert verdict["action"] in {"allow", "label", "review", "block"}
    assert verdict["timing"]["total_ms"] > 0


def test_what_is_not_an_event_is_read_as_a_dead_letter(tool, kafka, topics_prefix, tmp_path):
    with upped(tmp_path, kafka, topics_prefix):
        tool(PRODUCER, "--topic", f"{topics_prefix}content.low", fed="this is not JSON\n")
        printed = tool(
            CONSUMER,
            *("--topic", f"{topics_prefix}dead-letters", "--from-beginning"),
            *("--max-messages", "1", "--timeout-ms", "60000"),
        )

    letter = json.loads(printed)
    assert letter["stage"] == "triage"
    assert letter["source"]["topic"] == f"{topics_prefix}content.low"

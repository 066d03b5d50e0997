"""The bench of the fast path: contenders write what they should, and a missing peer meets no target."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from infra.bench.engine_suite.arena import PARTITIONS, ROOT, Arena
from infra.bench.engine_suite.pacing import Pacer
from infra.bench.triage_suite import cost
from infra.bench.triage_suite.ground import job_for, stage_topics
from infra.bench.triage_suite.peers import PEERS, NoEnvironment, Peer, interpreter_of
from infra.bench.triage_suite.work import Work, dated_post, texts, values
from schemas.event import Source
from schemas.wire import decode_verdict
from streams.topics import Topics

RECORDS = 2_000


@pytest.fixture
def arena(kafka: str, topics_prefix: str, tmp_path: Path) -> Arena:
    return Arena(kafka, tmp_path, (), prefix=topics_prefix)


@pytest.mark.parametrize("contender", ["plain loop", "stage"])
def test_a_contender_decides_half_and_passes_on_the_rest(contender, arena):
    topics = stage_topics(arena)
    arena.fill(topics.content("critical"), RECORDS, values())
    outcome = arena.run(job_for(arena, contender, topics, RECORDS))
    assert sum(arena.ends(topics.verdicts)) == RECORDS // 2
    assert sum(arena.ends(topics.pending("critical"))) == RECORDS // 2
    assert outcome.records == RECORDS
    assert outcome.cpu_us > 0


def test_topics_that_are_given_back_are_gone(arena):
    topics = stage_topics(arena)
    arena.fill(topics.verdicts, 10, [b"x"])
    arena.delete(topics.verdicts)
    arena.made(topics.verdicts)
    assert sum(arena.ends(topics.verdicts)) == 0


def test_a_verdict_comes_back_with_its_latency(arena):
    topics = stage_topics(arena)
    job = job_for(arena, "plain loop", topics, 200)
    pacer = Pacer(arena.bootstrap, topics.content("critical"), topics.verdicts, partitions=PARTITIONS)
    with arena.running(job) as contender:
        found = pacer.send(dated_post(), 200, 1_000)
        contender.outcome()
    pacer.close()
    assert len(found) == 200
    assert all(latency_ms > 0 for _, latency_ms in found)


def test_the_posts_are_of_300_characters_and_every_second_one_is_decided():
    work, source = Work(Topics()), Source(topic="content.critical", partition=0, offset=1, timestamp_ms=0)
    assert {len(text) for text in texts()} == {300}
    made = [work(value, source) for value in values()]
    assert Counter(one.topic for one in made) == {"verdicts": 500, "pending.critical": 500}
    assert all(decode_verdict(one.value).action == "block" for one in made if one.topic == "verdicts")


def figures(**others):
    return {
        "plain loop us": 40.0,
        "plain loop /s": 20_000.0,
        "stage us": 45.0,
        "stage /s": 20_000.0,
        "decision us": 15.0,
        "work us": 35.0,
    } | {f"{name} us": us for name, us in others.items()}


def missed(**others):
    return [one.what for one in cost.findings(figures(**others)) if not one.is_met]


def test_a_peer_that_is_not_there_is_a_target_missed():
    assert missed(**{"Bytewax": 55.0, "Quix Streams": 75.0}) == []
    assert missed(**{"Bytewax": 50.0, "Quix Streams": 75.0}) == ["the engine's overhead, Bytewax"]
    assert missed(Bytewax=55.0) == ["the engine's overhead, Quix Streams"]


def test_a_peer_that_cannot_be_installed_is_told_with_the_reason(tmp_path):
    requirements = tmp_path / "peer-nobody.txt"
    requirements.write_text("-r nowhere.txt\n", encoding="utf-8")
    with pytest.raises(NoEnvironment, match="nowhere"):
        interpreter_of(Peer("Nobody", requirements, 0.5), tmp_path)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_peers_have_our_matcher_in_our_version(peer):
    ours = _locked(ROOT / "requirements" / "runtime.txt")
    theirs = _locked(peer.requirements)
    for matcher in ("ahocorasick-rs", "google-re2", "confusable-homoglyphs", "msgspec"):
        assert theirs[matcher] == ours[matcher]


def _locked(requirements: Path) -> dict[str, str]:
    pinned = [
        line.split()[0] for line in requirements.read_text(encoding="utf-8").splitlines() if "==" in line
    ]
    return dict(pin.split("==", 1) for pin in pinned)

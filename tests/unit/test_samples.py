"""The labelled sample that Penstock brings along, and what its policy does on it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from infra.errors import Failure
from infra.policies import default_policy_path, read
from infra.samples import OK, Post, default_sample_path, read_sample, scored


@pytest.fixture(scope="module")
def score():
    return scored(read(default_policy_path()), read_sample(default_sample_path()))


def test_the_default_policy_decides_about_half_of_ordinary_traffic(score):
    assert score.posts >= 1_000
    assert 0.45 <= score.share <= 0.60


def test_the_default_policy_blocks_nothing_that_may_stay(score):
    blocked = [one for _, one in score.decided if one.action == "block"]
    assert len(blocked) > 30
    assert [post.text for post, _ in score.wrong_blocks] == []


def test_the_default_policy_allows_nothing_that_is_harmful(score):
    assert score.count("allow") > 300
    assert [post.text for post, _ in score.wrong_allows] == []


def test_the_sample_has_the_make_up_that_is_told():
    told = (default_sample_path().parent / "sample.md").read_text(encoding="utf-8")
    posts = read_sample(default_sample_path())
    for sort, count in Counter(post.sort for post in posts).items():
        assert f"| {sort} | {count} |" in told
    labels = {label.name for label in read(default_policy_path()).policy.labels}
    assert {post.truth for post in posts} <= labels | {OK}


def test_a_score_tells_what_is_wrong():
    posts = [
        Post("Thanks!", "spam"),
        Post("Buy followers $5 www.x.example", OK),
        Post("What do you make of yesterday's match?", OK),
    ]
    score = scored(read(default_policy_path()), posts)
    assert [post.text for post, _ in score.wrong_allows] == ["Thanks!"]
    assert [post.text for post, _ in score.wrong_blocks] == ["Buy followers $5 www.x.example"]
    assert list(score.told())[:3] == [
        "decided 2 of 3 posts, 66.7% (allow 1, block 1)",
        "wrong blocks 1",
        "wrong allows 1",
    ]


@pytest.mark.parametrize("line", ["", "{", '{"text": 1, "truth": "ok"}', '{"text": "x"}', "\xff"])
def test_a_sample_that_cannot_be_read_is_told_with_its_line(tmp_path, line):
    file = tmp_path / "sample.jsonl"
    file.write_bytes((json.dumps({"text": "a", "truth": "ok"}) + "\n" + line + "\n").encode("latin-1"))
    with pytest.raises(Failure, match="line 2"):
        read_sample(file)

"""`penstock policy` without a broker: what it says of files, and with which exit code."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from infra.cli import main
from infra.cli.policy_published import before, document_lines, history_lines
from infra.cli.policy_stats import told
from infra.errors import ExitCode
from infra.policies import default_policy_path, read
from infra.policy_topic import Published, successor_of
from schemas.policy import ActivePolicy
from schemas.verdict import PolicyRef
from schemas.wire import encode
from streams.core.digest import document_digest
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.rules import Document, Finding
from streams.observing import RulesStatus, RuleTally


def test_the_policy_that_penstock_brings_along_has_no_mistakes(capsys):
    assert main(["policy", "check"]) == ExitCode.OK
    assert "no mistakes in 11 labels" in capsys.readouterr().out


def test_test_tells_of_every_rule(capsys):
    assert main(["policy", "test"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert "repetition: matches 3, lets pass 3, as it should" in lines
    assert len(lines) == 15


@pytest.mark.parametrize("command", ["check", "test", "push"])
def test_a_bad_policy_is_exit_code_5_before_any_kafka_is_looked_for(command, tmp_path, capsys):
    file = tmp_path / "bad.toml"
    file.write_text('id = "x"\nversion = "one"\nlabels = []\n')
    assert main(["policy", command, str(file)]) == ExitCode.POLICY
    said = capsys.readouterr()
    assert said.out == ""
    assert "$.version" in said.err
    assert "Traceback" not in said.err


def test_a_file_that_is_not_there_is_exit_code_5(tmp_path, capsys):
    assert main(["policy", "check", str(tmp_path / "none.toml")]) == ExitCode.POLICY
    assert "cannot be read" in capsys.readouterr().err


def test_without_a_kafka_a_good_policy_is_not_published(tmp_path, capsys):
    assert main(["--data-dir", str(tmp_path), "policy", "push"]) == ExitCode.KAFKA_UNREACHABLE
    assert "penstock kafka start" in capsys.readouterr().err


def test_the_name_of_a_file_cannot_steer_the_terminal(tmp_path, capsys):
    assert main(["policy", "check", str(tmp_path / "a\x1b[2J.toml")]) == ExitCode.POLICY
    assert "\x1b" not in capsys.readouterr().err


FILE = """
id = "mine"
version = 1
labels = [{ name = "spam", description = "Ads." }]
prompts = [{ kind = "moderate", text = "Judge." }]

[[rules]]
id = "ads"
type = "terms"
label = "spam"
action = "block"
evasion = true
terms = ["cheap likes"]
matches = ["cheap likes"]
passes = ["likes"]

[[rules]]
id = "trial"
type = "shape"
label = "spam"
action = "label"
mode = "shadow"
capitals_share = 0.5
matches = ["EVERYBODY LOOK AT THIS NOW"]
passes = ["ok"]

[[rules]]
id = "friends"
type = "allow"
action = "allow"
authors = ["alice"]
matches = ["alice"]
passes = ["bob"]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(FILE)
    return str(path)


def explained(capsys, file, *arguments):
    assert main(["policy", "explain", file, *arguments]) == ExitCode.OK
    return capsys.readouterr().out.splitlines()


def test_a_text_is_explained_with_rule_form_span_and_decision(file, capsys):
    lines = explained(capsys, file, "--text", "NOW: CH3AP L1KES, EVERYBODY LOOK \x1b[2J")
    assert not any("\x1b" in line for line in lines)
    (ads,) = [line for line in lines if " ads: " in line]
    assert ads.split()[0] == "live"
    assert 'block spam; evaded form, characters 5 to 16: "CH3AP L1KES"' in ads
    (trial,) = [line for line in lines if " trial: " in line]
    assert trial.split()[0] == "shadow"
    assert trial.endswith("label spam; the whole text")
    assert any(line.startswith("hides invisible, disguised") for line in lines)
    assert lines[-1] == "decided: block (spam), by rule:ads"


def test_an_author_is_explained_and_a_text_that_is_left_to_a_model(file, capsys):
    lines = explained(capsys, file, "--text", "whatever", "--author", "alice")
    assert any(line.endswith("friends: allow; by the author") for line in lines)
    assert lines[-1] == "decided: allow, by rule:friends"
    assert explained(capsys, file, "--text", "whatever")[-1] == "undecided: a model judges"


def test_a_content_digest_that_is_told_is_the_one_that_an_allow_rule_knows(file, capsys, tmp_path):
    arguments = ("--text", "cheap likes")
    (line,) = [line for line in explained(capsys, file, *arguments) if line.startswith("content digest ")]
    digest = line.removeprefix("content digest ")
    knowing = tmp_path / "knowing.toml"
    knowing.write_text(FILE.replace('authors = ["alice"]', f'authors = ["alice"]\ndigests = ["{digest}"]'))
    assert explained(capsys, str(knowing), *arguments)[-1] == "decided: allow, by rule:friends"


@pytest.mark.parametrize("arguments", [["--text", ""], ["--text", "x", "--kind", "review_ban"], []])
def test_what_cannot_be_explained_is_a_mistake_of_usage(file, arguments):
    with contextlib.suppress(SystemExit):
        assert main(["policy", "explain", file, *arguments]) == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["--text", "caf\udce9"],
        ["--text", "x", "--author", "\udce9"],
        ["--text", "x", "--tenant", "\udce9"],
        ["--text", "x", "--context", "title=\udce9"],
        ["--text", "x", "--context", "\udce9=title"],
        ["--text", "x", "--context", "title"],
    ],
)
def test_words_that_are_no_utf_8_and_a_context_without_a_name_are_mistakes_of_usage(file, arguments, capsys):
    assert main(["policy", "explain", file, *arguments]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "not UTF-8" in said or "not NAME=VALUE" in said


def test_a_context_keeps_what_is_short_and_harmless_from_being_allowed_as_in_triage(capsys, tmp_path):
    short = tmp_path / "short.toml"
    rule = 'id = "short"\ntype = "length"\naction = "allow"\ncharacters_max = 9'
    rule += '\nmatches = ["ok"]\npasses = ["k1"]'
    short.write_text(f"{FILE}\n[[rules]]\n{rule}\n")
    assert explained(capsys, str(short), "--text", "do it")[-1] == "decided: allow, by rule:short"
    lines = explained(capsys, str(short), "--text", "do it", "--context", "parent=Should I jump?")
    assert lines[-1] == "undecided: a model judges"


def test_a_mistake_is_told_with_line_and_column(file, capsys, tmp_path):
    bad = tmp_path / "bad.toml"
    text = FILE.replace('mode = "shadow"', 'mode = "shadw"')
    bad.write_text(text.replace('action = "block"', 'actoin = "block"'))
    assert main(["policy", "check", str(bad)]) == ExitCode.POLICY
    _, missing, action, mode = capsys.readouterr().err.splitlines()
    assert missing == "  line 7, column 1: $.rules[0] (rule ads): the field `action` is missing"
    assert action.startswith(
        "  line 11, column 1: $.rules[0] (rule ads): there is no field `actoin`; did you mean"
    )
    assert mode.startswith("  line 22, column 8: $.rules[1].mode (rule trial): must be one of `live`, ")
    assert mode.endswith("; did you mean `shadow`?")


def test_the_score_of_the_house_is_told(capsys):
    assert main(["policy", "score", "--wrong"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("decided ")
    assert lines[1] == "wrong blocks 0"


def test_a_sample_that_is_not_there_is_told(tmp_path, capsys):
    assert main(["policy", "score", "--sample", str(tmp_path / "none.jsonl")]) == ExitCode.USAGE
    assert "cannot be read" in capsys.readouterr().err


def test_stats_without_a_worker_say_so(tmp_path, capsys):
    assert main(["--data-dir", str(tmp_path), "policy", "stats"]) == ExitCode.NOT_RUNNING
    assert "No worker" in capsys.readouterr().err


AT_ONCE = "all its rules are looked for at once, so none has a cost of its own"


def test_stats_of_several_workers_are_added_up():
    tally = RuleTally()
    tally.posts, tally.decided = 10, 4
    tally.found([Finding("ads", "spam", "block", "live"), Finding("trial", "spam", "label", "shadow")])
    tally.found([Finding("ads", "spam", "block", "live")])
    tally.cost("terms", 0.25)
    tally.rule_cost("shouting", 0.001)
    tally.rule_cost("shouting", 0.003)
    status = tally.status()
    assert list(told([status, status, RulesStatus()])) == [
        "decided 8 of 20 posts (40.0%)",
        "          4 live   ads spam",
        "          2 shadow trial spam",
        f"   250.0 us a post, terms (measured on 2; {AT_ONCE})",
        "     2.0 us a post, the rule shouting alone (measured on 4)",
    ]
    assert list(told([RulesStatus()])) == ["decided 0 of 0 posts"]


def test_the_costs_of_rules_without_number_are_bounded():
    tally = RuleTally()
    for number in range(2_000):
        tally.rule_cost(f"rule-{number}", 0.001)
    costs = tally.status().rule_costs
    assert len(costs) <= 1_025
    assert sum(cost.samples for cost in costs) == 2_000


def test_the_hits_of_rules_without_number_are_bounded():
    tally = RuleTally()
    for number in range(2_000):
        tally.found([Finding(f"rule-{number}", "spam", "block", "live")])
    status = tally.status()
    assert len(status.hits) <= 1_026
    assert sum(hit.hits for hit in status.hits) == 2_000


def test_after_a_rollback_one_line_of_the_history_is_active_and_says_since_when():
    book = PolicyBook()
    documents = [encode(replace(read(default_policy_path()).policy, id="mine", version=n)) for n in (1, 2)]
    one, two = digests = [*map(document_digest, documents)]
    for digest, document in zip(digests, documents, strict=True):
        book.apply(document_key(digest), document)
    pointer = ActivePolicy(id="mine", version=1, digest=one, history=(one, two))
    written_at_ms = {
        document_key(one): 1_700_000_000_000,
        document_key(two): 1_700_000_060_000,
        active_key("mine"): 1_700_000_120_000,
    }
    assert [*history_lines(pointer, Published(book, written_at_ms))] == [
        f"{one}  version 1  published 2023-11-14 22:13:20 UTC  active since 2023-11-14 22:15:20 UTC",
        f"{two}  version 2  published 2023-11-14 22:14:20 UTC",
        f"{one}  version 1  published 2023-11-14 22:13:20 UTC",
    ]


def book_of(*versions):
    book = PolicyBook()
    policy = read(default_policy_path()).policy
    refs = []
    for version in versions:
        document = encode(replace(policy, id="mine", version=version))
        digest = document_digest(document)
        book.apply(document_key(digest), document)
        refs.append(PolicyRef(id="mine", version=version, digest=digest))
    return book, refs


def test_a_second_rollback_goes_back_further_and_never_to_what_was_left():
    book, (one, two, three) = book_of(1, 2, 3)
    pointer = ActivePolicy(id="mine", version=3, digest=three.digest, history=(one.digest, two.digest))
    assert before(book, pointer) == two.digest
    pointer = successor_of(pointer, two)
    assert before(book, pointer) == one.digest
    assert before(book, successor_of(pointer, one)) is None


@given(st.lists(st.sampled_from(["push", "rollback", "to"]), max_size=12), st.randoms(use_true_random=False))
def test_however_often_one_went_to_and_fro_a_rollback_leads_to_the_next_older_version(steps, chance):
    book, refs = BOOK
    pointer = ActivePolicy(id="mine", version=1, digest=refs[0].digest)
    pushed = 1
    for step in steps:
        reached = {ref.digest: ref for ref in refs if ref.digest in (*pointer.history, pointer.digest)}
        if step == "push" and pushed < len(refs):
            pointer, pushed = successor_of(pointer, refs[pushed]), pushed + 1
        elif step == "to":
            pointer = successor_of(pointer, chance.choice(list(reached.values())))
        elif (digest := before(book, pointer)) is not None:
            assert reached[digest].version == pointer.version - 1
            pointer = successor_of(pointer, reached[digest])
        else:
            assert pointer.version == 1


BOOK = book_of(*range(1, 9))


def test_what_another_program_wrote_to_the_topic_cannot_steer_the_terminal():
    policy = read(default_policy_path()).policy
    evil = replace(policy.rules[0], label="\x1b]0;pwned\x07\x1b[2J")
    document = Document(replace(policy, rules=(evil,)), PolicyRef(id="mine", version=1, digest="0" * 32))
    shown = document_lines(document)
    assert r"\x1b]0;pwned\x07" in shown
    assert "\x1b" not in shown

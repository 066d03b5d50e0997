"""What a reader is told is so: links lead somewhere, commands and flags exist, tables are whole.

It reads every page that is written for people. Pages that are generated, or about one part, have tests of
their own beside that part.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import cli
from infra.bench.__main__ import BENCHES
from infra.errors import ExitCode
from schemas.settings import TopicSettings
from schemas.wire import event_decoder
from streams.topics import table

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*.md"),
        *(ROOT / "examples").glob("*/*.md"),
    ]
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
# A command line: `penstock` where a program may stand, up to the end of the line or of what a shell runs.
COMMAND = re.compile(r"(?:^|[\s`(/])penstock[ \t]+(?!`)([^\n|;&#`…]+)")
TAKE_A_VALUE = {"--config", "--data-dir", "--bootstrap", "--set"}


def each_page(*pages: Path):
    return pytest.mark.parametrize("page", pages or PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose_of(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def code_of(page: Path) -> list[str]:
    """All that stands as code: blocks but those of other languages, and what stands between backticks."""
    text = page.read_text(encoding="utf-8")
    blocks = [body for language, body in FENCE.findall(text) if language in {"", "sh", "text"}]
    return [*blocks, *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]


# -- links --


def _anchors(page: Path) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages_with_links():
    assert len(PAGES) > 15
    assert sum(len(LINK.findall(page.read_text(encoding="utf-8"))) for page in PAGES) > 100


@each_page()
def test_every_link_leads_somewhere(page):
    dead = []
    for target in LINK.findall(prose_of(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in _anchors(place)):
            dead.append(target)
    assert dead == []


@each_page()
def test_every_file_that_is_named_exists(page):
    """A path in backticks below one of our folders; where it is none but looks so, write it otherwise."""
    folders = "agents|docs|examples|infra|policies|requirements|schemas|streams|tests"
    named = re.findall(rf"`((?:{folders})/[\w./-]*\w)`", prose_of(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


# -- commands --


def _commands_in(code: str) -> Iterator[list[str]]:
    for rest in COMMAND.findall(code):
        try:
            words = shlex.split(rest)
        except ValueError:
            words = rest.split()
        # Before the command may stand flags that all commands share.
        while words and words[0].startswith("--"):
            words = words[2:] if words[0] in TAKE_A_VALUE else words[1:]
        if words and re.fullmatch(r"[a-z][a-z-]*", words[0]):
            yield words


@functools.cache
def _parser_of(name: str) -> argparse.ArgumentParser:
    parser = cli.command_parser(name)
    importlib.import_module(cli.COMMANDS[name][0]).add_arguments(parser)
    return parser


def _flags_of(parser: argparse.ArgumentParser) -> set[str]:
    flags = {option for action in parser._actions for option in action.option_strings}  # noqa: SLF001  No other way.
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            flags |= {flag for inner in action.choices.values() for flag in _flags_of(inner)}
    return flags


def _own_words(words: list[str]) -> list[str]:
    """Without what is passed on to another program."""
    return words[: words.index("--")] if "--" in words else words


@each_page()
def test_every_command_that_is_named_exists_with_its_flags(page):
    wrong = []
    for code in code_of(page):
        for words in _commands_in(code):
            if words[0] not in cli.COMMANDS:
                wrong.append(words[0])
                continue
            known = _flags_of(_parser_of(words[0]))
            given = [word.partition("=")[0] for word in _own_words(words) if word.startswith("--")]
            wrong += [f"{words[0]} {flag}" for flag in given if flag not in known]
    assert wrong == []


def test_commands_are_found_in_the_ways_they_are_written():
    found = [
        words[:2]
        for code in (
            "$ penstock send --wait hi",
            ".venv/bin/penstock --bootstrap h:1 up",
            "penstock status | head",
            "git clone x penstock && cd penstock",
        )
        for words in _commands_in(code)
    ]
    assert found == [["send", "--wait"], ["up"], ["status"]]


def test_the_readme_tells_every_command_and_no_other():
    section = README.partition("\n## Commands\n")[2].partition("\n## ")[0]
    told = re.findall(r"`penstock ([a-z-]+)`", section)
    assert sorted(told) == sorted(cli.COMMANDS)


@each_page()
def test_every_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        name
        for code in code_of(page)
        for name in re.findall(r"(?:^|&& )make ([a-z][a-z-]*)\b", code, re.MULTILINE)
    }
    assert named - targets == set()


def test_contributing_tells_every_make_target():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {name for name in phony[1].split() if f"| `make {name}` |" not in text} <= {
        "new-environment",
        "help",
    }


@each_page()
def test_every_bench_that_is_named_exists(page):
    named = {name for code in code_of(page) for name in re.findall(r"make bench ARGS=(\w+)", code)}
    assert named - set(BENCHES) == set()


@each_page()
def test_every_exit_code_that_is_named_exists(page):
    codes = [int(code) for code in re.findall(r"\b(?:exit|with) code (\d+)", prose_of(page))]
    assert [code for code in codes if code not in set(ExitCode)] == []


# -- tables and examples --


@each_page()
def test_every_row_of_a_table_is_one_line_with_as_many_cells_as_its_head(page):
    """An editor that wraps lines breaks tables, and nobody sees it in the source."""
    prose = prose_of(page)
    assert re.findall(r"^[^|\n].*\| \|.*", prose, re.MULTILINE) == []
    for table_found in re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE):
        rows = table_found.splitlines()
        assert [row for row in rows if not row.endswith("|")] == []
        assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {len(re.split(r"(?<!\\)\|", rows[0]))}


def test_the_readme_tells_every_topic_and_no_other():
    section = README.partition("\n## Topics and messages\n")[2].partition("\n## ")[0]
    told = {name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in _topics_of(row)}
    assert told == {topic.name for topic in table(TopicSettings(), brokers=1)}


def _topics_of(cell: str) -> list[str]:
    """`content.critical` `.high` … and `pending.critical` … `pending.low`, written out."""
    first, *others = re.findall(r"`([^`]+)`", cell)
    family = first.partition(".")[0]
    if "…" in cell:
        return [f"{family}.{priority}" for priority in ("critical", "high", "medium", "low")]
    return [first, *(family + other for other in others)]


def test_the_readmes_events_are_events():
    decode = event_decoder(1_000_000)
    events = re.findall(r"\{\"v\": ?1.*?\}", README)
    assert len(events) == 2
    assert {decode(event.encode()).kind for event in events} == {"moderate"}


def test_the_readmes_transcript_adds_up():
    """It was pasted from a run and shortened where it says so: what is left of it must still fit together."""
    shown = re.findall(r"^(allow|label|review|block) +(rule|model) +\S+ +waited \d+ ms", README, re.MULTILINE)
    left_out = [int(count) for count in re.findall(r"\[… (\d+) more …\]", README)]
    total = re.search(r"^(\d+) verdicts in", README, re.MULTILINE)
    assert left_out
    assert total
    # Two stand in a transcript of their own.
    assert len(shown) - 2 + sum(left_out) == int(total[1])


def test_the_readme_says_for_which_pythons_the_locks_were_resolved():
    supported = re.search(
        r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert supported
    section = README.partition("\n## Where it runs\n")[2].partition("\n## ")[0]
    assert supported[1] in section
    assert "Linux x86-64" in section
    assert "resolved only" in section


# -- decisions --


@each_page(*DECISIONS)
def test_a_decision_has_its_four_parts_and_fits_on_a_page(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Consequences",
        "Measured",
    ]
    assert re.match(rf"# {page.name[:4]}: ", text)
    assert len(text.splitlines()) <= 60


def test_the_decisions_are_numbered_and_listed():
    assert [page.name[:4] for page in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in DECISIONS if f"({page.name})" not in index] == []


def test_the_index_lists_every_page():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"]
    assert [name for name in pages if f"({name})" not in index] == []


# -- what no page names --


@each_page()
@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(?:issue|ticket|PR) ?#?\d+",
        r"(?<![\w&])#\d+\b",
        r"\b(?:this|our) session\b",
        r"\b(?:Claude|Anthropic|ChatGPT|Copilot|AI agents?|coding agents?)\b",
        r"\bpypi\.org\b|\bmaven\.org\b|\bmaven\.apache\.org\b|\bregistry\.npmjs\b",
        r"(?<![\w.])/(?:work|root|home|Users)/",
    ],
)
def test_no_page_names_what_only_its_writers_know(page, pattern):
    text = page.read_text(encoding="utf-8")
    assert re.findall(rf".*{pattern}.*", text, re.IGNORECASE) == []

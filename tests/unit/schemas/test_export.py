"""What is generated from the messages is committed as it would be generated now, and reads well."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from schemas.event import KINDS
from schemas.export.__main__ import PAGE, drifted, generated, main
from schemas.export.documents import MESSAGES, documents
from schemas.export.shapes import bounds_of
from schemas.export.tables import BEGIN, page_with_tables
from schemas.export.typescript import typescript

ROOT = Path(__file__).parents[3]


def test_every_generated_file_is_as_the_messages_are():
    assert len(generated("" + BEGIN)) == len(MESSAGES) + 2
    assert list(drifted(ROOT)) == [], "run `make schemas` and commit what it writes"


def test_no_generated_file_is_left_of_a_message_that_is_no_more():
    assert len(list((ROOT / "schemas" / "json").iterdir())) == len(MESSAGES)


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A copy of what is generated, in which the command is run."""
    for place in generated(BEGIN):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / place, tmp_path / place)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_checking_names_what_has_drifted_and_writes_nothing(repository, capsys):
    schema = repository / "schemas/json/event.schema.json"
    schema.write_text("{}")
    (repository / "examples/node/messages.d.ts").unlink()

    assert main(["--check"]) == 1
    assert schema.read_text() == "{}"
    assert capsys.readouterr().out.splitlines() == [
        "schemas/json/event.schema.json is not as the messages are; run `make schemas`",
        "examples/node/messages.d.ts is not as the messages are; run `make schemas`",
    ]


def test_writing_mends_what_has_drifted_and_keeps_what_was_written_by_hand(repository, capsys):
    page = repository / PAGE
    by_hand, _, tables = page.read_text().partition(BEGIN)
    page.write_text(by_hand + "One more sentence.\n" + BEGIN + tables[:100])

    assert main([]) == 0
    assert capsys.readouterr().out == "wrote docs/messages.md\n"
    assert page.read_text() == by_hand + "One more sentence.\n" + BEGIN + tables
    assert main(["--check"]) == 0


def test_the_types_alone_can_be_written_into_another_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--typescript", "app/src"]) == 0
    assert (tmp_path / "app/src/messages.d.ts").read_text() == typescript(documents())


def test_outside_of_the_repository_it_says_where_to_run_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert (
        capsys.readouterr().err
        == "There is no docs/messages.md here: run it in the root of the repository.\n"
    )


def test_a_page_without_the_mark_is_not_overwritten():
    with pytest.raises(ValueError, match="has no line"):
        page_with_tables("# Messages\n", documents())


def test_the_types_tell_the_kinds_of_an_event_apart():
    types = typescript(documents())
    assert (
        "export type Event =\n  | Moderate\n  | Scan\n  | ReviewBan\n  | AnalyzeUser\n  | HealthCheck;\n"
        in types
    )
    assert all(f'  kind: "{kind}";\n' in types for kind in KINDS)


def test_the_types_name_enumerations_and_leave_out_no_question_mark():
    types = typescript(documents())
    assert 'export type Priority = "critical" | "high" | "medium" | "low";\n' in types
    assert "  priority: Priority;\n" in types
    assert "  deadline_ms?: number | null;\n" in types
    assert "  context?: Record<string, string>;\n" in types
    assert "  rules?: (TermsRule | RegexRule | LengthRule | RepetitionRule | LinksRule | " in types
    assert "  event: Event;\n" in types


def test_every_definition_has_a_type_and_a_table():
    types, page = typescript(documents()), page_with_tables(BEGIN, documents())
    definitions = {name for document in documents().values() for name in document["$defs"]}
    assert len(definitions) > 20
    for name in definitions:
        assert types.count(f"export interface {name} ") == 1
        assert page.count(f"### {name}\n") == 1


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, ""),
        ({"type": "string", "minLength": 1}, "at least one character"),
        ({"type": "string", "minLength": 1, "maxLength": 9}, "1 to 9 characters"),
        ({"type": "integer", "minimum": 0, "maximum": 2**63 - 1}, "0 to 2^63-1"),
        ({"type": "integer", "minimum": 1, "maximum": 86_400_000}, "1 to 86,400,000"),
        ({"type": "number", "minimum": 0.0, "maximum": 1.0}, "0 to 1"),
        ({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]}, "at most 5 characters"),
        (
            {"type": "array", "maxItems": 3, "items": {"type": "string", "minLength": 2}},
            "at most 3 items, each at least 2 characters",
        ),
        ({"type": "string", "contentEncoding": "base64"}, "Base64"),
    ],
)
def test_bounds_are_told_in_words(schema, words):
    assert bounds_of(schema) == words

"""From the table that a policy file holds to a policy, with everything that is wrong with it at once.

A mistake in one place hides none in another: every section, label, prompt and rule is judged by itself, and
what has the right shape is judged further as if the rest were right (`mending`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from infra.mending import BESIDE_THE_TEST, Mended, common, mended
from infra.shapes import Shape, missed, problems_of
from infra.word_lists import Inlined, TermsInFile, WordLists
from schemas.policy import Label, Policy, Prompt, RepetitionRule, Rule, TermsRule
from streams.core import vetting
from streams.core.examples import example_problems
from streams.core.vetting import PolicyProblem

MISTAKES_MAX = 1_000
"""Told at once. Who made so many has one cause for most of them, and a report for people an end."""

# The sections whose elements are judged one by one.
_ELEMENTS: Mapping[str, tuple[Shape, ...]] = {
    "labels": (Label,),
    "prompts": (Prompt,),
    "rules": tuple(TermsInFile if shape is TermsRule else shape for shape in get_args(Rule)),
}
_CONVERTED: Mapping[str, Any] = {"labels": Label, "prompts": Prompt, "rules": Rule}
_OF_ELEMENT = re.compile(r"\$\.(?P<section>\w+)\[(?P<at>\d+)\](?P<rest>.*)", re.DOTALL)
_OF_TERM = re.compile(r"\$\.rules\[(?P<rule>\d+)\]\.terms\[(?P<term>\d+)\]\Z")

Told = tuple[PolicyProblem, str]
"""A problem, and the name of the field that should not be there, if that is what it is about."""


class Draft(NamedTuple):
    """What a file says: a policy of everything that has the right shape, and what is wrong."""

    policy: Policy
    problems: tuple[Told, ...]


class _Sound(NamedTuple):
    """The elements of a section as they can be judged, and which ones of the file they are."""

    mended: tuple[Mended, ...]
    numbers: tuple[int, ...]

    @property
    def elements(self) -> tuple[Any, ...]:
        return tuple(one.element for one in self.mended)


def drafted(table: Any, directory: Path) -> Draft:
    """The draft of a parsed file; word lists are looked for from its directory on."""
    if not isinstance(table, dict):
        return Draft(_policy({}, {}), ((PolicyProblem("$", "must be a table"), ""),))
    rules = table.get("rules")
    word_lists = WordLists(directory)
    lists = [word_lists.inlined(rule) for rule in rules] if isinstance(rules, list) else []
    if lists:
        table = table | {"rules": [one.rule for one in lists]}
    shape = chain(_of_document(table), _of_lists(table, lists), _of_elements(table, lists))
    sound = {section: _sound(table, section) for section in _ELEMENTS}
    policy = _policy(table, sound)
    # A label that has a mistake in its name may be the one that a rule names.
    has_all_labels = len(policy.labels) == len(_listed(table.get("labels"))) and not any(
        "name" in label.fields for label in sound["labels"].mended
    )
    found = _of_sense(policy, sound, has_all_labels=has_all_labels)
    deeper = ((_named(problem, sound, lists), "") for problem in found)
    return Draft(policy, tuple(islice(chain(shape, deeper), MISTAKES_MAX)))


def _of_document(table: Mapping[str, Any]) -> Iterator[Told]:
    """Of the document itself; what is wrong within its sections is told of their elements."""
    for problem in problems_of(table, Policy):
        section = problem.path[1:].partition("[")[0]
        if section not in _ELEMENTS or problem.path == f".{section}":
            yield PolicyProblem(f"${problem.path}", problem.reason), problem.field


def _of_elements(table: Mapping[str, Any], lists: Sequence[Inlined]) -> Iterator[Told]:
    for section, shapes in _ELEMENTS.items():
        for at, element in enumerate(_listed(table.get(section))):
            one = lists[at] if section == "rules" else Inlined(element, {})
            for place, reason, field in _of_element(element, section, shapes, one):
                problem = PolicyProblem(f"$.{section}[{at}]{place}", reason, _rule_id(section, element))
                yield _from_its_list(problem, one), field


def _of_element(
    element: Any, section: str, shapes: tuple[Shape, ...], one: Inlined
) -> Iterator[tuple[str, str, str]]:
    """Place below the element, reason, and the field that should not be there."""
    is_told, has_type = bool(one.problems), True
    for problem in problems_of(element, *shapes):
        is_told = True
        has_type &= "type" not in (problem.path[1:], problem.missing)
        yield problem.path, problem.reason, problem.field
    if section == "rules" and not has_type:
        for problem in problems_of(common(element), RepetitionRule):
            yield problem.path, problem.reason, problem.field
    # A rule without the terms of a file that could not be read has no other mistake.
    if not is_told and (complaint := missed(element, _CONVERTED[section])) is not None:
        yield *complaint, ""


def _of_lists(table: Mapping[str, Any], lists: Sequence[Inlined]) -> Iterator[Told]:
    for at, one in enumerate(lists):
        for place, reason in one.problems:
            yield PolicyProblem(f"$.rules[{at}]{place}", reason, _rule_id("rules", table["rules"][at])), ""


def _of_sense(
    policy: Policy, sound: Mapping[str, _Sound], *, has_all_labels: bool
) -> Iterator[PolicyProblem]:
    """What is wrong although it has the right shape; then the examples of rules that are sound so far."""
    found = [
        problem
        for problem in vetting.problems_of(policy)
        if (has_all_labels or not problem.reason.startswith(vetting.NO_SUCH_LABEL))
        and _is_the_authors(problem, sound)
    ]
    yield from found
    places = [_OF_ELEMENT.match(problem.path) for problem in found]
    of_rules = [place for place in places if place is not None and place["section"] == "rules"]
    unsound = {int(place["at"]) for place in of_rules if _field(place["rest"]) not in _TRIED_WITHOUT}
    unsound |= {at for at, rule in enumerate(sound["rules"].mended) if not rule.is_tried}
    without_kinds = {int(place["at"]) for place in of_rules if _field(place["rest"]) == "kinds"}
    tried = replace(policy, rules=_of_any_kind(policy.rules, without_kinds))
    yield from (one for one in example_problems(tried, but=unsound) if _is_the_authors(one, sound))


# Mistakes in these say nothing about what a rule matches; nor does it that there are too many of a type.
_TRIED_WITHOUT = BESIDE_THE_TEST | {"type"}


def _field(rest: str) -> str:
    """The field that a place below an element is about."""
    return re.split(r"[.\[]", rest.removeprefix("."), maxsplit=1)[0]


def _of_any_kind(rules: Iterable[Rule], without: set[int]) -> tuple[Rule, ...]:
    """The rules as they can be tried: one whose kinds are wrong would never apply."""
    return tuple(
        replace(rule, kinds=("moderate",)) if at in without else rule for at, rule in enumerate(rules)
    )


def _is_the_authors(problem: PolicyProblem, sound: Mapping[str, _Sound]) -> bool:
    place = _OF_ELEMENT.match(problem.path)
    return place is None or sound[place["section"]].mended[int(place["at"])].is_told(
        place["rest"], problem.reason
    )


def _named(problem: PolicyProblem, sound: Mapping[str, _Sound], lists: Sequence[Inlined]) -> PolicyProblem:
    """A problem of the draft with the number that its element has in the file, and its word list's name."""
    place = _OF_ELEMENT.match(problem.path)
    if place is None or place["section"] not in sound:
        return problem
    number = sound[place["section"]].numbers[int(place["at"])]
    path = f"$.{place['section']}[{number}]{place['rest']}"
    # An id that has a mistake is still the name by which its author knows the rule.
    if place["section"] != "rules":
        return problem._replace(path=path)
    own = _rule_id("rules", lists[number].rule)
    return _from_its_list(problem._replace(path=path, rule_id=own), lists[number])


def _from_its_list(problem: PolicyProblem, one: Inlined) -> PolicyProblem:
    """A problem of a term that comes from a word list, told with the list's name and its line."""
    term = _OF_TERM.match(problem.path)
    if term is None or (origin := one.origins.get(int(term["term"]))) is None:
        return problem
    return problem._replace(path=f"$.rules[{term['rule']}].files", reason=f"{origin}: {problem.reason}")


def _sound(table: Mapping[str, Any], section: str) -> _Sound:
    made = [
        (at, one)
        for at, element in enumerate(_listed(table.get(section)))
        if (one := mended(element, _CONVERTED[section], _ELEMENTS[section], at)) is not None
    ]
    return _Sound(tuple(one for _, one in made), tuple(at for at, _ in made))


def _policy(table: Mapping[str, Any], sound: Mapping[str, _Sound]) -> Policy:
    """The policy of all that is right; what is wrong is left to its default."""
    fields: dict[str, Any] = {"id": "draft", "version": 1}
    for field in msgspec.structs.fields(Policy):
        if (
            field.name in table
            and field.name not in _ELEMENTS
            and missed(table[field.name], field.type) is None
        ):
            fields[field.name] = msgspec.convert(table[field.name], field.type)
    elements = {section: sound[section].elements if section in sound else () for section in _ELEMENTS}
    return Policy(**(fields | elements))


def _listed(section: Any) -> list[Any]:
    return section if isinstance(section, list) else []


def _rule_id(section: str, element: Any) -> str:
    written = element.get("id") if isinstance(element, dict) and section == "rules" else None
    return written[:_ID_SHOWN_MAX] if isinstance(written, str) else ""


# As long as an id may be.
_ID_SHOWN_MAX = 64

"""A policy's rules, made ready once per document: `compile_policy(policy)`, then `.findings(subject)`.

Rules only find; what a finding means is decided in `streams.core.triage`. How each type looks at a post is
in `streams.core.families`. Compiling thousands of patterns takes a second: the caller does it off the event
loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple
from zlib import crc32

from schemas.event import KINDS, PRIORITIES, Kind, Priority
from schemas.policy import AllowRule, Policy, RuleMode
from schemas.verdict import Action, PolicyRef
from streams.core.digest import policy_digest
from streams.core.families import Allows, Family, families_of
from streams.core.matching import BadPattern
from streams.core.subjects import Subject
from streams.core.vetting import DECIDED_KINDS, PolicyProblem, problems_of

Ground = Literal["text", "author", "digest"]
"""What a rule went by: what the text says, who wrote it, or that it is this very content."""


class Finding(NamedTuple):
    """A rule that matched."""

    rule_id: str
    label: str
    action: Action
    mode: RuleMode
    """As it counts for this post: outside of its share a rule on canary is in shadow."""
    ground: Ground = "text"


class BadPolicy(Exception):
    """A policy that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[PolicyProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class Document:
    """A policy, and how verdicts name it. Never changed, so what was begun under it is ended under it."""

    __slots__ = ("policy", "ref")

    def __init__(self, policy: Policy, ref: PolicyRef) -> None:
        self.policy = policy
        self.ref = ref

    @classmethod
    def of(cls, policy: Policy, digest: str) -> Document:
        """The document that was published under this digest."""
        return Document(policy, PolicyRef(id=policy.id, version=policy.version, digest=digest))


class CompiledPolicy(Document):
    """A document with its rules ready to run."""

    __slots__ = ("_allows", "_canaries", "_findings", "_priorities", "families", "text_bytes_max")

    def __init__(self, policy: Policy, ref: PolicyRef) -> None:
        super().__init__(policy, ref)
        active = [(at, rule) for at, rule in enumerate(policy.rules) if rule.mode != "off"]
        self.families: tuple[Family, ...] = families_of(active)
        """How the rules look at a post, in their order."""
        self.text_bytes_max: dict[Kind, int] = {
            prompt.kind: prompt.text_bytes_max
            for prompt in policy.prompts
            if prompt.text_bytes_max is not None
        }
        """Of the kinds for which the policy has a limit of its own."""
        self._findings = {kind: _findings_for(policy, kind) for kind in DECIDED_KINDS}
        self._canaries = {
            at: _Canary(rule.id, rule.canary_percent)
            for at, rule in active
            if rule.mode == "live" and rule.canary_percent < _WHOLE
        }
        self._allows = next((family for family in self.families if isinstance(family, Allows)), None)
        lowered = {prompt.kind: prompt.priority for prompt in policy.prompts if prompt.priority is not None}
        self._priorities: dict[tuple[Priority, Kind], Priority] = {
            (of_topic, kind): max(of_topic, lowered.get(kind, of_topic), key=PRIORITIES.index)
            for of_topic in PRIORITIES
            for kind in KINDS
        }

    def __repr__(self) -> str:
        return f"<CompiledPolicy {self.ref.id} version {self.ref.version} | {len(self.policy.rules)} rules>"

    def findings(self, subject: Subject) -> list[Finding]:
        """What the rules for this kind find, in the order of the policy."""
        applying = self._findings.get(subject.kind)
        if applying is None:
            return []
        matching: set[int] = set()
        for family in self.families:
            family.look(subject, matching)
        if not matching:
            return []
        return [self._finding(applying[at], at, subject) for at in sorted(matching) if at in applying]

    def priority(self, of_topic: Priority, kind: Kind) -> Priority:
        """The priority of an event: the topic's, or the policy's for this kind where that is lower."""
        return self._priorities[of_topic, kind]

    def _finding(self, finding: Finding, at: int, subject: Subject) -> Finding:
        if (canary := self._canaries.get(at)) is not None and not canary.holds(subject.digest):
            finding = finding._replace(mode="shadow")
        if finding.ground == "author" and self._allows and at in self._allows.knowing(subject.digest):
            finding = finding._replace(ground="digest")
        return finding


_WHOLE = 100.0
_DIGEST_STEPS = 1 << 32


class _Canary:
    """The share of contents on which a rule is live: by their digests, so a copy meets the same rules.

    Where a share begins depends on the rule, so that not one and the same posts meet all rules on canary; a
    share that grows keeps the contents that it had.
    """

    __slots__ = ("_begin", "_size")

    def __init__(self, rule_id: str, percent: float) -> None:
        self._begin = crc32(rule_id.encode())
        self._size = percent / _WHOLE * _DIGEST_STEPS

    def holds(self, digest: str) -> bool:
        """Whether a content is in the share; one without a digest never is."""
        return bool(digest) and (int(digest[:8], 16) - self._begin) % _DIGEST_STEPS < self._size


def compile_policy(policy: Policy) -> CompiledPolicy:
    """Make a policy ready that was not published yet, or raise `BadPolicy`."""
    return compile_document(Document.of(policy, policy_digest(policy)))


def compile_document(document: Document) -> CompiledPolicy:
    """Make a published policy ready, or raise `BadPolicy`."""
    problems = problems_of(document.policy)
    if problems:
        raise BadPolicy(problems)
    try:
        return CompiledPolicy(document.policy, document.ref)
    except BadPattern as problem:
        raise BadPolicy([PolicyProblem("$.rules", f"the patterns are too many: {problem}")]) from None


def _findings_for(policy: Policy, kind: Kind) -> dict[int, Finding]:
    return {
        at: Finding(
            rule.id,
            rule.label,
            rule.action,
            rule.mode,
            ground="author" if isinstance(rule, AllowRule) else "text",
        )
        for at, rule in enumerate(policy.rules)
        if kind in rule.kinds
    }

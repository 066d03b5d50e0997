"""The policy topic as state: what is active, what waits to be compiled, and what changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.errors import MalformedPayload, UnknownVersion, WireError
from schemas.policy import ActivePolicy, Label, Policy, Prompt, RegexRule
from schemas.wire import encode
from streams.core.digest import document_digest, policy_digest
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.rules import compile_document


def policy(version=1, policy_id="p", pattern="x"):
    return Policy(
        id=policy_id,
        version=version,
        labels=(Label(name="spam", description="d"),),
        prompts=(Prompt(kind="moderate", text="t"),),
        rules=(RegexRule(id="r", action="block", label="spam", patterns=(pattern,)),),
    )


def publish(book, one):
    book.apply(document_key(policy_digest(one)), encode(one))


def activate(book, one, policy_id="p"):
    pointer = ActivePolicy(id=policy_id, version=one.version, digest=policy_digest(one))
    book.apply(active_key(policy_id), encode(pointer))


def active_version(book, policy_id="p"):
    active = book.active(policy_id)
    return active.ref.version if active else None


def test_a_policy_judges_once_it_is_published_pointed_to_and_compiled():
    book = PolicyBook()
    publish(book, policy(1))
    assert (book.to_compile(), book.active("p")) == ((), None)
    activate(book, policy(1))
    assert [document.policy for document in book.to_compile()] == [policy(1)]
    assert book.active("p") is None
    assert book.compile_due() == ()
    assert active_version(book) == 1
    assert book.to_compile() == ()
    assert [(ref.id, ref.version) for ref in book.refs()] == [("p", 1)]


def test_the_pointer_may_come_before_its_document():
    book = PolicyBook()
    activate(book, policy(1))
    assert book.compile_due() == ()
    publish(book, policy(1))
    book.compile_due()
    assert active_version(book) == 1


def test_the_former_policy_goes_on_until_the_next_is_compiled():
    book = PolicyBook()
    for version in (1, 2):
        publish(book, policy(version))
        activate(book, policy(version))
        if version == 1:
            book.compile_due()
    assert active_version(book) == 1
    (waiting,) = book.to_compile()
    book.install(compile_document(waiting))
    assert active_version(book) == 2


def test_what_was_compiled_too_late_is_not_installed():
    book = PolicyBook()
    publish(book, policy(1))
    activate(book, policy(1))
    late = compile_document(book.to_compile()[0])
    publish(book, policy(2))
    activate(book, policy(2))
    book.install(late)
    assert book.active("p") is None


def test_a_policy_that_cannot_be_compiled_never_replaces_the_active_one_and_is_told_once():
    book = PolicyBook()
    for one in (policy(1), policy(2, pattern=r"(a)\1")):
        publish(book, one)
        activate(book, one)
        refused = book.compile_due()
    assert [problem.path for problem in refused[0].problems] == ["$.rules[0].patterns[0]"]
    assert active_version(book) == 1
    assert book.compile_due() == ()


def test_the_same_pointer_twice_changes_nothing():
    book = PolicyBook()
    publish(book, policy(1))
    activate(book, policy(1))
    book.compile_due()
    active = book.active("p")
    publish(book, policy(1))
    activate(book, policy(1))
    assert book.to_compile() == ()
    assert book.active("p") is active


def test_what_is_taken_back_is_gone():
    book = PolicyBook()
    publish(book, policy(1))
    activate(book, policy(1))
    book.compile_due()
    book.apply(document_key(policy_digest(policy(1))), None)
    assert book.document(policy_digest(policy(1))) is None
    book.apply(active_key("p"), None)
    assert (book.active("p"), book.pointer("p"), book.refs()) == (None, None, ())


def test_a_document_of_former_days_is_kept_for_what_was_begun_under_it():
    book = PolicyBook()
    for version in (1, 2):
        publish(book, policy(version))
        activate(book, policy(version))
        book.compile_due()
    former = book.document(policy_digest(policy(1)))
    assert former is not None
    assert (former.policy, former.ref.version) == (policy(1), 1)


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"id":"p"}', encode(policy(1))])
def test_a_document_that_is_none_or_another_is_refused_and_changes_nothing(value):
    book = PolicyBook()
    with pytest.raises(MalformedPayload):
        book.apply(document_key("0" * 32), value)
    assert book.document("0" * 32) is None


def test_a_pointer_under_a_foreign_key_is_refused():
    pointer = ActivePolicy(id="q", version=1, digest="0" * 32)
    with pytest.raises(MalformedPayload):
        PolicyBook().apply(active_key("p"), encode(pointer))


@pytest.mark.parametrize("key", [document_key(document_digest(b'{"v":2}')), active_key("p")])
def test_what_a_newer_release_wrote_is_an_unknown_version(key):
    with pytest.raises(UnknownVersion):
        PolicyBook().apply(key, b'{"v":2}')


@pytest.mark.parametrize("key", [None, b"", b"other/p", b"\xff\xfe", b"doc", b"activ/p"])
def test_other_keys_are_left_alone(key):
    book = PolicyBook()
    book.apply(key, b"whatever")
    assert repr(book) == "<PolicyBook [nothing active | 0 documents]>"


class Reading(RuleBasedStateMachine):
    """Any order of records, compiled at any time, ends in the state that the last of each key says."""

    def __init__(self):
        super().__init__()
        self.book = PolicyBook(documents_max=4)
        self.published: dict[str, Policy] = {}
        self.pointed: dict[str, Policy] = {}

    @rule(version=st.integers(1, 9))
    def publish(self, version):
        one = policy(version)
        publish(self.book, one)
        self.published[policy_digest(one)] = one

    @rule(version=st.integers(1, 9), policy_id=st.sampled_from(["p", "q"]))
    def point(self, version, policy_id):
        one = policy(version)
        activate(self.book, one, policy_id)
        self.pointed[policy_id] = one

    @rule(policy_id=st.sampled_from(["p", "q"]))
    def take_back(self, policy_id):
        self.book.apply(active_key(policy_id), None)
        self.pointed.pop(policy_id, None)

    @rule()
    def compile(self):
        due = self.book.to_compile()
        assert self.book.compile_due() == ()
        assert self.book.to_compile() == ()
        for document in due:
            assert any(
                self.book.active(policy_id).ref == document.ref
                for policy_id, one in self.pointed.items()
                if one == document.policy
            )

    @invariant()
    def only_what_was_published_judges(self):
        for policy_id in ("p", "q"):
            active = self.book.active(policy_id)
            if active is not None:
                assert policy_id in self.pointed
                assert self.published[active.ref.digest] == active.policy

    @invariant()
    def no_more_documents_are_kept_than_may_be_and_none_that_is_pointed_to_is_dropped(self):
        kept = [digest for digest in self.published if self.book.document(digest)]
        assert len(kept) <= 4


TestReading = Reading.TestCase


def test_a_document_that_a_newer_release_wrote_replaces_nothing_that_judges():
    """A rule of an unknown type, or an unknown field of a known one, might mean anything: it is refused."""
    book = PolicyBook()
    publish(book, policy(1))
    activate(book, policy(1))
    book.compile_due()
    for change in (b'"type":"vibes"', b'"type":"regex","only_on":"sundays"'):
        document = encode(policy(2)).replace(b'"type":"regex"', change)
        digest = document_digest(document)
        with pytest.raises(WireError):
            book.apply(document_key(digest), document)
        book.apply(active_key("p"), encode(ActivePolicy(id="p", version=2, digest=digest)))
        assert book.to_compile() == ()
        assert active_version(book) == 1


def test_a_picture_of_what_judges_is_not_touched_by_what_comes_later():
    book = PolicyBook()
    publish(book, policy(1))
    activate(book, policy(1))
    book.compile_due()
    taken = book.judging()
    publish(book, policy(2))
    activate(book, policy(2))
    book.compile_due()
    assert (taken["p"].ref.version, book.judging()["p"].ref.version) == (1, 2)
    book.apply(active_key("p"), None)
    assert (taken["p"].ref.version, book.judging()) == (1, {})

"""The `policy` topic, folded into state: which documents there are, and which one each policy id stands for.

Fed record by record, from the first one on, by whoever reads the topic. Taking a record in and compiling are
two steps, because compiling can take long: `to_compile()` may be compiled elsewhere and handed back with
`install`, or at once with `compile_due()`. Until then the policy that was active before goes on judging.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.errors import MalformedPayload
from schemas.policy import ActivePolicy
from schemas.verdict import PolicyRef
from schemas.wire import decode_active_policy, decode_policy
from streams.core.digest import document_digest
from streams.core.rules import BadPolicy, CompiledPolicy, Document, compile_document

DOCUMENTS_MAX = 1_000
"""Documents kept; a pending record may name any that was active while its topic keeps it, a week at most."""

_DOCUMENT = "doc/"
_ACTIVE = "active/"


def document_key(digest: str) -> bytes:
    """Under which key a document is published."""
    return f"{_DOCUMENT}{digest}".encode()


def active_key(policy_id: str) -> bytes:
    """Under which key it is said which document an id stands for."""
    return f"{_ACTIVE}{policy_id}".encode()


class PolicyBook:
    """All that a worker knows of policies."""

    def __init__(self, *, documents_max: int = DOCUMENTS_MAX) -> None:
        self._documents_max = documents_max
        self._documents: dict[str, Document] = {}
        self._pointers: dict[str, ActivePolicy] = {}
        # Never changed in place: who took it keeps what it was.
        self._active: Mapping[str, CompiledPolicy] = {}
        self._refused: set[str] = set()

    def __repr__(self) -> str:
        active = ", ".join(f"{ref.id} {ref.version}" for ref in self.refs())
        return f"<PolicyBook [{active or 'nothing active'} | {len(self._documents)} documents]>"

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record; without a value it takes back what the key names.

        Raises a `WireError` and stays as it was: `UnknownVersion` for what a newer release wrote, else
        `MalformedPayload`. Other keys are left alone: a newer release may have more of them.
        """
        name = (key or b"").decode(errors="replace")
        if name.startswith(_DOCUMENT):
            self._apply_document(name.removeprefix(_DOCUMENT), value)
        elif name.startswith(_ACTIVE):
            self._apply_pointer(name.removeprefix(_ACTIVE), value)

    def active(self, policy_id: str) -> CompiledPolicy | None:
        """What judges under this id now."""
        return self._active.get(policy_id)

    def judging(self) -> Mapping[str, CompiledPolicy]:
        """What judges now, by id: a picture that no later change touches."""
        return self._active

    def document(self, digest: str) -> Document | None:
        """A document that was published and not taken back."""
        return self._documents.get(digest)

    def pointer(self, policy_id: str) -> ActivePolicy | None:
        """Which document should judge under this id, and which ones did before."""
        return self._pointers.get(policy_id)

    def pointers(self) -> tuple[ActivePolicy, ...]:
        """Those of all ids, by id."""
        return tuple(pointer for _, pointer in sorted(self._pointers.items()))

    def refs(self) -> tuple[PolicyRef, ...]:
        """What judges now, by id."""
        return tuple(compiled.ref for _, compiled in sorted(self._active.items()))

    def to_compile(self) -> tuple[Document, ...]:
        """Documents that should be active and wait to be compiled."""
        return tuple(
            self._documents[pointer.digest]
            for policy_id, pointer in self._pointers.items()
            if pointer.digest in self._documents
            and pointer.digest not in self._refused
            and self._active_digest(policy_id) != pointer.digest
        )

    def install(self, compiled: CompiledPolicy) -> None:
        """Let a compiled document judge, where it still should."""
        for policy_id, pointer in self._pointers.items():
            if pointer.digest == compiled.ref.digest and pointer.digest in self._documents:
                self._active = {**self._active, policy_id: compiled}

    def refuse(self, digest: str) -> None:
        """Remember that a document cannot be compiled; what was active goes on."""
        self._refused.add(digest)

    def compile_due(self) -> tuple[BadPolicy, ...]:
        """Compile, here and now, all that waits for it; returns what could not be."""
        refused: list[BadPolicy] = []
        for document in self.to_compile():
            try:
                self.install(compile_document(document))
            except BadPolicy as bad:
                self.refuse(document.ref.digest)
                refused.append(bad)
        return tuple(refused)

    def _active_digest(self, policy_id: str) -> str:
        active = self._active.get(policy_id)
        return active.ref.digest if active else ""

    def _apply_document(self, digest: str, value: bytes | None) -> None:
        if value is None:
            self._documents.pop(digest, None)
            self._refused.discard(digest)
            return
        # The version first: the digest of what a newer release wrote is none of our business.
        policy = decode_policy(value)
        if document_digest(value) != digest:
            raise MalformedPayload("the document is not the one that its key names")
        self._documents[digest] = Document.of(policy, digest)
        self._evict()

    def _apply_pointer(self, policy_id: str, value: bytes | None) -> None:
        if value is None:
            self._pointers.pop(policy_id, None)
            self._active = {name: active for name, active in self._active.items() if name != policy_id}
            return
        pointer = decode_active_policy(value)
        if pointer.id != policy_id:
            raise MalformedPayload("the pointer is for another id than its key's", "$.id")
        self._pointers[policy_id] = pointer

    def _evict(self) -> None:
        """Drop the oldest documents that nothing points to."""
        needed = {pointer.digest for pointer in self._pointers.values()}
        spare = [digest for digest in self._documents if digest not in needed]
        for digest in spare[: max(0, len(self._documents) - self._documents_max)]:
            del self._documents[digest]
            self._refused.discard(digest)

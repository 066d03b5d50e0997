"""The `policy` topic, folded into state: which documents there are, and which one each policy id stands for.

Fed record by record, from the first one on, by whoever reads the topic. It decodes but never compiles, which
takes long: the reader takes what is `to_compile()`, compiles it off the event loop, and hands it back with
`install`. Until then the policy that was active before goes on judging.
"""

from __future__ import annotations

from schemas.errors import MalformedPayload
from schemas.policy import ActivePolicy, Policy
from schemas.wire import decode_active_policy, decode_policy
from streams.core.digest import document_digest
from streams.core.rules import CompiledPolicy

DOCUMENTS_MAX = 1_000
"""Documents kept; a pending record may name any that was active while its topic keeps it, a week at most."""

_DOCUMENT = "doc/"
_ACTIVE = "active/"


class PolicyBook:
    """All that a worker knows of policies."""

    def __init__(self, *, documents_max: int = DOCUMENTS_MAX) -> None:
        self._documents_max = documents_max
        self._documents: dict[str, Policy] = {}
        self._pointers: dict[str, ActivePolicy] = {}
        self._running: dict[str, CompiledPolicy] = {}
        self._refused: set[str] = set()

    def __repr__(self) -> str:
        running = ", ".join(f"{name} {one.ref.version}" for name, one in sorted(self._running.items()))
        return f"<PolicyBook [{running or 'nothing active'} | {len(self._documents)} documents]>"

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take in one record; without a value it takes back what the key says.

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
        return self._running.get(policy_id)

    def pointer(self, policy_id: str) -> ActivePolicy | None:
        """Which document should judge under this id, and which ones did before."""
        return self._pointers.get(policy_id)

    def document(self, digest: str) -> Policy | None:
        """A document that was published and not taken back."""
        return self._documents.get(digest)

    def to_compile(self) -> tuple[tuple[str, Policy], ...]:
        """Digests and documents that should be active and wait to be compiled."""
        return tuple(
            (pointer.digest, self._documents[pointer.digest])
            for policy_id, pointer in self._pointers.items()
            if pointer.digest in self._documents
            and pointer.digest not in self._refused
            and self._running_digest(policy_id) != pointer.digest
        )

    def install(self, compiled: CompiledPolicy) -> None:
        """Let a compiled document judge, if it still should."""
        for policy_id, pointer in self._pointers.items():
            if pointer.digest == compiled.digest and compiled.digest in self._documents:
                self._running[policy_id] = compiled

    def refuse(self, digest: str) -> None:
        """Remember that a document cannot be compiled; what was active goes on."""
        self._refused.add(digest)

    def _running_digest(self, policy_id: str) -> str:
        running = self._running.get(policy_id)
        return running.digest if running else ""

    def _apply_document(self, digest: str, value: bytes | None) -> None:
        if value is None:
            self._documents.pop(digest, None)
            return
        if document_digest(value) != digest:
            raise MalformedPayload("the document is not the one that its key names")
        self._documents[digest] = decode_policy(value)
        self._evict()

    def _apply_pointer(self, policy_id: str, value: bytes | None) -> None:
        if value is None:
            self._pointers.pop(policy_id, None)
            self._running.pop(policy_id, None)
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

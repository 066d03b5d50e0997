"""What can be wrong with a message: each error carries a code, the place in the message, and what was wrong.

Codes go to dead letters, metrics and exit tables; nobody parses a sentence. Details never quote content.
"""

from __future__ import annotations

from typing import ClassVar


class WireError(Exception):
    """A message that cannot be used as it stands."""

    code: ClassVar[str] = "wire_error"

    def __init__(self, detail: str, path: str = "$") -> None:
        super().__init__(f"{detail} (at {path})")
        self.detail = detail
        self.path = path


class MalformedPayload(WireError):
    """Not JSON, or JSON of another shape than the schema's."""

    code = "malformed_payload"


class UnknownVersion(WireError):
    """A `v` that this release does not read."""

    code = "unknown_version"


class UnknownKind(WireError):
    """A kind of event, rule or order that this release does not know."""

    code = "unknown_kind"


class TooLarge(WireError):
    """More bytes than the limit allows."""

    code = "too_large"

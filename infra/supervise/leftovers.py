"""The list of children on disk, so that the next `up` can end what a killed one has left behind.

`reaper` does this at once; the list is for the day on which the reaper was killed, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from infra.supervise.processes import is_running, started_at, stop_group

_STOP_WITHIN_S = 8.0


class Listed(msgspec.Struct, frozen=True):
    """One child: its number, and when it began."""

    name: str
    pid: int
    started: str


_decode = msgspec.json.Decoder(list[Listed]).decode


class ChildrenFile:
    """`run/children.json`: who runs for this data directory."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "children.json"

    def write(self, children: Iterable[tuple[str, int]]) -> None:
        """Write the list anew, whole or not at all."""
        listed = [Listed(name, pid, started_at(pid)) for name, pid in children]
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(listed))
        fresh.replace(self._path)

    def pid_of(self, name: str) -> int | None:
        """The number of a child, if it runs."""
        return next(
            (one.pid for one in self._read() if one.name == name and is_running(one.pid, one.started)), None
        )

    def stop_all(self, tell: Callable[[str], None]) -> int:
        """End whoever on the list still runs; how many those were."""
        left = [child for child in self._read() if is_running(child.pid, child.started)]
        # In the order opposite to that of starting, as always.
        for child in reversed(left):
            tell(f"stopping {child.name} (pid {child.pid}), which an earlier `up` has left behind")
            stop_group(child.pid, within_s=_STOP_WITHIN_S)
        self._path.unlink(missing_ok=True)
        return len(left)

    def _read(self) -> list[Listed]:
        try:
            return _decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            # No list, or half of one: then there is nobody whom we could name.
            return []

"""Changes settings in a running process: at SIGHUP, and when a settings file or secret file has changed.

What is `live` is applied; what needs a restart is named; a file with a mistake changes nothing. `decide` says
what to do; `Reloader` does it, as a coroutine that the composition root runs beside the agents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from infra.errors import Failure
from infra.settings.checks import problems
from infra.settings.leaves import leaves, value_at
from infra.settings.reading import Loaded, with_values
from schemas.settings import Settings

# One stat of a few files: an operator who saves a file sees it taken up within two seconds.
POLL_INTERVAL_S = 1.0


class Changes(msgspec.Struct, frozen=True):
    """Which leaves differ, by when they take effect."""

    live: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


class Applied(msgspec.Struct, frozen=True):
    """What to run with from now on, which leaves are new in it, and what to tell the operator."""

    settings: Settings
    changed: tuple[str, ...]
    sentence: str


def diff(old: Settings, new: Settings) -> Changes:
    """The leaves that differ."""
    differing = [leaf for path, leaf in leaves().items() if value_at(old, path) != value_at(new, path)]
    return Changes(
        live=tuple(leaf.path for leaf in differing if leaf.reload == "live"),
        restart=tuple(leaf.path for leaf in differing if leaf.reload == "restart"),
    )


def decide(running: Settings, read: Settings) -> Applied:
    """What of newly read settings a running process can take up.

    The live ones, unless they make sense only together with others that need a restart: then none, as the
    process would run with a tree that no start would have accepted.
    """
    changes = diff(running, read)
    mixed = with_values(running, {path: value_at(read, path) for path in changes.live})
    if changes.live and problems(mixed):
        waiting = ", ".join((*changes.live, *changes.restart))
        return Applied(running, (), f"settings changed that only fit together after a restart: {waiting}")
    parts = []
    if changes.live:
        parts.append(f"settings taken up: {', '.join(changes.live)}")
    if changes.restart:
        parts.append(f"settings that need a restart have changed: {', '.join(changes.restart)}")
    return Applied(mixed, changes.live, "; ".join(parts))


class Reloader:
    """Keeps the settings of one process up to date.

    `on_change(settings, changed leaves)` is called when live leaves have new values, `report(sentence)` for
    the log; both from the event loop's thread.
    """

    def __init__(
        self,
        loaded: Loaded,
        on_change: Callable[[Settings, list[str]], None],
        *,
        report: Callable[[str], None],
        interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        self.settings = loaded.settings
        self._loaded = loaded
        self._on_change = on_change
        self._report = report
        self._interval_s = interval_s
        self._asked = asyncio.Event()
        self._seen = _marks(loaded.watched())

    def __repr__(self) -> str:
        return f"<Reloader watching {len(self._seen)} files>"

    def ask(self) -> None:
        """Read again now, changed or not: for `loop.add_signal_handler(signal.SIGHUP, reloader.ask)`."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            was_asked = await self._wait()
            marks = await asyncio.to_thread(lambda: _marks(self._loaded.watched()))
            if was_asked or marks != self._seen:
                self._seen = marks
                await self._reload(was_asked=was_asked)

    async def _wait(self) -> bool:
        try:
            await asyncio.wait_for(self._asked.wait(), self._interval_s)
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def _reload(self, *, was_asked: bool) -> None:
        try:
            self._loaded = await asyncio.to_thread(self._loaded.reload)
        except Failure as failure:
            self._report(f"settings not reloaded, the running ones stay: {failure.sentence}")
            return
        applied = decide(self.settings, self._loaded.settings)
        self.settings = applied.settings
        if applied.changed:
            self._on_change(applied.settings, list(applied.changed))
        if applied.sentence or was_asked:
            self._report(applied.sentence or "settings read again: nothing has changed")


def _marks(files: list[Path]) -> dict[Path, tuple[int, ...]]:
    """What tells a changed file from an unchanged one; a missing file is a state, too."""
    return {file: _mark(file) for file in files}


def _mark(file: Path) -> tuple[int, ...]:
    try:
        stat = file.stat()
    except OSError:
        return ()
    # The inode, because editors and orchestrators replace a file rather than write into it.
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)

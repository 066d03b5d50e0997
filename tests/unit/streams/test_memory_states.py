"""A memory beside a model of it: whatever happens, it gives the model's answer or, where it may, none.

Arrivals, expiries, evictions from the process, orders, records of an earlier owner, crashes, moves to another
directory. On disk nothing may be missing; in process only, what was evicted may.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from deadline import until
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from memos import HOUR_MS, LIMITS, NOW_MS, digest, memo

from schemas.memory import Memo
from schemas.wire import encode
from streams.core.restoring import begin_at
from streams.ports import Change, PartitionMemory, Placed
from streams.recalling import MemoryMemory
from streams.remembered import RocksMemory
from streams.rocks import BlockCache

NAMES = "abcdef"
LIMITS_HERE = LIMITS._replace(entries_max=3, ttl_ms=5 * HOUR_MS)

names = st.sampled_from(NAMES)
hours = st.integers(1, 8)


def copied(files: Path, into: Path) -> bool:
    """Copy a store that may be merging files in the background; False if it did meanwhile."""
    shutil.rmtree(into, ignore_errors=True)
    before = sorted(files.iterdir())
    try:
        shutil.copytree(files, into)
    except shutil.Error:
        return False
    return sorted(files.iterdir()) == before


class Remembering(RuleBasedStateMachine):
    """The model: the changelog as a list, and what the memory took in of it."""

    may_forget = False
    """Whether an answer may be missing."""

    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.directories = 0
        self.now_ms = NOW_MS
        self.log: list[tuple[str, Memo | None]] = []
        self.local: dict[str, Memo | None] = {}
        self.known_to = 0
        self.cut_ms = 0
        self.answered = 0
        self.memory = self.opened(self.directory())
        self.catch_up()

    def directory(self) -> Path:
        self.directories += 1
        return self.folder / str(self.directories)

    def opened(self, directory: Path) -> PartitionMemory:
        self.at = directory
        return RocksMemory(directory, LIMITS_HERE, BlockCache(1 << 20))

    def catch_up(self):
        begin = begin_at(self.memory.next_offset, 0, len(self.log))
        assert not begin.is_anew
        assert self.may_forget or begin.offset == self.known_to
        changes = [
            Change(digest(name).encode(), None if one is None else encode(one), begin.offset + at)
            for at, (name, one) in enumerate(self.log[begin.offset :])
        ]
        for first in range(0, len(changes), 3):
            self.memory.restore(changes[first : first + 3])
        self.local |= dict(self.log[begin.offset :])
        self.memory.restored(len(self.log))
        self.known_to = len(self.log)
        self.memory.obey(self.refuses)

    def refuses(self, one: Memo) -> bool:
        return one.judged_at_ms < self.cut_ms

    def write(self, name: str, one: Memo | None) -> int:
        self.log.append((name, one))
        return len(self.log) - 1

    @rule(name=names, good_for_h=hours, action=st.sampled_from(["allow", "block"]))
    def remember(self, name: str, good_for_h: int, action: str):
        one = memo(
            name,
            judged_at_ms=self.now_ms,
            expires_at_ms=self.now_ms + good_for_h * HOUR_MS,
            action=action,
            reasons=(f"record {len(self.log)}",),
        )
        self.memory.remember([Placed(one, encode(one))], self.write(name, one))
        self.local[name] = one
        self.known_to = len(self.log)

    @rule(name=names, forgets=st.booleans())
    def an_earlier_owner_writes(self, name: str, forgets: bool):
        """Its record is not known here until the changelog is read again, and perhaps never."""
        made = memo(name, judged_at_ms=self.now_ms, reasons=("earlier owner",))
        self.write(name, None if forgets else made)

    @rule(passed_h=hours)
    def time_passes(self, passed_h: int):
        self.now_ms += passed_h * HOUR_MS

    @rule(back_h=st.integers(0, 3))
    def order(self, back_h: int):
        self.cut_ms = max(self.cut_ms, self.now_ms - back_h * HOUR_MS)
        self.memory.obey(self.refuses)

    @rule()
    def restart(self):
        self.memory.close()
        self.memory = self.opened(self.at)
        self.catch_up()

    @rule()
    def crash(self):
        """What a process leaves behind that is killed: its files as they are, nothing flushed or closed."""
        left = self.directory()
        if self.at.exists():
            until(lambda: copied(self.at, left), within_s=10)
        self.memory.close()
        self.memory = self.opened(left)
        self.catch_up()

    @rule()
    def move(self):
        """Another worker takes over, which has nothing: it reads all of the changelog."""
        self.memory.close()
        self.memory = self.opened(self.directory())
        self.local.clear()
        self.known_to = 0
        self.catch_up()

    @rule(wanted=st.lists(names, max_size=3))
    def ask(self, wanted: list[str]):
        found = self.memory.look_up([digest(name) for name in wanted], self.now_ms)
        expected = [one for name in wanted if (one := self.local.get(name)) is not None and self.stands(one)]
        if found is None:
            assert self.may_forget or not expected
        else:
            self.answered += 1
            assert found in expected if self.may_forget else found == expected[0]

    def stands(self, one: Memo) -> bool:
        young = one.judged_at_ms + LIMITS_HERE.ttl_ms > self.now_ms
        return young and one.expires_at_ms > self.now_ms and not self.refuses(one)

    @invariant()
    def it_never_claims_to_know_what_it_does_not(self):
        if hasattr(self, "memory"):
            assert (self.memory.next_offset or 0) <= len(self.log)
            assert self.memory.stats().hits_memory + self.memory.stats().hits_disk <= self.answered

    def teardown(self):
        if hasattr(self, "memory"):
            self.memory.close()
            shutil.rmtree(self.folder)


class RememberingInProcess(Remembering):
    """Keeps three memos, and loses all with the process."""

    may_forget = True

    def opened(self, directory: Path) -> PartitionMemory:
        self.at = directory
        self.local.clear()
        self.known_to = 0
        return MemoryMemory(LIMITS_HERE)


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRememberingInProcess = RememberingInProcess.TestCase

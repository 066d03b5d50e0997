"""What a newer release says in `policy` or `control` stops a worker, named; its key written anew does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from samples import NOW
from stages import TOPICS, FakeRecord

from infra.policies import default_policy_path, read
from schemas.control import Enforce
from schemas.errors import UnknownVersion
from schemas.policy import ActivePolicy
from schemas.wire import encode
from streams.broadcast import Broadcast
from streams.core.digest import policy_digest
from streams.core.policies import active_key, document_key
from streams.guidance import Guidance
from streams.observing import Tally
from streams.ports import Record
from streams.rescuing import Rescuer

NEWER = b'{"v":9}'
OFF = encode(Enforce(v=1, issued_at=NOW, active=False))


class Told:
    """A worker's guidance, and what it was told to do."""

    def __init__(self) -> None:
        self.stopped: list[Exception] = []
        self.tally = Tally()
        self.guidance = Guidance(
            TOPICS, {}, Rescuer({}), self.tally, on_orders=lambda _: None, stop_worker=self.stopped.append
        )


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    """Give a guidance that starts with these records in `control`."""
    standing: list[Record] = []

    async def start(broadcast: Broadcast) -> None:
        for record in standing:
            if record.topic == broadcast.topic:
                broadcast._reader(record)  # noqa: SLF001

    async def follow(_: Broadcast) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Broadcast, "on_start", start)
    monkeypatch.setattr(Broadcast, "_read", follow)

    def make(*records: Record) -> Told:
        standing[:] = records
        return Told()

    return make


def _orders(*values: bytes | None, key: bytes = b"enforce") -> list[FakeRecord]:
    return [FakeRecord(TOPICS.control, 0, 17 + at, value, key) for at, value in enumerate(values)]


async def test_a_record_of_a_newer_release_is_named(told: Callable[..., Told]) -> None:
    one = told(*_orders(OFF, NEWER))
    with pytest.raises(UnknownVersion, match=r"control/0@18 with the key `enforce` is of version 9"):
        await one.guidance.start()
    await one.guidance.stop()


@pytest.mark.parametrize("anew", [OFF, None, b"no order at all"])
async def test_where_its_key_was_written_anew_it_counts_no_longer(
    told: Callable[..., Told], anew: bytes | None
) -> None:
    one = told(*_orders(NEWER, anew))
    await one.guidance.start()
    assert one.guidance.orders.enforce == (anew != OFF)
    assert one.stopped == []
    await one.guidance.stop()


async def test_another_key_written_anew_is_no_way_out(told: Callable[..., Told]) -> None:
    one = told(*_orders(NEWER), *_orders(OFF, key=b"pause/low"))
    with pytest.raises(UnknownVersion, match="control/0@17"):
        await one.guidance.start()
    await one.guidance.stop()


async def test_one_that_comes_later_stops_the_worker_at_once(told: Callable[..., Told]) -> None:
    one = told()
    await one.guidance.start()
    one.guidance._take_order(_orders(NEWER, key=b"x\n\x1b" + b"y" * 200)[0])  # noqa: SLF001
    (error,) = one.stopped
    assert isinstance(error, UnknownVersion)
    assert "with the key `x\\n\\x1byyyy" in str(error)
    assert len(str(error)) < 250
    await one.guidance.stop()


async def test_a_policy_whose_compiling_breaks_is_refused_and_the_service_goes_on(
    told: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("streams.guidance.compile_document", broken)
    policy = read(default_policy_path()).policy
    digest = policy_digest(policy)
    pointer = ActivePolicy(v=1, id=policy.id, version=policy.version, digest=digest)
    worker = told(
        FakeRecord(TOPICS.policy, 0, 0, encode(policy), document_key(digest)),
        FakeRecord(TOPICS.policy, 0, 1, encode(pointer), active_key(policy.id)),
    )
    await worker.guidance.start()
    await worker.guidance.stop()
    assert worker.guidance.policies.to_compile() == ()
    assert not worker.stopped

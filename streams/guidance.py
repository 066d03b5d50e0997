"""What operators have told all workers: the policies that are active, and the orders that stand.

Both come from topics that every worker reads in full before it judges its first event. New policies are
compiled off the loop; until one is ready, and for good if it cannot be used, the policy before it goes on
judging.

What a newer release wrote stops us. At the start only the latest record of each key counts, so that writing a
key anew is a way out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from mode import Service

from schemas.errors import UnknownVersion, WireError
from schemas.wire import decode_control
from streams.broadcast import Broadcast
from streams.core.newer import NewerRecords, named
from streams.core.orders import Orders
from streams.core.policies import PolicyBook
from streams.core.rules import BadPolicy, compile_document
from streams.observing import Tally
from streams.ports import Record
from streams.rescuing import Rescuer
from streams.topics import Topics


class Guidance(Service):
    """Policies and orders, as they are now."""

    abstract = False
    mundane_level = "debug"

    def __init__(
        self,
        topics: Topics,
        options: Mapping[str, Any],
        rescuer: Rescuer,
        tally: Tally,
        *,
        on_orders: Callable[[Orders], None],
        stop_worker: Callable[[Exception], None],
    ) -> None:
        super().__init__()
        self.policies = PolicyBook()
        self.orders = Orders()
        self._tally = tally
        self._on_orders = on_orders
        self._stop_worker = stop_worker
        self._to_compile = asyncio.Event()
        self._newer = NewerRecords()
        self._is_read = False
        self._policy = Broadcast(topics.policy, self._take_policy, options, rescuer)
        self._control = Broadcast(topics.control, self._take_order, options, rescuer)

    def __repr__(self) -> str:
        return f"<Guidance {self.policies!r} | {self.orders}>"

    async def on_start(self) -> None:
        """Read both topics to their ends."""
        await self.add_runtime_dependency(self._policy)
        await self.add_runtime_dependency(self._control)
        self._is_read = True
        if self._newer.first is not None:
            raise self._newer.first
        await self._compile()

    @Service.task
    async def _keep_compiled(self) -> None:
        while not self.should_stop:
            await self.wait(self._to_compile)  # type: ignore[arg-type]  # mode waits for asyncio's events, too.
            self._to_compile.clear()
            await self._compile()

    async def _compile(self) -> None:
        for document in self.policies.to_compile():
            try:
                self.policies.install(await asyncio.to_thread(compile_document, document))
            except BadPolicy as refusal:
                self.policies.refuse(document.ref.digest)
                self._tally.error(f"policy {document.ref.id} {document.ref.version} was refused: {refusal}")
            except Exception as bug:  # noqa: BLE001 - whatever it is, the policy that judges goes on doing so.
                self.policies.refuse(document.ref.digest)
                self._tally.error(f"policy {document.ref.id} {document.ref.version} was refused: {bug!r}")

    def _take_policy(self, record: Record) -> None:
        self._take(record, lambda: self.policies.apply(record.key, record.value))
        self._to_compile.set()

    def _take_order(self, record: Record) -> None:
        self._take(record, lambda: self._obey(record.value))

    def _obey(self, order: bytes | None) -> None:
        if order is not None:
            self.orders = self.orders.after(decode_control(order))
            self._on_orders(self.orders)

    def _take(self, record: Record, change: Callable[[], None]) -> None:
        """What is newer than we are stops us; what is wrong in another way is told, and passed by."""
        try:
            change()
        except UnknownVersion as error:
            if self._is_read:
                self._stop_worker(named(error, record))
            else:
                self._newer.found(record, error)
        except WireError as error:
            self._newer.replaced(record)
            self._tally.error(f"{record.topic}: {error.code}: {error.detail}")
        else:
            self._newer.replaced(record)

"""aiokafka's consumer on uvloop: a connection that is closed in the middle is an error of the connection.

Where a broker goes away between two writes, uvloop raises `RuntimeError`. aiokafka knows what asyncio's own
loop does, which is to raise nothing: its tasks for metadata, heartbeats and commits would end of it, and a
worker would go on without them, without a word. Here it is an `OSError`, which aiokafka takes as it should.
"""

from __future__ import annotations

import inspect
from typing import Any

import aiokafka
from aiokafka.client import AIOKafkaClient


class PatientConsumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types.
    """aiokafka's consumer, whose client survives what uvloop raises."""

    _client: Any

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        known = inspect.signature(AIOKafkaClient).parameters
        # Neither of the two has connected to anything yet.
        self._client = PatientClient(**{name: value for name, value in options.items() if name in known})


class PatientClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka has no types.
    """aiokafka's client."""

    async def _get_conn(self, node_id: int, **options: Any) -> Any:
        try:
            connection = await super()._get_conn(node_id, **options)
        except RuntimeError:
            # It was closed while the two introduced themselves.
            self.force_metadata_update()
            return None
        if connection is not None and not isinstance(connection._writer, PatientWriter):
            connection._writer = PatientWriter(connection._writer)
        return connection

    def drop(self) -> None:
        """Close all connections at once, whatever is under way on them."""
        for connection in [*self._conns.values()]:
            connection.close()


class PatientWriter:
    """A stream's writer."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def write(self, data: bytes) -> None:
        """Write; what is closed already is a connection that was reset."""
        try:
            self._writer.write(data)
        except RuntimeError as closed:
            raise ConnectionResetError(str(closed)) from None

"""aiokafka's consumer on uvloop: a connection that is closed in the middle is an error of the connection.

Where a broker goes away between two writes, uvloop raises `RuntimeError`. aiokafka knows what asyncio's own
loop does, which is to raise nothing: its tasks for metadata, heartbeats and commits would end of it, and a
worker would go on without them, without a word. Here it is an `OSError`, which aiokafka takes as it should.

aiokafka waits for brokers that are away, for as long as it takes, and tells nobody. Here it is known since
when.
"""

from __future__ import annotations

import inspect
import time
from typing import Any

import aiokafka
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, RequestTimedOutError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

# What a request ends with that no broker has answered.
_NO_ANSWER = (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError, OSError, TimeoutError)
# Brokers keep these until there is something to say: that the answer is not there yet says nothing.
_MAY_TAKE_LONG = (FetchRequest, JoinGroupRequest, SyncGroupRequest)


class Silence:
    """Since when no broker has answered.

    It begins with a question, or with a connection that fails, and ends with any answer. Set in the thread
    that talks to the brokers, read in others.
    """

    def __init__(self) -> None:
        self.since_s: float | None = None

    def __repr__(self) -> str:
        return f"<Silence of {self.lasts_ms:.0f} ms>"

    @property
    def lasts_ms(self) -> float:
        """How long it lasts by now; 0 where there is none."""
        since_s = self.since_s
        return 0.0 if since_s is None else (time.monotonic() - since_s) * 1_000

    def begin(self) -> float | None:
        """Nobody has answered; gives the mark to take it back by, where it was not so before."""
        if self.since_s is not None:
            return None
        self.since_s = time.monotonic()
        return self.since_s

    def take_back(self, mark: float | None) -> None:
        """Whoever asked does not want to know any more."""
        if mark is not None and self.since_s == mark:
            self.since_s = None

    def end(self) -> None:
        """A broker has answered."""
        self.since_s = None


class PatientConsumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types.
    """aiokafka's consumer, whose client survives what uvloop raises."""

    _client: Any

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        known = inspect.signature(AIOKafkaClient).parameters
        # Neither of the two has connected to anything yet.
        self._client = PatientClient(**{name: value for name, value in options.items() if name in known})

    def check_background(self) -> None:
        """Raise what has ended the work in the background: nothing would come any more, without a word."""
        for task in (self._fetcher.error_future, self._client._sync_task):
            if task.done() and not task.cancelled() and (bug := task.exception()) is not None:
                raise bug

    @property
    def away_ms(self) -> float:
        """For how long no broker has answered; 0 while one does."""
        lasts_ms: float = self._client.silence.lasts_ms
        return lasts_ms


class PatientClient(AIOKafkaClient):  # type: ignore[misc]  # aiokafka has no types.
    """aiokafka's client."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.silence = Silence()

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send it, and note whether anybody answers."""
        mark = None if isinstance(request, _MAY_TAKE_LONG) else self.silence.begin()
        try:
            answer = await super().send(node_id, request, **options)
        except _NO_ANSWER:
            self.silence.begin()
            raise
        except BaseException:
            self.silence.take_back(mark)
            raise
        self.silence.end()
        return answer

    async def _get_conn(self, node_id: int, **options: Any) -> Any:
        try:
            connection = await super()._get_conn(node_id, **options)
        except RuntimeError:
            # It was closed while the two introduced themselves.
            self.force_metadata_update()
            connection = None
        if connection is None:
            self.silence.begin()
        elif not isinstance(connection._writer, PatientWriter):
            # A new one: the two have introduced themselves.
            self.silence.end()
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

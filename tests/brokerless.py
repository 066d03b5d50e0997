"""A Kafka that says for a moment that it has no brokers, as one does that is being stopped.

It stands before a real one, passes on what goes by, and changes the answers to one kind of question: those to
Metadata name itself as the only broker, and once, when it is told to, none at all.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Self

_METADATA = 3
# From this version on lengths are varints and structs end with tags. Those of today agree on later ones.
_FLEXIBLE = 9
_WITH_ERROR_LAST = 13


class Brokerless:
    """Between a client and the broker at this port."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._is_to_deny = False
        self.denied = 0
        """How often it said that there are no brokers."""
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._open:
            connection.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def deny(self) -> None:
        """Say with the next answer that there are none."""
        self._is_to_deny = True

    def _accept(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._pass_on(client, to_client))
        self._open.add(connection)
        connection.add_done_callback(self._open.discard)

    async def _pass_on(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        asked: dict[int, int] = {}
        """The version of each question for metadata, by its number."""

        async def requests() -> None:
            while True:
                frame = await _frame(client)
                key, version, number = struct.unpack_from(">hhi", frame)
                if key == _METADATA:
                    asked[number] = version
                to_broker.write(_framed(frame))

        async def responses() -> None:
            while True:
                frame = await _frame(broker)
                [number] = struct.unpack_from(">i", frame)
                if (version := asked.pop(number, None)) is not None:
                    frame = self._changed(frame, version)
                to_client.write(_framed(frame))

        ways = [asyncio.ensure_future(requests()), asyncio.ensure_future(responses())]
        try:
            # What ends one of them is that somebody closed the connection.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_client.close()
            to_broker.close()

    def _changed(self, frame: bytes, version: int) -> bytes:
        assert version >= _FLEXIBLE, f"metadata of version {version}"
        answer = _Metadata(frame)
        if not self._is_to_deny or not answer.topics:
            return answer.with_port(self.port)
        self._is_to_deny = False
        self.denied += 1
        return answer.without_brokers(has_error_last=version >= _WITH_ERROR_LAST)


class _Metadata:
    """An answer, as far as it is to be changed."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        # The number, tags, and for how long the client was throttled.
        self._brokers_at = 4 + 1 + 4
        brokers, at = _uvarint(frame, self._brokers_at)
        assert brokers - 1 == 1, "one broker"
        self._port_at = _string_end(frame, at + 4)
        rack_at = self._port_at + 4
        self._cluster_at = _string_end(frame, rack_at) + 1
        self._controller_at = _string_end(frame, self._cluster_at)
        topics, self._topic_at = _uvarint(frame, self._controller_at + 4)
        self.topics = topics - 1

    def with_port(self, port: int) -> bytes:
        return self._frame[: self._port_at] + struct.pack(">i", port) + self._frame[self._port_at + 4 :]

    def without_brokers(self, *, has_error_last: bool) -> bytes:
        """No broker, and the topic has one partition without a leader; a list says one more than it has."""
        name_end = _string_end(self._frame, self._topic_at + 2)
        topic = self._frame[self._topic_at : name_end + 16 + 1]
        # LEADER_NOT_AVAILABLE, the partition, no leader, an epoch, nobody who has it, tags.
        leaderless = struct.pack(">hiii", 5, 0, -1, 0) + b"\1\1\1" + b"\0"
        rights_and_tags = struct.pack(">i", -(2**31)) + b"\0"
        return b"".join(
            (
                self._frame[: self._brokers_at],
                b"\1",
                self._frame[self._cluster_at : self._controller_at],
                struct.pack(">i", -1),
                b"\2",
                topic,
                b"\2",
                leaderless,
                rights_and_tags,
                b"\0\0" if has_error_last else b"",
                b"\0",
            )
        )


async def _frame(reader: asyncio.StreamReader) -> bytes:
    [length] = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)


def _framed(frame: bytes) -> bytes:
    return struct.pack(">i", len(frame)) + frame


def _uvarint(frame: bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows begins."""
    value = shift = 0
    while True:
        byte = frame[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _string_end(frame: bytes, at: int) -> int:
    """Where what follows a string begins; its length is one less than what stands there, and 0 is none."""
    length, begin = _uvarint(frame, at)
    return begin + max(0, length - 1)

"""A consumer that keeps its place in the group over restarts, and notices when another process has taken it.

aiokafka names the static member in `JoinGroup` only, not in heartbeats and commits. One that was frozen and
replaced is told there that it is unknown, as one is whose session is over; aiokafka then joins as a stranger
of the same name, which throws the replacement out, and both fight for ever. Here it first asks as who it was:
then the broker says which of the two it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiokafka
from aiokafka.errors import NoError, UnknownMemberIdError
from aiokafka.protocol.group import JoinGroupRequest

from streams.connecting import PatientConsumer

# Kafka's FENCED_INSTANCE_ID, of which aiokafka 0.14 knows nothing.
_FENCED = 82


class Fenced(Exception):
    """Another process has joined the group under this member's name."""

    def __init__(self, instance: str) -> None:
        super().__init__(f"another process has joined the group as {instance}, and does its work")


class MemberConsumer(PatientConsumer):
    """aiokafka's consumer, as a static member or as none."""

    def __init__(
        self, *, group_instance_id: str | None, on_fenced: Callable[[Fenced], None], **options: Any
    ) -> None:
        super().__init__(group_instance_id=group_instance_id, **options)
        if group_instance_id is not None:
            self._client = KnownMember(self._client, group_instance_id, on_fenced)

    @property
    def is_member(self) -> bool:
        """Whether the group knew us when we last heard of it."""
        return self._coordinator is not None and self._coordinator.generation >= 0


class KnownMember:
    """What a static member says to the brokers, and hears."""

    def __init__(
        self, client: aiokafka.client.AIOKafkaClient, instance: str, on_fenced: Callable[[Fenced], None]
    ) -> None:
        self._client = client
        self._instance = instance
        self._on_fenced = on_fenced
        self._known_as = JoinGroupRequest.UNKNOWN_MEMBER_ID

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        """Send it; a stranger who asks to join says who he was, if he was somebody."""
        if not isinstance(request, JoinGroupRequest):
            return await self._client.send(node_id, request, **options)
        request._member_id = request._member_id or self._known_as
        answer = await self._client.send(node_id, request, **options)
        match answer.error_code:
            case NoError.errno:
                self._known_as = answer.member_id
            case UnknownMemberIdError.errno:
                # The session was over, and nobody has our name: the next time we join as new.
                self._known_as = JoinGroupRequest.UNKNOWN_MEMBER_ID
            case code if code == _FENCED:
                self._on_fenced(Fenced(self._instance))
        return answer

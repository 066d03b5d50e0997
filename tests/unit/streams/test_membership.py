"""A static member before the group's coordinator: back in its place, thrown out by time, or replaced."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest

from streams.membership import Fenced, KnownMember

OK, UNKNOWN_MEMBER, FENCED = 0, 25, 82


class Answer(NamedTuple):
    error_code: int
    member_id: str = ""


class Group:
    """A broker's side of one name in a group: as Kafka answers a request to join."""

    def __init__(self) -> None:
        self.holder = ""
        self.joined: list[str] = []

    async def send(self, _node_id: int, request: Any, **_options: Any) -> Answer:
        if not isinstance(request, JoinGroupRequest):
            return Answer(OK)
        asks_as = request._member_id  # noqa: SLF001 - what would be written into the request
        self.joined.append(asks_as)
        if asks_as and not self.holder:
            return Answer(UNKNOWN_MEMBER)
        if asks_as and asks_as != self.holder:
            return Answer(FENCED)
        self.holder = asks_as or f"member-{len(self.joined)}"
        return Answer(OK, self.holder)

    def replace(self) -> None:
        """Another process joins under the same name."""
        self.holder = "another"

    def expire(self) -> None:
        """Its session is over, and nobody has taken the name."""
        self.holder = ""


class Member:
    def __init__(self, group: Group) -> None:
        self.fenced: list[Fenced] = []
        self.client = KnownMember(group, "w", self.fenced.append)

    async def join(self, member_id: str = "") -> Answer:
        """As aiokafka asks: as nobody, once a heartbeat or a commit was answered with "unknown"."""
        return await self.client.send(0, JoinGroupRequest("g", 1, 1, member_id, "w", "consumer", []))


@pytest.fixture
def group() -> Group:
    return Group()


async def test_one_that_was_replaced_is_told_and_does_not_take_the_name_back(group: Group):
    member = Member(group)
    await member.join()
    group.replace()
    assert (await member.join()).error_code == FENCED
    assert (group.joined, group.holder) == (["", "member-1"], "another")
    assert str(member.fenced[0]) == "another process has joined the group as w, and does its work"


async def test_one_whose_session_was_over_joins_as_new(group: Group):
    member = Member(group)
    await member.join()
    group.expire()
    assert (await member.join()).error_code == UNKNOWN_MEMBER
    assert (await member.join()).error_code == OK
    assert (group.joined, member.fenced) == (["", "member-1", ""], [])


async def test_one_that_the_group_still_knows_is_the_same_as_before(group: Group):
    member = Member(group)
    before = await member.join()
    assert await member.join() == before
    assert await member.join(before.member_id) == before
    assert member.fenced == []


async def test_the_replacement_has_no_former_self_and_takes_the_name(group: Group):
    first, second = Member(group), Member(group)
    await first.join()
    assert (await second.join()).error_code == OK
    assert (await first.join()).error_code == FENCED
    assert (len(first.fenced), second.fenced) == (1, [])


async def test_other_requests_are_left_as_they_are(group: Group):
    assert (await Member(group).client.send(0, HeartbeatRequest("g", 1, "member-1"))).error_code == OK
    assert group.joined == []

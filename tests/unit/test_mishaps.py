"""What raises in a callback, where nobody waits for it: the worker stops for ours, and only for ours."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from stages import callbacks_ran

from infra.errors import ExitCode, Failure
from infra.mishaps import listen
from infra.reasons import code_of, told
from streams.turns import ByAndBy

SECRET = "what somebody wrote"


@pytest.fixture
async def reasons() -> list[BaseException]:
    """Give the reasons to stop."""
    stopped: list[BaseException] = []
    listen(asyncio.get_running_loop(), stopped.append)
    return stopped


def fail(*_: object) -> None:
    raise KeyError(SECRET)


async def test_a_bug_that_comes_through_our_code_stops_with_its_name_and_place(
    reasons: list[BaseException], caplog: pytest.LogCaptureFixture
):
    asyncio.get_running_loop().call_soon(ByAndBy(fail).add, [1])
    await callbacks_ran()
    (reason,) = reasons
    assert isinstance(reason, Failure)
    assert code_of(reason) == ExitCode.UNEXPECTED
    assert told(reason).startswith("KeyError at streams.turns:")
    assert SECRET not in told(reason) + caplog.text


async def test_a_timer_and_a_future_are_heard_as_well(reasons: list[BaseException]):
    loop = asyncio.get_running_loop()
    loop.call_later(0, ByAndBy(fail).add, [1])
    future = loop.create_future()
    future.add_done_callback(lambda _: ByAndBy(fail).add([1]))
    future.set_result(None)
    await asyncio.sleep(0.01)
    assert len(reasons) == 2


async def test_what_a_library_meets_in_its_own_callbacks_is_logged_and_no_more(
    reasons: list[BaseException], caplog: pytest.LogCaptureFixture
):
    asyncio.get_running_loop().call_soon(fail)
    await callbacks_ran()
    assert reasons == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_task_that_somebody_gave_up_is_logged_and_no_more(
    reasons: list[BaseException], caplog: pytest.LogCaptureFixture
):
    async def given_up() -> None:
        ByAndBy(fail).add([1])

    task = asyncio.ensure_future(given_up())
    await callbacks_ran()
    del task
    gc.collect()
    assert reasons == []
    assert "never retrieved" in caplog.text

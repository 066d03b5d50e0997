"""Telling whose a cancellation is: what we await may be cancelled by somebody who did not mean us."""

from __future__ import annotations

import asyncio


def times_cancelled() -> int:
    """How often somebody has asked the present task to end; 0 outside of one."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()

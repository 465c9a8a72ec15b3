"""Waits of libraries in which a cancellation can get lost.

Up to Python 3.11 `asyncio.wait_for` returns its result when the task is cancelled in the moment in which the result
comes, and the task goes on as if nobody had cancelled it (https://github.com/python/cpython/issues/86296): a job that
loops then never ends, and neither does who waits for it. Code of ours waits with `asyncio.timeout`, which is sound.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

ResultT = TypeVar("ResultT")


async def cancellable(wait: Awaitable[ResultT]) -> ResultT:
    """Wait; when the task was cancelled meanwhile, it is, whatever came. Raises: CancelledError."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task
    requested = task.cancelling()
    result = await wait
    if task.cancelling() > requested:
        raise asyncio.CancelledError
    return result

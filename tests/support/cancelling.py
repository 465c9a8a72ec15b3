"""Cancels work at every point at which it waits, and sees that it obeys."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def steps_until_done(work: Callable[[], Coroutine[Any, Any, object]], *, at_most: int = 300) -> int:
    """Cancel `work()` after one step of the loop, after two, …, until it is done before; how many steps that is.

    At most so many, for work that waits for time.

    Raises: AssertionError, when it goes on, or returns as if nobody had cancelled it.
    """
    for steps in range(at_most):
        task = asyncio.ensure_future(work())
        for _ in range(steps):
            await asyncio.sleep(0)
        if not task.cancel():
            task.result()
            return steps
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled(), f"cancelled after {steps} steps, it went on"
    return at_most

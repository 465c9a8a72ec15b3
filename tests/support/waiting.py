"""Waiting in tests: for a condition, never for a time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, within_s: float = 30.0) -> None:
    """Return as soon as `condition()` is true; the patience is for busy machines. Raises: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - conditions of other processes have no Event
            await asyncio.sleep(0.005)

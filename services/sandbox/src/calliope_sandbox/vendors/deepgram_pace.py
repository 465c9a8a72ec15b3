"""The pace of Deepgram's recognisers: messages leave when they are due and in order; silent clients are cut off."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable

from aiohttp import WSCloseCode, web

from calliope_sandbox.knobs import DeepgramKnobs
from calliope_sandbox.recognition import Emission

_MAX_WAITING = 10_000
"""Messages waiting to be sent; a client that reads none of so many is cut off."""


class Outgoing:
    """The messages of one stream; what comes late holds back what is behind it, as one stream does."""

    def __init__(self, knobs: DeepgramKnobs) -> None:
        self._knobs = knobs
        self._waiting: asyncio.Queue[tuple[float, Emission] | None] = asyncio.Queue(_MAX_WAITING)

    def put(self, emissions: Iterable[Emission]) -> None:
        """To be sent. Raises: QueueFull."""
        for emission in emissions:
            late_ms = self._knobs.final_ms + random.uniform(0, self._knobs.final_jitter_ms)  # noqa: S311 - no secret
            self._waiting.put_nowait((time.monotonic() + (late_ms if emission.late else 0.0) / 1_000, emission))

    def end(self) -> None:
        """Nothing follows. Raises: QueueFull."""
        self._waiting.put_nowait(None)

    async def due(self) -> AsyncIterator[Emission]:
        """Each when it is to leave, until the end."""
        while (item := await self._waiting.get()) is not None:
            due_at_s, emission = item
            wait_s = due_at_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            yield emission


async def close_when_idle(ws: web.WebSocketResponse, idle_s: float, heard_at_s: Callable[[], float]) -> None:
    """Close the socket once the client, last heard at `heard_at_s()`, has sent nothing for so long."""
    while True:
        left_s = idle_s - (time.monotonic() - heard_at_s())
        if left_s <= 0:
            await ws.close(code=WSCloseCode.INTERNAL_ERROR, message=b"NET-0001: no audio within 10 seconds")
            return
        await asyncio.sleep(left_s)

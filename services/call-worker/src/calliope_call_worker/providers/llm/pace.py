"""How fast a model's answer is taken, and how much of it: a server that floods must not slow the calls of others."""

import asyncio
from typing import Final

import aiohttp

from calliope.bodies import BodyReader

BYTES_PER_S: Final = 512 * 1024
LINES_PER_S: Final = 3_000
"""Some thousand tokens, faster than any server writes today, and a hundred times faster than a voice speaks them."""
BURST_S: Final = 0.5
"""So much of either may come at once."""
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_LINES: Final = 50_000
SLICE_BYTES: Final = 2 * 1024
"""Handled in one step of the loop; most reads of a stream are smaller."""


class EndlessBodyError(Exception):
    """An answer went on beyond what any answer needs, in words that follow "the answer"."""


class Pace:
    """Tells how long to wait before more is taken. Pure: the caller says what time it is."""

    def __init__(self) -> None:
        self._due = 0.0

    def wait_s(self, lines: int, size: int, now: float) -> float:
        """Seconds to wait after so many lines and bytes; 0 for whoever stays within the rate and its burst."""
        self._due = max(self._due, now) + max(lines / LINES_PER_S, size / BYTES_PER_S)
        return max(0.0, self._due - now - BURST_S)


class PacedBody:
    """The body of an answer in small slices. What is not taken fills the socket's buffers, and the server waits."""

    def __init__(self, response: aiohttp.ClientResponse, session: aiohttp.ClientSession) -> None:
        """Raises: BodyError, for a coding that is not undone."""
        self._body = BodyReader(response, session)
        self._now = asyncio.get_running_loop().time
        self._pace = Pace()
        self._piece, self._taken = b"", 0
        self._lines = 0
        self.received = 0
        """Bytes so far, as unpacked."""

    async def more(self) -> bytes:
        """The next slice, empty at the end. Raises: EndlessBodyError; BodyError; aiohttp.ClientError."""
        if self._taken < len(self._piece):
            await asyncio.sleep(0)  # a whole buffer came at once: others go on in between
        else:
            self._piece, self._taken = await self._body.piece(), 0
        data = self._piece[self._taken : self._taken + SLICE_BYTES]
        self._taken += len(data)
        self.received += len(data)
        lines = data.count(b"\n")
        self._lines += lines
        if self.received > MAX_BYTES or self._lines > MAX_LINES:
            limit = f"{MAX_BYTES // 1024**2} MB" if self.received > MAX_BYTES else f"{MAX_LINES} lines"
            raise EndlessBodyError(f"went on beyond {limit} and was cut")
        if (wait_s := self._pace.wait_s(lines, len(data), self._now())) > 0:
            await asyncio.sleep(wait_s)
        return data

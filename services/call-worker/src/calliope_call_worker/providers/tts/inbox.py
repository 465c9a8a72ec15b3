"""What came for one reply and was not taken yet: bounded, closed by an end or by an error."""

import asyncio
from collections import deque
from typing import Final, Generic, TypeVar

from calliope_call_worker.providers.errors import ProviderError

T = TypeVar("T")
MAX_WAITING: Final = 4_000
"""Pieces of audio nobody takes: a quarter of an hour at the usual 200 ms. More is refused, the reply fails."""


class Inbox(Generic[T]):
    """One writer that never waits, one reader. What came before an error is read before it is raised."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._ended = False
        self._error: ProviderError | None = None
        self._news = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._ended or self._error is not None

    @property
    def waiting(self) -> int:
        """How many were not taken."""
        return len(self._items)

    def put(self, item: T) -> bool:
        """Add one. False: it is full or closed."""
        if self.ended or len(self._items) >= MAX_WAITING:
            return False
        self._items.append(item)
        self._news.set()
        return True

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._news.set()

    def fail(self, error: ProviderError) -> None:
        """Nothing more comes, and it should have."""
        if not self.ended:
            self._error = error
        self._news.set()

    async def take(self) -> T | None:
        """The next one; None at the end. Raises: ProviderError, at a failure."""
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._items.popleft()

"""Caches that are bounded by bytes; pure."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")

ENTRY_BYTES: Final = 256
"""Counted for every entry beside its size, so that many small ones are bounded too."""


class BoundedCache(Generic[KeyT, ValueT]):
    """Keeps values within `max_bytes` in all; the least recently used goes first. One that is larger is not kept."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[KeyT, tuple[ValueT, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def bytes(self) -> int:
        """What its entries count for."""
        return self._bytes

    def get(self, key: KeyT) -> ValueT | None:
        """The value, which then counts as used."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: KeyT, value: ValueT, size_bytes: int) -> None:
        """Keep a value of that size, in the place of the one before."""
        self.drop(key)
        counted = size_bytes + ENTRY_BYTES
        if counted > self._max_bytes:
            return
        self._entries[key] = (value, counted)
        self._bytes += counted
        while self._bytes > self._max_bytes:
            self.drop(next(iter(self._entries)))

    def drop(self, key: KeyT) -> None:
        """Forget a value, if it is kept."""
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= found[1]

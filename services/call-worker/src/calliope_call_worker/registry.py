"""The calls on this worker and its free slots. Pure bookkeeping; one call is one entry until it is released."""

from collections.abc import Callable, Iterator
from typing import Protocol

from calliope.contracts.calls import EndReason
from calliope_call_worker.plan import CallPlan


class LiveCall(Protocol):
    """What others may know of a running call."""

    @property
    def plan(self) -> CallPlan:
        """What it was started with."""

    @property
    def ending(self) -> bool:
        """Whether it was decided that it ends; its media may close at any moment."""

    def line_ended(self, reason: EndReason, detail: str) -> None:
        """The carrier says that the line is gone; its media may still have to say so."""

    @property
    def waiting_facts(self) -> int:
        """Its facts that are not stored yet."""

    def end(self, reason: EndReason, detail: str) -> None:
        """Hang up now, whatever is being said; what was heard until then is kept."""

    async def released(self) -> None:
        """Until its media may be taken by whoever goes on with it: it ended here, or was handed over."""

    async def hand_over(self, within_s: float) -> None:
        """As `abandon`, at the next moment between two turns, at the latest after so much time."""

    async def abandon(self) -> None:
        """Stop without a word: somebody else goes on with it."""


class LiveCalls:
    """Slots. `on_change` hears every change, to leave and re-enter the queue of accepting workers."""

    def __init__(self, slots: int, on_change: Callable[[], None]) -> None:
        self._slots = slots
        self._on_change = on_change
        self._calls: dict[str, LiveCall | None] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter([call for call in self._calls.values() if call is not None])

    @property
    def full(self) -> bool:
        """Whether no further call fits."""
        return len(self._calls) >= self._slots

    def reserve(self, call_id: str) -> bool:
        """Keep a slot for a call that is about to start. False: there is none, or the call is here already."""
        if self.full or call_id in self._calls:
            return False
        self._calls[call_id] = None
        self._on_change()
        return True

    def register(self, call: LiveCall) -> None:
        """The call of a reserved slot runs."""
        self._calls[call.plan.call_id] = call

    def get(self, call_id: str) -> LiveCall | None:
        """The running call."""
        return self._calls.get(call_id)

    def release(self, call_id: str) -> None:
        """The slot is free again."""
        if self._calls.pop(call_id, self) is not self:
            self._on_change()

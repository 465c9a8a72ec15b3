"""One attempt for the same thing at a time: who asks meanwhile gets its outcome."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from calliope.errors import TransientError
from calliope_call_worker.errors import ASK_SOON_S

OutcomeT = TypeVar("OutcomeT")


class Attempts(Generic[OutcomeT]):
    """Attempts that run, by key."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Future[OutcomeT]] = {}

    async def once(self, key: str, work: Callable[[], Awaitable[OutcomeT]]) -> OutcomeT:
        """The outcome of `work`, or of the attempt for this key that runs already; raises what that raises."""
        running = self._running.get(key)
        if running is not None:
            return await asyncio.shield(running)
        outcome = self._running[key] = asyncio.get_running_loop().create_future()
        try:
            found = await work()
        except BaseException as exc:
            given_up = isinstance(exc, asyncio.CancelledError)
            again = TransientError("the attempt was given up; ask again", retry_after_s=ASK_SOON_S)
            outcome.set_exception(again if given_up else exc)
            outcome.exception()  # there may be nobody else to hear it
            raise
        finally:
            del self._running[key]
        outcome.set_result(found)
        return found

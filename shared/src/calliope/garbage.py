"""When Python's garbage collector makes its full rounds: in quiet moments, because one holds up every call at once.

A full round looks at every object: 60 ms with 100 live calls (64,000 objects, measured). Left alone, Python 3.11 makes
one whenever the objects have grown by a quarter, every 30 s under load. What has no cycles is freed without them.
"""

import asyncio
import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

CHECK_S: Final = 5.0
AT_LEAST_EVERY_S: Final = 300.0
_NEVER: Final = 1_000_000


@dataclass(slots=True)
class FullRounds:
    """Pure: whether a full round is due. At rest after any work, otherwise after `AT_LEAST_EVERY_S`."""

    last: float

    def due(self, now: float, *, at_rest: bool, younger_rounds: int) -> bool:
        """`younger_rounds`: how many the collector made over younger objects since the last full one."""
        if younger_rounds == 0 or not (at_rest or now - self.last >= AT_LEAST_EVERY_S):
            return False
        self.last = now
        return True


def freeze() -> None:
    """Take what a service has loaded out of all rounds, and full rounds out of Python's hands.

    To be called once, when everything is imported and connected. From then on `collect` makes the full ones.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)


async def collect(at_rest: Callable[[], bool]) -> None:
    """Make full rounds when `at_rest` says that nobody would notice, until cancelled."""
    loop = asyncio.get_running_loop()
    rounds = FullRounds(loop.time())
    while True:
        await asyncio.sleep(CHECK_S)
        if rounds.due(loop.time(), at_rest=at_rest(), younger_rounds=gc.get_count()[2]):
            gc.collect()


@contextmanager
def cancelled_without_cycles() -> Iterator[None]:
    """For work that is often cancelled while it waits in a task group.

    Up to Python 3.13 the group keeps its cancellation in a frame that the cancellation keeps: all that the work held
    would wait for a full round (https://github.com/python/cpython/issues/124958).
    """
    try:
        yield
    except asyncio.CancelledError as cancelled:
        traceback.clear_frames(cancelled.__traceback__)
        raise

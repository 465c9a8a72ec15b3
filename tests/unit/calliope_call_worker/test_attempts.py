"""The same thing, asked for several times at once, is done once, and all are told the same."""

import asyncio

import pytest

from calliope.errors import TransientError
from calliope_call_worker.calls.attempts import Attempts


class Work:
    """Counts how often it is begun; goes on when told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.goes_on = asyncio.Event()
        self._error = error

    async def __call__(self) -> str:
        self.begun += 1
        await self.goes_on.wait()
        if self._error is not None:
            raise self._error
        return f"done {self.begun}"


async def test_three_at_once_have_one_outcome_and_the_next_begins_anew() -> None:
    attempts, work = Attempts[str](), Work()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(attempts.once("a", work), name=f"ask.{n}") for n in range(3)]
        await asyncio.sleep(0)
        work.goes_on.set()
    assert [task.result() for task in asking] == ["done 1"] * 3
    assert await attempts.once("a", work) == "done 2"


async def test_a_failure_is_told_to_all() -> None:
    attempts, work = Attempts[str](), Work(TransientError("no free slot"))
    asking = [asyncio.ensure_future(attempts.once("a", work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.goes_on.set()
    outcomes = [await asyncio.gather(one, return_exceptions=True) for one in asking]
    assert [str(outcome[0]) for outcome in outcomes] == ["no free slot"] * 3
    assert work.begun == 1


async def test_when_the_first_is_given_up_the_others_may_ask_again() -> None:
    attempts, work = Attempts[str](), Work()
    first, second = (asyncio.ensure_future(attempts.once("a", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(TransientError, match="ask again"):
        await second
    work.goes_on.set()
    assert await attempts.once("a", work) == "done 2"


async def test_who_waits_and_gives_up_takes_nothing_from_the_others() -> None:
    attempts, work = Attempts[str](), Work()
    first, second = (asyncio.ensure_future(attempts.once("a", work)) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    work.goes_on.set()
    assert await first == "done 1"

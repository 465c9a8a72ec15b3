"""A cancellation that comes together with what a task waits for is obeyed."""

import asyncio

import pytest

from calliope.runtime.cancellation import cancellable
from support.virtual_time import in_virtual_time


async def _cancelled_in_the_moment_of_its_result(obeys: bool) -> bool:
    result: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def library() -> str:
        """As `asyncio.wait_for` of Python 3.11."""
        try:
            return await result
        except asyncio.CancelledError:
            return result.result()

    async def job() -> None:
        while True:
            await (cancellable(library()) if obeys else library())
            await asyncio.sleep(1)

    task = asyncio.ensure_future(job())
    await asyncio.sleep(0)
    result.set_result("an answer")
    task.cancel()
    await asyncio.wait({task}, timeout=3_600)
    ended = task.done()
    task.cancel()
    return ended


@in_virtual_time
async def test_a_job_ends_whose_library_swallows_its_cancellation() -> None:
    assert await _cancelled_in_the_moment_of_its_result(obeys=True)
    assert not await _cancelled_in_the_moment_of_its_result(obeys=False)


@in_virtual_time
async def test_a_deadline_around_it_is_still_a_deadline() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await cancellable(asyncio.Event().wait())

    assert await cancellable(asyncio.sleep(1, "slept")) == "slept"

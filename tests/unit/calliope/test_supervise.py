"""Background jobs: a failure ends neither other jobs nor the process, and one that goes on failing is told of."""

import asyncio
import inspect
from itertools import pairwise

import pytest

from calliope.errors import NotReadyError
from calliope.observability import metrics
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope.runtime.supervise import FAILING_AFTER, LONGEST_PAUSE_S, STEADY_S, Restarts, Supervisor
from support.virtual_time import in_virtual_time


class Job:
    """Fails `failures` times, each time after `runs_s`; then it runs for ever."""

    def __init__(self, failures: int = 0, *, runs_s: float = 0.0) -> None:
        self.failures, self.runs_s = failures, runs_s
        self.starts: list[float] = []

    async def run(self) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        if len(self.starts) <= self.failures:
            await asyncio.sleep(self.runs_s)
            raise KeyError("a private word")
        await asyncio.Event().wait()


class LostForGoodError(Exception):
    """No restart mends it."""


@in_virtual_time
async def test_a_job_that_fails_is_started_again_and_the_others_never_notice() -> None:
    broken, sound = Job(failures=2), Job()

    async with Supervisor() as jobs:
        jobs.start("test.broken", broken.run)
        jobs.start("test.sound", sound.run)
        await asyncio.sleep(10)
        await jobs.check()

    assert len(broken.starts) == 3
    assert sound.starts == [0.0]


@in_virtual_time
async def test_pauses_between_starts_grow_up_to_a_bound() -> None:
    broken = Job(failures=1_000)

    async with Supervisor() as jobs:
        jobs.start("test.broken", broken.run)
        await asyncio.sleep(600)

    pauses = [later - earlier for earlier, later in pairwise(broken.starts)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert max(pauses) == LONGEST_PAUSE_S
    assert len(broken.starts) < 40


@in_virtual_time
async def test_one_that_fails_again_and_again_is_named_for_readiness_until_it_has_worked_for_a_while() -> None:
    broken = Job(failures=FAILING_AFTER)

    async with Supervisor() as jobs:
        jobs.start("test.broken", broken.run)
        await asyncio.sleep(5)
        assert len(broken.starts) == FAILING_AFTER + 1  # it runs, and nobody knows yet for how long
        with pytest.raises(NotReadyError, match=r"^test\.broken fails: KeyError$"):
            await jobs.check()
        assert _metric("calliope_job_failing", "test.broken") == 1

        await asyncio.sleep(STEADY_S)
        await jobs.check()

    assert _metric("calliope_job_failing", "test.broken") == 0
    assert _metric("calliope_job_failures_total", "test.broken") >= FAILING_AFTER


@in_virtual_time
async def test_one_that_has_nothing_more_to_do_is_not_started_again() -> None:
    done = []

    async def once() -> None:
        done.append(1)

    async with Supervisor() as jobs:
        await jobs.start("test.once", once)
        await asyncio.sleep(600)

    assert done == [1]


@in_virtual_time
async def test_what_no_restart_mends_leaves_the_block() -> None:
    async def lost() -> None:
        await asyncio.sleep(3)
        raise LostForGoodError

    async def process() -> None:
        async with Supervisor() as jobs:
            jobs.start("test.sound", Job().run)
            jobs.start("test.lost", lost, ends_process=(LostForGoodError,))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as told:
        await process()

    assert [type(error) for error in told.value.exceptions] == [LostForGoodError]


@in_virtual_time
async def test_leaving_the_block_stops_jobs_that_run_and_those_that_wait_for_their_next_start() -> None:
    broken, sound = Job(failures=1_000), Job()

    async with Supervisor() as jobs:
        tasks = [jobs.start("test.broken", broken.run), jobs.start("test.sound", sound.run)]
        await asyncio.sleep(20)

    assert [task.cancelled() for task in tasks] == [True, True]


@in_virtual_time
async def test_one_that_swallows_its_cancellation_is_asked_again() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async with Supervisor() as jobs:
        task = jobs.start("test.stubborn", stubborn)
        await asyncio.sleep(1)

    assert task.cancelled()


def test_a_job_that_ran_for_long_begins_anew_to_count_its_failures() -> None:
    restarts = Restarts()
    for _ in range(10):
        restarts.pause_s(ran_s=1)
    assert restarts.failing

    restarts.pause_s(ran_s=STEADY_S)

    assert not restarts.failing


@in_virtual_time
async def test_isolated_tasks_end_alone_and_are_waited_for() -> None:
    done: list[str] = []

    async def broken() -> None:
        await asyncio.sleep(1)
        raise KeyError("a bug")

    async def sound() -> None:
        await asyncio.sleep(5)
        done.append("sound")

    async with IsolatedTasks() as tasks:
        crashed = tasks.spawn(broken(), "test.broken")
        tasks.spawn(sound(), "test.sound")

    assert done == ["sound"]
    assert crashed.result() is None


@in_virtual_time
async def test_an_isolated_task_that_is_cancelled_before_its_first_step_leaves_nothing_behind() -> None:
    async with IsolatedTasks() as tasks:
        work = asyncio.Event().wait()
        tasks.spawn(work, "test.never").cancel()

    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


def _metric(name: str, job: str) -> float:
    value = metrics.REGISTRY.get_sample_value(name, {"job": job})
    assert value is not None
    return value

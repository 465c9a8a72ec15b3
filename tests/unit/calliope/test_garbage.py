"""When the collector looks at everything, and what it need not look at."""

import asyncio
import gc
import weakref

from calliope.garbage import AT_LEAST_EVERY_S, FullRounds, cancelled_without_cycles


def test_a_full_round_waits_for_rest() -> None:
    rounds = FullRounds(last=100.0)
    assert not rounds.due(101.0, at_rest=False, younger_rounds=50)
    assert rounds.due(102.0, at_rest=True, younger_rounds=50)


def test_a_busy_process_gets_its_full_round_in_the_end() -> None:
    rounds = FullRounds(last=100.0)
    assert not rounds.due(99.0 + AT_LEAST_EVERY_S, at_rest=False, younger_rounds=50)
    assert rounds.due(100.0 + AT_LEAST_EVERY_S, at_rest=False, younger_rounds=50)
    assert not rounds.due(101.0 + AT_LEAST_EVERY_S, at_rest=False, younger_rounds=50)


def test_where_nothing_was_done_nothing_is_collected() -> None:
    assert not FullRounds(last=0.0).due(10 * AT_LEAST_EVERY_S, at_rest=True, younger_rounds=0)


class Held:
    """Something a task holds."""


async def _waiting(held: Held, started: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.Event().wait())
        started.set()
        await asyncio.Event().wait()
    assert held


async def _lightly_waiting(held: Held, started: asyncio.Event) -> None:
    with cancelled_without_cycles():
        await _waiting(held, started)


async def test_cancelled_work_in_a_task_group_lets_go_of_what_it_held() -> None:
    held, started = Held(), asyncio.Event()
    gone = weakref.ref(held)
    task = asyncio.create_task(_lightly_waiting(held, started))
    await started.wait()
    gc.disable()
    try:
        task.cancel()
        await asyncio.wait([task])
        del held, task
        assert gone() is None
    finally:
        gc.enable()

"""The process that checks: it answers, is never held up, and comes back when it was lost."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from calliope.errors import TransientError
from calliope_call_worker.analysis.checking import MOST_PER_OWNER, SchemaChecker, UnusableSchemaError, schema_checker
from calliope_call_worker.analysis.schema_check import MAX_CHECKS
from support.aftermath import SCHEMA

ENDLESS = {"type": "string", "pattern": "^(a+)+$"}
LONG = "a" * 60 + "!"
GOOD = {"people": 2, "name": "Ada"}
SOON_S = 0.3
NEVER_S = 60.0


@pytest.fixture
async def checker() -> AsyncIterator[SchemaChecker]:
    async with asyncio.timeout(30), schema_checker() as checker:
        yield checker


async def test_values_are_checked_side_by_side(checker: SchemaChecker) -> None:
    check = checker.check("org_1", deadline_s=5.0)
    async with asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(check(SCHEMA, GOOD)) for _ in range(30)]
        bad = tasks.create_task(check(SCHEMA, {"people": 2}))
    assert [task.result() for task in good] == [[]] * 30
    assert bad.result() == ["at the top: 'name' is a required property"]


async def test_a_format_is_more_than_a_remark_only_where_that_is_wanted(checker: SchemaChecker) -> None:
    dated = {"type": "string", "format": "date"}
    assert await checker.check("org_1", deadline_s=5.0)(dated, "friday") == ["at the top: 'friday' is not a 'date'"]
    assert await checker.check("org_1", deadline_s=5.0, formats=False)(dated, "friday") == []


async def test_a_check_without_an_end_is_left_and_the_next_is_answered(checker: SchemaChecker) -> None:
    process = await checker.start()
    with pytest.raises(UnusableSchemaError, match=r"over 0\.3 s"):
        await checker.check("org_1", deadline_s=SOON_S)(ENDLESS, LONG)
    assert await checker.check("org_1", deadline_s=5.0)(SCHEMA, GOOD) == []
    assert await checker.start() is process


async def test_an_owner_whose_schemas_have_no_end_holds_up_only_itself(checker: SchemaChecker) -> None:
    """Its own next check waits for a place, and is refused; a neighbour's is answered at once."""
    slow = checker.check("slow", deadline_s=NEVER_S)
    async with asyncio.TaskGroup() as tasks:
        endless = [tasks.create_task(slow(ENDLESS, LONG)) for _ in range(MOST_PER_OWNER)]
        assert await checker.check("neighbour", deadline_s=5.0)(SCHEMA, GOOD) == []
        with pytest.raises(TransientError):
            await checker.check("slow", deadline_s=SOON_S)(SCHEMA, GOOD)
        assert not any(task.done() for task in endless)
        for task in endless:
            task.cancel()


async def test_a_process_that_died_is_started_again(checker: SchemaChecker) -> None:
    process = await checker.start()
    process.kill()
    assert await checker.check("org_1", deadline_s=5.0)(SCHEMA, GOOD) == []
    assert await checker.start() is not process


async def test_one_that_dies_while_it_is_asked_is_asked_once_more(checker: SchemaChecker) -> None:
    process = await checker.start()
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(checker.check("org_1", deadline_s=5.0)(ENDLESS, "a" * 20 + "!"))
        await asyncio.sleep(0)
        os.killpg(process.pid, signal.SIGKILL)
    assert asked.result() == ["at the top: 'aaaaaaaaaaaaaaaaaaaa!' does not match '^(a+)+$'"]


async def test_checks_that_nobody_waits_for_end_at_once_and_take_no_place(checker: SchemaChecker) -> None:
    process = await checker.start()
    for _ in range(MAX_CHECKS + 1):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await checker.check("org_1", deadline_s=NEVER_S)(ENDLESS, LONG)
    assert await checker.check("org_1", deadline_s=5.0)(SCHEMA, GOOD) == []
    assert await checker.start() is process

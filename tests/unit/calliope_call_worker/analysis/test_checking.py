"""The process that checks: it answers, is never held up, and comes back when it was lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from calliope.errors import TransientError
from calliope_call_worker.analysis.checking import SchemaChecker, UnusableSchemaError, schema_checker
from support.aftermath import SCHEMA

ENDLESS = {"type": "string", "pattern": "^(a+)+$"}
LONG = "a" * 60 + "!"
GOOD = {"people": 2, "name": "Ada"}


@pytest.fixture
async def checker() -> AsyncIterator[SchemaChecker]:
    async with schema_checker(deadline_s=0.3) as checker:
        yield checker


async def test_values_are_checked_one_after_another(checker: SchemaChecker) -> None:
    async with asyncio.TaskGroup() as tasks:
        good = [tasks.create_task(checker(SCHEMA, GOOD)) for _ in range(5)]
        bad = tasks.create_task(checker(SCHEMA, {"people": 2}))
    assert [task.result() for task in good] == [[]] * 5
    assert bad.result() == ["at the top: 'name' is a required property"]


async def test_a_check_without_an_end_is_left_and_the_next_is_answered(checker: SchemaChecker) -> None:
    process = await checker.start()
    with pytest.raises(UnusableSchemaError, match=r"over 0\.3 s"):
        await checker(ENDLESS, LONG)
    assert await checker(SCHEMA, GOOD) == []
    assert await checker.start() is process


async def test_a_process_that_died_is_started_again(checker: SchemaChecker) -> None:
    process = await checker.start()
    process.kill()
    await process.wait()
    assert await checker(SCHEMA, GOOD) == []


async def test_one_that_dies_while_it_is_asked_may_be_asked_again(checker: SchemaChecker) -> None:
    process = await checker.start()
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(fails(checker))
        await asyncio.sleep(0)
        process.kill()
        await asked
    assert await checker(SCHEMA, GOOD) == []


async def test_a_question_that_nobody_waits_for_does_not_answer_the_next(checker: SchemaChecker) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await checker(ENDLESS, LONG)
    assert await checker(SCHEMA, GOOD) == []


async def fails(checker: SchemaChecker) -> None:
    with pytest.raises(TransientError):
        await checker(ENDLESS, LONG)

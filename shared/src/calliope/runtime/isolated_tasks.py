"""Tasks that a block waits for, and that do not end each other: a failure is logged, counted, and the task is over."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Self

import structlog

from calliope.observability import metrics

log = structlog.get_logger(__name__)

_CRASHES: Final = metrics.counter(
    "calliope_task_crashes_total", "Tasks that a bug ended; nothing else ended with them."
)


class IsolatedTasks:
    """A task group for work of many: one call, one record, one request each."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._group.__aexit__(kind, error, trace)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Run it; the block ends no sooner. The result is None when it crashed."""
        task = self._group.create_task(_isolated(work, name), name=name)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step, nobody awaited it
        return task


async def _isolated(work: Coroutine[Any, Any, Any], name: str) -> Any:
    try:
        return await work
    except Exception:
        _CRASHES.inc()
        log.exception("task.crashed", task=name)
        return None

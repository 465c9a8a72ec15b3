"""Background jobs of a process: each runs while the block lasts, and is started again when it fails.

    async with Supervisor() as jobs:
        jobs.start("leases.renew", leases.renew)
        jobs.start("bus.watchdog", Watchdog(bus).run, ends_process=(BusLostError,))
        yield                                     # leaving the block stops them

A failure is logged with its traceback, counted, and followed by a pause that doubles. A job that fails again and
again is named by `check`, for readiness, and by the metric `calliope_job_failing`, for an alert; it is still tried.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import structlog

from calliope.errors import NotReadyError
from calliope.observability import metrics

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""A job that ran so long without a failure works again; what came before is forgotten."""
FAILING_AFTER: Final = 3
"""Failures, none of them followed by `STEADY_S` of work, until a job counts as failing."""
STOP_S: Final = 5.0

Job = Callable[[], Coroutine[Any, Any, object]]
"""Runs for ever, or returns when there is nothing more to do."""

_FAILURES: Final = metrics.counter(
    "calliope_job_failures_total", "Failures of background jobs; each was started again.", "job"
)
_FAILING: Final = metrics.gauge(
    "calliope_job_failing", "1 while a background job fails each time that it is started again.", "job"
)


@dataclass(slots=True)
class Restarts:
    """When a job that failed is started again. Pure; moments and durations in seconds of any steady clock."""

    failures: int = 0

    def pause_s(self, *, ran_s: float) -> float:
        """It failed after `ran_s`: how long to wait before the next start."""
        self.failures = 1 if ran_s >= STEADY_S else self.failures + 1
        return float(min(FIRST_PAUSE_S * 2 ** min(self.failures - 1, 30), LONGEST_PAUSE_S))

    @property
    def failing(self) -> bool:
        """Whether it fails again and again."""
        return self.failures >= FAILING_AFTER


class Supervisor:
    """Runs jobs in a task group of its own, in which nothing else lives."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._failing: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stop()
        finally:
            await self._group.__aexit__(kind, error, trace)

    def start(self, name: str, job: Job, *, ends_process: tuple[type[Exception], ...] = ()) -> "asyncio.Task[None]":
        """Run `job` until the block is left. `ends_process`: failures that no restart mends leave the block with them.

        `name` is a constant: it labels metrics. The task is for those who wait until the job has nothing more to do.
        """
        _FAILURES.labels(name)
        _FAILING.labels(name).set(0)
        task = self._group.create_task(self._keep(name, job, ends_process), name=name)
        self._tasks.append(task)
        return task

    @property
    def failing(self) -> Mapping[str, str]:
        """Jobs that fail again and again, each with its last error."""
        return dict(self._failing)

    async def check(self) -> None:
        """For readiness. Raises: NotReadyError."""
        if self._failing:
            raise NotReadyError(", ".join(f"{name} fails: {error}" for name, error in self._failing.items()))

    async def _keep(self, name: str, job: Job, ends_process: tuple[type[Exception], ...]) -> None:
        now, restarts = asyncio.get_running_loop().time, Restarts()
        while True:
            began = now()
            steady = asyncio.get_running_loop().call_later(STEADY_S, self._works, name)
            try:
                await job()
            except ends_process:
                raise
            except Exception as exc:
                pause_s = restarts.pause_s(ran_s=now() - began)
                _FAILURES.labels(name).inc()
                log.exception("job.failed", job=name, failures=restarts.failures, again_in_s=pause_s)
                if restarts.failing:
                    self._fails(name, exc)
            else:
                self._works(name)
                return
            finally:
                steady.cancel()
            await asyncio.sleep(pause_s)

    def _fails(self, name: str, error: Exception) -> None:
        self._failing[name] = type(error).__name__  # its words may hold what health must not show
        _FAILING.labels(name).set(1)

    def _works(self, name: str) -> None:
        if self._failing.pop(name, None) is not None:
            log.info("job.works_again", job=name)
        _FAILING.labels(name).set(0)

    async def _stop(self) -> None:
        """One that does not stop in time is named in the log, and asked again."""
        for task in self._tasks:
            task.cancel()
        left = {task for task in self._tasks if not task.done()}
        if left:
            _, left = await asyncio.wait(left, timeout=STOP_S)
        if left:
            log.error("job.not_stopped", jobs=sorted(task.get_name() for task in left))
        for task in left:
            task.cancel()

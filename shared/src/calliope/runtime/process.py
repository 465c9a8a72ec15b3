"""How a process of ours runs: command line, settings, logs and traces, a loop, signals, an exit status.

    def main() -> int:
        return main_of("webhooks", WebhooksSettings, running, says="Sends events to the URLs of users.")

`running(settings)` is the service while its block lasts. SIGTERM and SIGINT leave the block; while it is still being
entered they cancel that at once; a second one cancels the leaving, too.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

import structlog

from calliope.configuration import usage
from calliope.configuration.loading import SettingsRefused, load, unread
from calliope.errors import CalliopeError
from calliope.observability import logs, traces
from calliope.settings import ServiceSettings

FAILED: Final = 1
MISCONFIGURED: Final = 2

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)

log = structlog.get_logger()


class Stop:
    """What signals ask of a process: cancel while it starts, `wait` for the wish to end once it has started."""

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._asked = asyncio.Event()
        self._started = False

    def ask(self) -> None:
        """As a signal does."""
        if not self._started or self._asked.is_set():
            self._task.cancel()
        self._asked.set()

    async def wait(self) -> None:
        """Until somebody asks; from here on the process counts as started."""
        self._started = True
        await self._asked.wait()

    @property
    def before_start(self) -> bool:
        """Whether it was asked while the process was still starting."""
        return self._asked.is_set() and not self._started


Main = Callable[[Stop], Coroutine[Any, Any, None]]


def main_of(
    service: str,
    settings: type[SettingsT],
    running: Callable[[SettingsT], AbstractAsyncContextManager[object]],
    *,
    says: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a service as its command line and environment say. The exit status: 0 after a signal, 1 when it failed,
    2 when its arguments or settings are wrong.
    """

    def main(chosen: SettingsT) -> Main:
        return until_stopped(running(chosen))

    return _main(service, settings, main, says, arguments)


def job_of(
    job: str,
    settings: type[SettingsT],
    work: Callable[[SettingsT], Coroutine[Any, Any, None]],
    *,
    says: str,
    arguments: Sequence[str] | None = None,
) -> int:
    """As `main_of` for work that ends by itself; a signal before its end is status 1."""

    def main(chosen: SettingsT) -> Main:
        async def once(stop: Stop) -> None:
            await work(chosen)

        return once

    return _main(job, settings, main, says, arguments, cut_short=FAILED)


def run_service(main: Main, *, service: str, settings: ServiceSettings, cut_short: int = 0) -> int:
    """Run until `main` returns: 0 then, `cut_short` when a signal came before it had started, 1 when it raised."""
    logs.configure(settings.log, service=service)
    with traces.exporting(settings.trace, service=service):
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return cut_short if runner.run(_until_done(main, service)) else 0
        except (Exception, asyncio.CancelledError) as exc:
            for cause in _causes(exc):
                _tell(cause)
            return FAILED


def until_stopped(service: AbstractAsyncContextManager[object]) -> Main:
    """Run what `service` opens until SIGTERM or SIGINT."""

    async def main(stop: Stop) -> None:
        async with service:
            await stop.wait()

    return main


def _main(
    service: str,
    model: type[SettingsT],
    main: Callable[[SettingsT], Main],
    says: str,
    arguments: Sequence[str] | None,
    *,
    cut_short: int = 0,
) -> int:
    _parser(model, says).parse_args(sys.argv[1:] if arguments is None else arguments)
    try:
        settings = load(model)
    except SettingsRefused as exc:
        for problem in exc.problems:
            sys.stderr.write(f"calliope-{service}: {problem}\n")
        return MISCONFIGURED
    for problem in unread(model, os.environ):
        sys.stderr.write(f"calliope-{service}: {problem}\n")
    return run_service(main(settings), service=service, settings=settings, cut_short=cut_short)


class _Help(argparse.Action):
    """Made when it is asked for: the page costs a walk through all settings."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        sys.stdout.write(f"{parser.format_help()}\n{parser.get_default('page')()}\n")
        parser.exit()


def _parser(model: type[ServiceSettings], says: str) -> argparse.ArgumentParser:
    main = sys.modules["__main__"].__spec__
    program = main.name.removesuffix(".__main__") if main is not None else model.__module__.partition(".")[0]
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=f"{says} It takes no arguments: everything is read from environment variables.",
        add_help=False,
    )
    parser.set_defaults(page=lambda: usage.page(model))
    parser.add_argument("-h", "--help", nargs=0, action=_Help, help="this page")
    return parser


async def _until_done(main: Main, service: str) -> bool:
    """Run it under signals; whether one of them came before it had started."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task
    stop = Stop(task)

    def on_signal(name: str) -> None:
        log.info("service.signalled", signal=name)
        stop.ask()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    try:
        log.info("service.started", name=service)
        await main(stop)
        log.info("service.stopped")
    except asyncio.CancelledError:
        if not stop.before_start:
            raise
        log.info("service.stopped", while_starting=True)
        return True
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, however deep; of equal sentences one."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    told = set()
    for each in error.exceptions:
        for cause in _causes(each):
            if (type(cause), str(cause)) not in told:
                told.add((type(cause), str(cause)))
                yield cause


def _tell(cause: BaseException) -> None:
    """One line for what was raised on purpose; a traceback for a bug."""
    if isinstance(cause, CalliopeError):
        log.error("service.failed", reason=str(cause))
    else:
        log.error("service.failed", exc_info=cause)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed."""
    if sys.platform == "win32":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory

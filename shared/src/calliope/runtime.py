"""How a service process runs: logs and traces set up, a loop, signals turned into an event, an exit code.

if __name__ == "__main__":
    sys.exit(run_service(until_stopped(running(settings)), service="webhooks", settings=settings))
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import structlog

from calliope.observability import logs, traces
from calliope.settings import ServiceSettings

FAILED: Final = 1

Main = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

log = structlog.get_logger()


def run_service(main: Main, *, service: str, settings: ServiceSettings) -> int:
    """Run until `main` returns; 0 then, 1 when it raised."""
    logs.configure(settings.log, service=service)
    provider = traces.configure(settings.trace, service=service)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_supervise(main, service))
    except (Exception, asyncio.CancelledError):
        log.exception("service.failed")
        return FAILED
    finally:
        provider.shutdown()
    return 0


def until_stopped(service: AbstractAsyncContextManager[object]) -> Main:
    """Run what `service` opens until SIGTERM or SIGINT; a second one cancels it."""

    async def main(stop: asyncio.Event) -> None:
        async with service:
            await stop.wait()

    return main


async def _supervise(main: Main, service: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def on_signal(name: str) -> None:
        log.info("service.signalled", signal=name)
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    try:
        log.info("service.started", name=service)
        await main(stop)
        log.info("service.stopped")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


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

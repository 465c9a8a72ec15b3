"""Health over HTTP: is the loop alive, is the service ready, and its metrics.

    health = Health({"bus": lambda: ready(bus), "store": store.ping})
    async with asyncio.TaskGroup() as tasks, serve(health, settings.http) as port:
        tasks.create_task(health.watch_loop(), name="health.loop")

    health.add_to(app)                            # the gateway: the same routes in its own application

`/livez` looks at the event loop only: a call must not be restarted because the bus is away. `/readyz` runs the checks.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from calliope.errors import NotReadyError
from calliope.observability import metrics
from calliope.settings import HttpSettings

Check = Callable[[], Awaitable[object]]
"""Returns when all is well, raises when not."""

Notice = Callable[[], str | None]
"""What somebody has to look at although the service is ready; None when there is nothing."""

CHECK_TIMEOUT_S: Final = 2.0
LAG_LIMIT_S: Final = 2.0
_TICK_S: Final = 0.1

log = structlog.get_logger()

_LAG: Final = metrics.histogram("calliope_loop_lag_seconds", "How late the event loop wakes a sleeper.")


class Health:
    """The checks of one service, and what its loop lately did."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        notices: Mapping[str, Notice] | None = None,
        check_timeout_s: float = CHECK_TIMEOUT_S,
        lag_limit_s: float = LAG_LIMIT_S,
    ) -> None:
        self._checks = dict(checks)
        self._notices = dict(notices or {})
        self._check_timeout_s = check_timeout_s
        self._lag_limit_s = lag_limit_s
        self._lag_s = 0.0

    async def watch_loop(self) -> None:
        """Measure the loop's lag, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            late_s = max(0.0, loop.time() - due)
            _LAG.observe(late_s)
            # Remembered for some seconds, so that a probe that comes after the jam still hears of it.
            self._lag_s = max(late_s, self._lag_s * 0.98)

    async def problems(self) -> dict[str, str]:
        """What is not ready, each with the kind of failure. All checks run at once, each within its deadline."""
        async with asyncio.TaskGroup() as tasks:
            running = {
                name: tasks.create_task(self._run(name, check), name=f"health.{name}")
                for name, check in self._checks.items()
            }
        return {name: problem for name, task in running.items() if (problem := task.result()) is not None}

    async def _run(self, name: str, check: Check) -> str | None:
        try:
            async with asyncio.timeout(self._check_timeout_s):
                await check()
        except TimeoutError:
            return "no answer in time"
        except NotReadyError as exc:
            return str(exc)
        except Exception as exc:
            log.warning("health.check_failed", check=name, error=type(exc).__name__, detail=str(exc)[:200])
            return type(exc).__name__
        return None

    def add_to(self, app: web.Application) -> None:
        """Answer `/livez`, `/readyz` and `/metrics` in `app`."""
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)

    async def _live(self, _request: web.Request) -> web.Response:
        jammed = self._lag_s > self._lag_limit_s
        return web.json_response({"status": "jammed" if jammed else "ok"}, status=503 if jammed else 200)

    async def _ready(self, _request: web.Request) -> web.Response:
        problems = await self.problems()
        status = 503 if problems else 200
        notices = {name: words for name, notice in self._notices.items() if (words := notice()) is not None}
        said = {"status": "not ready" if problems else "ok", "problems": problems}
        return web.json_response({**said, **({"notices": notices} if notices else {})}, status=status)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


@asynccontextmanager
async def serve(health: Health, settings: HttpSettings) -> AsyncIterator[int]:
    """Serve only health, for services without an API; gives the port."""
    app = web.Application()
    health.add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        port = int(runner.addresses[0][1])
        log.info("health.served", port=port)
        yield port
    finally:
        await runner.cleanup()

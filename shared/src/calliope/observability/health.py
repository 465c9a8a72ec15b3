"""Health over HTTP, on a listener of its own: is the loop alive, what can the service do, and its metrics.

    health = Health({"bus": lambda: ready(bus)}, able={"writes": can_write})
    async with serve(health, settings.health), asyncio.TaskGroup() as tasks:
        tasks.create_task(health.watch_loop(), name="health.loop")

`/livez` looks at the event loop only: a process must not be restarted because the bus is away. `/readyz` runs the
checks: 503 when one that the service needs fails, or while it stops; what else it can and cannot do is told as parts
and leaves it at 200. `/readyz/{part}` answers for one part alone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web

from calliope.errors import NotReadyError
from calliope.http_listener import ConnectionLimits, listening
from calliope.observability import metrics
from calliope.settings import HealthSettings

Check = Callable[[], Awaitable[object]]
"""Returns when all is well, raises when not."""

Notice = Callable[[], str | None]
"""What somebody has to look at although the service is ready; None when there is nothing."""

CHECK_TIMEOUT_S: Final = 2.0
LAG_LIMIT_S: Final = 2.0
OK: Final = "ok"
LIMITS: Final = ConnectionLimits(overall=256, per_address=128, headers_s=5.0)
_TICK_S: Final = 0.1

log = structlog.get_logger()

_LAG: Final = metrics.histogram("calliope_loop_lag_seconds", "How late the event loop wakes a sleeper.")
_PARTS: Final = metrics.gauge(
    "calliope_ready", "Whether a part was well when readiness was asked for last: 1 or 0.", "part"
)


class Health:
    """The checks of one service, and what its loop lately did.

    Without what is `needed` the service is not ready; what it is `able` to do besides is only told.
    """

    def __init__(
        self,
        needed: Mapping[str, Check],
        *,
        able: Mapping[str, Check] | None = None,
        notices: Mapping[str, Notice] | None = None,
        check_timeout_s: float = CHECK_TIMEOUT_S,
        lag_limit_s: float = LAG_LIMIT_S,
        started: bool = True,
    ) -> None:
        """`started`: False for a service that is not ready before it says `start`."""
        self._needed = dict(needed)
        self._able = dict(able or {})
        self._notices = dict(notices or {})
        self._check_timeout_s = check_timeout_s
        self._lag_limit_s = lag_limit_s
        self._lag_s = 0.0
        self._started = started
        self._stopping = False

    def start(self) -> None:
        """Be ready from now on, as far as the checks say."""
        self._started = True

    @property
    def is_stopping(self) -> bool:
        """Whether new requests should go to others."""
        return self._stopping

    def stop(self) -> None:
        """Be not ready from now on: the service ends soon."""
        self._stopping = True

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

    async def parts(self) -> dict[str, str]:
        """Every part: `ok`, or what is wrong with it. All checks run at once, each within its deadline."""
        async with asyncio.TaskGroup() as tasks:
            running = {
                name: tasks.create_task(self._run(name, check), name=f"health.{name}")
                for name, check in (self._needed | self._able).items()
            }
        found = {name: task.result() for name, task in running.items()}
        for name, state in found.items():
            _PARTS.labels(name).set(state == OK)
        return found

    async def problems(self) -> dict[str, str]:
        """What is needed and not there, each with the kind of failure."""
        return {name: state for name, state in (await self.parts()).items() if state != OK and name in self._needed}

    async def _run(self, name: str, check: Check) -> str:
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
        return OK

    def app(self) -> web.Application:
        """`/livez`, `/readyz`, `/readyz/{part}` and `/metrics`."""
        app = web.Application()
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/readyz/{part}", self._ready_part)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _live(self, _request: web.Request) -> web.Response:
        jammed = self._lag_s > self._lag_limit_s
        return web.json_response({"status": "jammed" if jammed else OK}, status=503 if jammed else 200)

    async def _ready(self, _request: web.Request) -> web.Response:
        parts = await self.parts()
        missing = any(parts[name] != OK for name in self._needed)
        serves = self._started and not self._stopping and not missing
        if serves:
            status = OK if all(state == OK for state in parts.values()) else "degraded"
        else:
            status = "stopping" if self._stopping else "not ready" if self._started else "starting"
        notices = {name: words for name, notice in self._notices.items() if (words := notice()) is not None}
        said = {"status": status, "parts": parts, **({"notices": notices} if notices else {})}
        return web.json_response(said, status=200 if serves else 503)

    async def _ready_part(self, request: web.Request) -> web.Response:
        parts = await self.parts()
        state = parts.get(request.match_info["part"])
        if state is None:
            return web.json_response({"status": f"the parts are {', '.join(parts)}"}, status=404)
        return web.json_response({"status": state}, status=200 if state == OK else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics.CONTENT_TYPE})


@asynccontextmanager
async def serve(health: Health, settings: HealthSettings) -> AsyncIterator[int]:
    """Answer while the block lasts, whatever else is full; gives the port. Raises: PermanentError."""
    async with listening(
        health.app(),
        "health",
        host=settings.host,
        port=settings.port,
        limits=LIMITS,
        setting="CALLIOPE_HEALTH__PORT",
    ) as (_, port):
        log.info("health.served", port=port)
        yield port

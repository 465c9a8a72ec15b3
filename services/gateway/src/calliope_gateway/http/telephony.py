"""Carrier hooks: passed on raw to a call-worker with a free slot.

When none is found soon, any worker is asked to turn the call away in its own words; when there is no worker at all, the
carrier is answered here. A call that lost its worker is asked for again, for a bounded time: by a carrier that does as
it is answered, else from here.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final, Literal, cast
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

import structlog
from aiohttp import web
from aiohttp.hdrs import METH_GET, METH_POST

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.carriers import LANGUAGE, busy, last_resort, twiml
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.observability import metrics
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope_gateway.http.admission import client_of
from calliope_gateway.http.hook_budget import HookBudget
from calliope_gateway.http.reading import read_body
from calliope_gateway.ports import Commands
from calliope_gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

VOICE: Final = "/telephony/{carrier:twilio|telnyx}/voice"
RESUME: Final = "/telephony/{carrier:twilio|telnyx}/resume/{call_id}"
_NO_WORKER: Final = {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.BUSY}
_LOCALE: Final = 16
_KEPT_BACK: Final = {"authorization", "proxy-authorization", "cookie"}
"""Headers that no carrier's signature needs, and that may hold a secret of whoever sent them."""
LOOK_S: Final = 1.5
"""So long a worker with a free slot is looked for: below the 2 s after which Telnyx sends a hook again."""
LOOK_EVERY_S: Final = 0.1
MOST_LOOKING: Final = 128
"""Hooks that look for a worker at once; above it, all workers being full is believed at the first word."""
KEEP_EVERY_S: Final = 0.5
MOST_KEPT: Final = 128
"""Hooks that are kept until there is a worker; what is more is left to the carrier's own repetitions."""
DECLINE_S: Final = 2.0
PAUSE_S: Final = 1
_NOT_TAKEN: Final = metrics.counter(
    "calliope_calls_not_taken_total", "Calls that the gateway refused, as no worker at all answered.", "carrier"
)


class CarrierHooks:
    """Handlers of every carrier path."""

    def __init__(self, commands: Commands, settings: GatewaySettings) -> None:
        self._commands = commands
        self._settings = settings
        self._looking = 0
        self._kept: set[asyncio.Task[None]] = set()
        self._tasks: IsolatedTasks | None = None
        limits = settings.limits
        self._budget = HookBudget(rate_per_s=limits.refused_hooks_per_s, burst=limits.refused_hooks_burst)

    def routes(self) -> list[web.RouteDef]:
        """A call comes in; a call's media ended. Twilio asks by POST or by GET, as its number is configured."""
        return [web.route(method, path, self._handle) for path in (VOICE, RESUME) for method in (METH_POST, METH_GET)]

    async def keeping(self, _: web.Application) -> AsyncIterator[None]:
        """While the application runs, hooks of carriers that do not wait are kept until there is a worker."""
        async with IsolatedTasks() as self._tasks:
            yield
            for task in self._kept:
                task.cancel()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        limits = self._settings.limits
        hook = CarrierRequest.model_construct(
            carrier=cast("Literal['twilio', 'telnyx']", request.match_info["carrier"]),
            method=request.method,
            path_and_query=request.raw_path,
            headers=tuple((name, value) for name, value in request.headers.items() if name.lower() not in _KEPT_BACK),
            body=await read_body(request, limit=limits.carrier_body_bytes, timeout_s=limits.body_timeout_s),
            asked_at=datetime.now(UTC),
        )
        with self._budget.asked(hook, client_of(request), time.monotonic()) as asked:
            answer = asked.answer = await self._answer(hook, request)
        return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type)

    async def _answer(self, hook: CarrierRequest, request: web.Request) -> CarrierResponse:
        """A worker's answer. Without any worker: a new call of a carrier that waits for answers is asked about for as
        long as it waits, and one that runs waits for the worker that comes back, or for another.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._settings.carrier_timeout_s
        call_id, waits = request.match_info.get("call_id"), hook.carrier == "twilio"
        if call_id is not None and waits:
            number = _try(request) + 1
            if (answer := await self._ask(hook, deadline)) is not None:
                return answer
            if number * PAUSE_S <= self._settings.resume_wait_s:
                return _again(call_id, number, request.query.get(LANGUAGE))
            return await self._decline(hook) or last_resort(hook.carrier, request.query.get(LANGUAGE, ""))
        while True:
            answer = await self._ask(hook, deadline, look_s=LOOK_S) or await self._decline(hook)
            if answer is not None:
                return answer
            if not waits or now() >= deadline or self._looking >= MOST_LOOKING:
                # Whose number it is only workers learn, so this call is counted here and has no record.
                _NOT_TAKEN.labels(hook.carrier).inc()
                log.warning("carrier_hook.no_worker", carrier=hook.carrier)
                if not waits:
                    self._keep(hook)
                return busy(hook.carrier)

    def _keep(self, hook: CarrierRequest) -> None:
        """Telnyx tells three times within seconds that the media of a call ended, and then never again.

        Workers know a hook that they are told twice by what it says.
        """
        if self._tasks is None or len(self._kept) >= MOST_KEPT:
            return
        task = self._tasks.spawn(self._until_taken(hook), "hook.keep")
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)

    async def _until_taken(self, hook: CarrierRequest) -> None:
        try:
            async with asyncio.timeout(self._settings.resume_wait_s):
                answer = None
                while answer is None:
                    await asyncio.sleep(KEEP_EVERY_S)
                    answer = await self._ask(hook, asyncio.get_running_loop().time() + self._settings.carrier_timeout_s)
        except (TimeoutError, CommandError) as exc:
            log.warning("carrier_hook.not_taken", carrier=hook.carrier, error=str(exc))
        else:
            log.info("carrier_hook.taken_late", carrier=hook.carrier)

    async def _decline(self, hook: CarrierRequest) -> CarrierResponse | None:
        """How any worker, also a full one, turns the call away; None, when there is none."""
        answer = await self._ask_one(Command.CALLS_DECLINE, hook, DECLINE_S)
        if isinstance(answer, CarrierResponse):
            return answer
        if answer.code not in _NO_WORKER:
            raise answer
        return None

    async def _ask(self, hook: CarrierRequest, deadline: float, *, look_s: float = 0.0) -> CarrierResponse | None:
        """A worker's answer; None, when none has a free slot. Raises: CommandError, when the hook itself is to blame.

        A worker that died took what it was just asked along, and a caller waits: while nobody answers, one is asked
        again, after twice as long each time. A worker that is only slow keeps the call, and its answer is waited for.
        When all that were asked say that they cannot, others may have a slot, or soon: asked again for `look_s`.
        """
        now, again_s = asyncio.get_running_loop().time, self._settings.carrier_again_s
        look_until = now() + (look_s if self._looking < MOST_LOOKING else 0.0)
        asked: set[asyncio.Task[CarrierResponse | CommandError]] = set()
        answer: CarrierResponse | CommandError | None = None
        self._looking += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                while answer is None and (left_s := deadline - now()) > 0:
                    asked.add(tasks.create_task(self._ask_one(Command.CALLS_ACCEPT, hook, left_s), name="hook.ask"))
                    again_at = min(deadline, now() + again_s)
                    while answer is None and asked and (wait_s := again_at - now()) > 0:
                        done, asked = await asyncio.wait(asked, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                        for found in (task.result() for task in done):
                            if not isinstance(found, CommandError) or found.code not in _NO_WORKER:
                                answer = found
                    if asked:
                        again_s *= 2
                    elif answer is None:
                        if now() + LOOK_EVERY_S >= min(look_until, deadline):
                            break
                        await asyncio.sleep(LOOK_EVERY_S)
                for task in asked:
                    task.cancel()
        finally:
            self._looking -= 1
        if isinstance(answer, CommandError):
            raise answer
        return answer

    async def _ask_one(
        self, command: Command, hook: CarrierRequest, timeout_s: float
    ) -> CarrierResponse | CommandError:
        try:
            return await self._commands.call(command, hook, reply_type=CarrierResponse, timeout_s=timeout_s)
        except CommandError as exc:
            return exc


def _again(call_id: str, number: int, locale: str | None) -> CarrierResponse:
    """Have Twilio ask once more, a moment later; it resolves the address against that of the hook."""
    query = urlencode({"try": number} | ({} if locale is None else {LANGUAGE: locale[:_LOCALE]}))
    at = escape(f"{quote(call_id, safe='')}?{query}")
    return twiml(f'<Pause length="{PAUSE_S}"/><Redirect method="POST">{at}</Redirect>')


def _try(request: web.Request) -> int:
    """How often the carrier asked before."""
    number = request.query.get("try", "0")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 5 else 0

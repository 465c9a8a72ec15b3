"""Carrier hooks: passed on raw to a call-worker with a free slot, and answered within the carrier's own deadline.

When none is found soon, any worker is asked to turn the call away in its own words; when there is no worker at all, the
carrier is answered here. A call that lost its worker is asked for again, for a bounded time: by a carrier that does as
it is answered, else from here.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, cast
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

import structlog
from aiohttp import web
from aiohttp.hdrs import METH_GET, METH_POST

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.carriers import LANGUAGE, MEDIA_ENDED, busy, last_resort, moment_of, twiml
from calliope.errors import CommandError
from calliope.observability import metrics
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope_gateway.hooks.worker_search import WorkerSearch
from calliope_gateway.http.admission import client_of
from calliope_gateway.http.hook_budget import HookBudget
from calliope_gateway.http.reading import read_body
from calliope_gateway.ports import Commands
from calliope_gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

VOICE: Final = "/telephony/{carrier:twilio|telnyx}/voice"
RESUME: Final = "/telephony/{carrier:twilio|telnyx}/resume/{call_id}"
ANSWERED_WITHIN_S: Final = {"twilio": 13.0, "telnyx": 1.7}
"""After a hook has arrived, at the longest. Twilio waits for 15 s and Telnyx for 2 s, the ways there and back
included."""
_LOCALE: Final = 16
_KEPT_BACK: Final = {"authorization", "proxy-authorization", "cookie"}
"""Headers that no carrier's signature needs, and that may hold a secret of whoever sent them."""
KEEP_EVERY_S: Final = 0.5
MOST_KEPT: Final = 128
"""Hooks that are kept until a worker takes them; what is more is left to the carrier's own repetitions."""
PAUSE_S: Final = 1
_NOT_TAKEN: Final = metrics.counter(
    "calliope_calls_not_taken_total",
    "Calls that the gateway refused, and news of Telnyx that it gave up, as no worker at all took them.",
    "carrier",
)
Outcome = CarrierResponse | CommandError | None


class CarrierHooks:
    """Handlers of every carrier path."""

    def __init__(self, commands: Commands, settings: GatewaySettings) -> None:
        self._settings = settings
        self._workers = WorkerSearch(commands, again_s=settings.carrier_again_s)
        self._kept: set[asyncio.Task[Outcome]] = set()
        self._tasks: IsolatedTasks | None = None
        limits = settings.limits
        self._budget = HookBudget(rate_per_s=limits.refused_hooks_per_s, burst=limits.refused_hooks_burst)

    def routes(self) -> list[web.RouteDef]:
        """A call comes in; a call's media ended. Twilio asks by POST or by GET, as its number is configured."""
        return [web.route(method, path, self._handle) for path in (VOICE, RESUME) for method in (METH_POST, METH_GET)]

    async def keeping(self, _: web.Application | None = None) -> AsyncIterator[None]:
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
            call_id = request.match_info.get("call_id")
            answer = asked.answer = await self.answer(hook, call_id=call_id, query=request.query)
        return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type)

    async def answer(self, hook: CarrierRequest, *, call_id: str | None, query: Mapping[str, str]) -> CarrierResponse:
        """What the carrier is answered, in time whatever is away; `call_id` is of a call that has begun.

        Raises: CommandError, when the hook is to blame.
        """
        within_s = min(self._settings.carrier_timeout_s, ANSWERED_WITHIN_S[hook.carrier])
        deadline = asyncio.get_running_loop().time() + within_s
        if hook.carrier == "telnyx":
            return await self._noted(hook, deadline)
        if call_id is not None:
            return await self._gone_on_with(hook, call_id, query, deadline)
        answer = await self._workers.find(hook, deadline)
        if answer is None:
            _not_taken(hook)
        return answer or busy(hook.carrier)

    async def _gone_on_with(
        self, hook: CarrierRequest, call_id: str, query: Mapping[str, str], deadline: float
    ) -> CarrierResponse:
        """A call that runs waits for the worker that comes back, or for another: here, then with the carrier."""
        came, now, locale = hook.asked_at or datetime.now(UTC), asyncio.get_running_loop().time, query.get(LANGUAGE)
        ended_at = min(came, moment_of(query.get(MEDIA_ENDED, "")) or came)
        give_up_at = now() + self._settings.resume_wait_s - (came - ended_at).total_seconds()
        answer = await self._workers.look(hook, self._workers.last_ask(deadline), until=give_up_at)
        if answer is not None:
            return answer
        if give_up_at - now() >= PAUSE_S:
            return _again(call_id, ended_at, locale)
        return await self._workers.decline(hook, deadline) or last_resort(hook.carrier, locale or "")

    async def _noted(self, hook: CarrierRequest, deadline: float) -> CarrierResponse:
        """News that no worker took by then Telnyx is told to send again, and they are kept here.

        It tells three times within seconds that the media of a call ended, and then never again. Workers know a hook
        that they are told twice by what it says.
        """
        if self._tasks is None:
            return busy(hook.carrier)
        task: asyncio.Task[Outcome] = self._tasks.spawn(self._until_taken(hook), "hook.until_taken")
        try:
            await asyncio.wait({task}, timeout=deadline - asyncio.get_running_loop().time())
            if not task.done() and len(self._kept) < MOST_KEPT:
                self._kept.add(task)
                task.add_done_callback(lambda _: self._no_longer_kept(task, hook))
        finally:
            if task not in self._kept:
                task.cancel()
        outcome = task.result() if task.done() else None
        if isinstance(outcome, CommandError):
            raise outcome
        return outcome or busy(hook.carrier)

    async def _until_taken(self, hook: CarrierRequest) -> Outcome:
        """A worker's answer; None, when there is none for so long that the caller waits no more."""
        now = asyncio.get_running_loop().time
        give_up_at = now() + self._settings.resume_wait_s
        try:
            while now() < give_up_at:
                answer = await self._workers.find(hook, min(give_up_at, now() + self._settings.carrier_timeout_s))
                if answer is not None:
                    return answer
                await asyncio.sleep(KEEP_EVERY_S)
        except CommandError as exc:
            return exc
        _not_taken(hook)
        return None

    def _no_longer_kept(self, task: asyncio.Task[Outcome], hook: CarrierRequest) -> None:
        self._kept.discard(task)
        if not task.cancelled():
            outcome = task.result()
            refused = str(outcome) if isinstance(outcome, CommandError) else None
            taken = isinstance(outcome, CarrierResponse)
            log.info("carrier_hook.kept", carrier=hook.carrier, taken=taken, refused=refused)


def _not_taken(hook: CarrierRequest) -> None:
    """Whose number it is only workers learn, so a call that none of them takes is counted here and has no record."""
    _NOT_TAKEN.labels(hook.carrier).inc()
    log.warning("carrier_hook.no_worker", carrier=hook.carrier)


def _again(call_id: str, ended_at: datetime, locale: str | None) -> CarrierResponse:
    """Have Twilio ask once more, a moment later; it resolves the address against that of the hook."""
    ended_ms = round(ended_at.timestamp() * 1_000)
    query = urlencode({MEDIA_ENDED: ended_ms} | ({} if locale is None else {LANGUAGE: locale[:_LOCALE]}))
    at = escape(f"{quote(call_id, safe='')}?{query}")
    return twiml(f'<Pause length="{PAUSE_S}"/><Redirect method="POST">{at}</Redirect>')

"""Carrier hooks: passed on raw to a call-worker with a free slot.

When there is none, a new caller hears busy; a call that lost its worker is asked for again, for a bounded time.
"""

import asyncio
from datetime import UTC, datetime
from typing import Final, Literal, cast
from urllib.parse import quote
from xml.sax.saxutils import escape

import structlog
from aiohttp import web
from aiohttp.hdrs import METH_GET, METH_POST

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope.observability import metrics
from calliope_gateway.http.reading import read_body
from calliope_gateway.ports import Commands
from calliope_gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

VOICE: Final = "/telephony/{carrier:twilio|telnyx}/voice"
RESUME: Final = "/telephony/{carrier:twilio|telnyx}/resume/{call_id}"
_NO_WORKER: Final = {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.BUSY}
_TWIML: Final = '<?xml version="1.0" encoding="UTF-8"?><Response>{}</Response>'
# What each carrier understands; the worker, which knows carriers, is the one that is missing here.
_BUSY: Final = {
    "twilio": CarrierResponse(status=200, body=_TWIML.format('<Reject reason="busy"/>')),
    "telnyx": CarrierResponse(status=503, content_type="text/plain", body="busy"),
}
_HANG_UP: Final = {**_BUSY, "twilio": CarrierResponse(status=200, body=_TWIML.format("<Hangup/>"))}
# Relative to the address of the hook itself, as Twilio resolves it; what it then signs includes the query.
_ASK_AGAIN: Final = '<Pause length="{pause}"/><Redirect method="POST">{call_id}?try={number}</Redirect>'
PAUSE_S: Final = 1
_NOT_TAKEN: Final = metrics.counter(
    "calliope_calls_not_taken_total", "Calls refused because no worker had a free slot, or none answered.", "carrier"
)


class CarrierHooks:
    """Handlers of every carrier path."""

    def __init__(self, commands: Commands, settings: GatewaySettings) -> None:
        self._commands = commands
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        """A call comes in; a call's media ended. Twilio asks by POST or by GET, as its number is configured."""
        return [web.route(method, path, self._handle) for path in (VOICE, RESUME) for method in (METH_POST, METH_GET)]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        limits = self._settings.limits
        hook = CarrierRequest.model_construct(
            carrier=cast("Literal['twilio', 'telnyx']", request.match_info["carrier"]),
            method=request.method,
            path_and_query=request.raw_path,
            headers=tuple(request.headers.items()),
            body=await read_body(request, limit=limits.carrier_body_bytes, timeout_s=limits.body_timeout_s),
            asked_at=datetime.now(UTC),
        )
        answer = await self._ask(hook) or self._without_worker(request)
        return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type)

    def _without_worker(self, request: web.Request) -> CarrierResponse:
        """A new call has no one to take it; one that runs waits for the worker that comes back, or for another.

        Whose number it is only workers learn, so a call that none was there for is counted here and has no record.
        """
        carrier, call_id = request.match_info["carrier"], request.match_info.get("call_id")
        if call_id is None:
            _NOT_TAKEN.labels(carrier).inc()
            return _BUSY[carrier]
        number = _try(request) + 1
        if carrier != "twilio" or number * PAUSE_S > self._settings.resume_wait_s:
            return _HANG_UP[carrier]
        again = _ASK_AGAIN.format(pause=PAUSE_S, call_id=escape(quote(call_id, safe="")), number=number)
        return CarrierResponse(status=200, body=_TWIML.format(again))

    async def _ask(self, hook: CarrierRequest) -> CarrierResponse | None:
        """A worker's answer; None, when none has a free slot. Raises: CommandError, when the hook itself is to blame.

        A worker that died took what it was just asked along, and a caller waits: while nobody answers, one is asked
        again, after twice as long each time. A worker that is only slow keeps the call, and its answer is waited for.
        """
        now, again_s = asyncio.get_running_loop().time, self._settings.carrier_again_s
        deadline = now() + self._settings.carrier_timeout_s
        asked: set[asyncio.Task[CarrierResponse | CommandError]] = set()
        answer: CarrierResponse | CommandError | None = None
        code = ErrorCode.TIMEOUT
        async with asyncio.TaskGroup() as tasks:
            while answer is None and (left_s := deadline - now()) > 0:
                asked.add(tasks.create_task(self._ask_one(hook, left_s), name="carrier_hook.ask"))
                again_at, again_s = min(deadline, now() + again_s), 2 * again_s
                while answer is None and asked and (wait_s := again_at - now()) > 0:
                    done, asked = await asyncio.wait(asked, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                    for found in (task.result() for task in done):
                        if isinstance(found, CommandError) and found.code in _NO_WORKER:
                            code = found.code
                        else:
                            answer = found
                if not asked:
                    break
            for task in asked:
                task.cancel()
        if isinstance(answer, CommandError):
            raise answer
        if answer is None:
            log.warning("carrier_hook.no_worker", carrier=hook.carrier, code=code)
        return answer

    async def _ask_one(self, hook: CarrierRequest, timeout_s: float) -> CarrierResponse | CommandError:
        try:
            return await self._commands.call(
                Command.CALLS_ACCEPT, hook, reply_type=CarrierResponse, timeout_s=timeout_s
            )
        except CommandError as exc:
            return exc


def _try(request: web.Request) -> int:
    """How often the carrier asked before."""
    number = request.query.get("try", "0")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 5 else 0

"""Carrier hooks: passed on raw to a call-worker with a free slot; when there is none, the caller hears busy."""

from typing import Final, Literal, cast

import structlog
from aiohttp import web

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.errors import CommandError
from calliope_gateway.http.reading import read_body
from calliope_gateway.ports import Commands
from calliope_gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

PATHS: Final = {
    "/telephony/{carrier:twilio|telnyx}/voice": Command.CALLS_ACCEPT,
    "/telephony/{carrier:twilio|telnyx}/resume/{call_id}": Command.CALLS_ACCEPT,
    "/telephony/{carrier:twilio|telnyx}/status": Command.CALLS_CARRIER_EVENT,
}
# What each carrier understands as "busy"; the worker, which knows carriers, is the one that is missing here.
_BUSY: Final = {
    "twilio": CarrierResponse(
        status=200, body='<?xml version="1.0" encoding="UTF-8"?><Response><Reject reason="busy"/></Response>'
    ),
    "telnyx": CarrierResponse(status=503, content_type="text/plain", body="busy"),
}
_HANG_UP: Final = CarrierResponse(
    status=200, body='<?xml version="1.0" encoding="UTF-8"?><Response><Hangup/></Response>'
)


class CarrierHooks:
    """Handlers of every carrier path."""

    def __init__(self, commands: Commands, settings: GatewaySettings) -> None:
        self._commands = commands
        self._settings = settings

    def routes(self) -> list[web.RouteDef]:
        """One POST route per path."""
        return [web.post(path, self._handle) for path in PATHS]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        limits = self._settings.limits
        body = await read_body(request, limit=limits.carrier_body_bytes, timeout_s=limits.body_timeout_s)
        carrier = cast("Literal['twilio', 'telnyx']", request.match_info["carrier"])
        resource = request.match_info.route.resource
        command = PATHS[_pattern(resource.canonical if resource else "")]
        hook = CarrierRequest.model_construct(
            carrier=carrier,
            method=request.method,
            path_and_query=request.raw_path,
            headers=tuple((name, value) for name, value in request.headers.items()),
            body=body,
        )
        answer = await self._ask(command, hook, resumed="call_id" in request.match_info)
        return web.Response(status=answer.status, text=answer.body, content_type=answer.content_type)

    async def _ask(self, command: Command, hook: CarrierRequest, *, resumed: bool) -> CarrierResponse:
        try:
            return await self._commands.call(
                command, hook, reply_type=CarrierResponse, timeout_s=self._settings.carrier_timeout_s
            )
        except CommandError as exc:
            if exc.code not in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT, ErrorCode.BUSY}:
                raise
            log.warning("carrier_hook.no_worker", carrier=hook.carrier, code=exc.code, resumed=resumed)
            return _HANG_UP if resumed and hook.carrier == "twilio" else _BUSY[hook.carrier]


def _pattern(canonical: str) -> str:
    return next(path for path in PATHS if path.replace(":twilio|telnyx", "") == canonical)

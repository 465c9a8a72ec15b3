"""Twin of Telnyx: the REST of live calls under /telnyx/v2; under /sandbox/telnyx numbers to own, calls to place."""

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from calliope_sandbox.json_http import as_json, json_object
from calliope_sandbox.person import Person
from calliope_sandbox.vendors import telnyx_words as words
from calliope_sandbox.vendors.host import DroppedError, Host, Trouble, refused
from calliope_sandbox.vendors.numbers import MOST_EARLY, needed, whole
from calliope_sandbox.vendors.rest import answered
from calliope_sandbox.vendors.switchboard import Switchboard
from calliope_sandbox.vendors.telnyx_call import VENDOR, Number, TelnyxCall

COMMAND_S: Final = 60.0
"""So long a repeated `command_id` is taken without effect."""
_ACCOUNT: Final = ("connection_id", "api_key", "signing_key", "webhook_url")
_NEEDED: Final = {
    "answer": (),
    "reject": ("cause",),
    "hangup": (),
    "streaming_start": ("stream_url",),
    "streaming_stop": (),
    "speak": ("payload", "voice"),
    "transfer": ("to",),
}
SLOPPY: Final[Mapping[str, Mapping[str, Any]]] = {
    "early_frames": {"early_frames": 3},
    "hooks_twice": {"restless": True},
}
"""What a sloppy call does otherwise than its number says."""
_LANGUAGES: Final = frozenset((
    "arb", "cmn-CN", "cy-GB", "da-DK", "de-DE", "en-AU", "en-GB", "en-GB-WLS", "en-IN", "en-US", "es-ES", "es-MX",
    "es-US", "fr-CA", "fr-FR", "hi-IN", "is-IS", "it-IT", "ja-JP", "ko-KR", "nb-NO", "nl-NL", "pl-PL", "pt-BR",
    "pt-PT", "ro-RO", "ru-RU", "sv-SE", "tr-TR",
))  # fmt: skip
"""Of the basic voices that `speak` has."""
_WHILE_RINGING: Final = frozenset({"answer", "reject", "hangup"})


class Exchanges(Switchboard[TelnyxCall, Number]):
    """All numbers and calls of one sandbox."""

    vendor = VENDOR
    example_account: Mapping[str, str] = {
        "connection_id": "1" * 19,
        "api_key": "KEY-mine",
        "signing_key": base64.b64encode(bytes(32)).decode(),
        "webhook_url": "http://127.0.0.1:8080/telephony/telnyx/voice",
    }

    def read_number(self, number: str, document: Mapping[str, Any]) -> Number:
        """{connection_id, api_key, signing_key, webhook_url} and options of `Number`. See `Switchboard`."""
        return Number(
            number,
            **needed(document, _ACCOUNT),
            restless=bool(document.get("restless", False)),
            active=bool(document.get("active", True)),
            end_first=bool(document.get("end_first", False)),
            early_frames=whole(document, "early_frames", most=MOST_EARLY),
        )

    def ring(self, called: str, caller: str, person: Person, ring_ms: float) -> TelnyxCall | None:
        """See `Switchboard`."""
        number = self.numbers.of(called)
        if number is None:
            return None
        if (sloppy := self.host.sloppiness.draw(self.vendor, number.account)) is not None:
            kind = self.host.sloppiness.wanted(SLOPPY, sloppy)
            number = number if kind is None else replace(number, **SLOPPY[kind])
        return TelnyxCall(
            host=self.host,
            caller_number=caller,
            called_number=called,
            person=person,
            ring_ms=ring_ms,
            number=number,
            dialled=self.dialled,
        )

    # Telnyx's REST

    async def application(self, request: web.Request) -> web.Response:
        """GET /v2/call_control_applications/{id}."""

        def tell(owned: list[Number]) -> web.Response:
            wanted = request.match_info["id"]
            mine = next((one for one in owned if one.connection_id == wanted), None)
            if mine is None:
                return _error(404, 10005, "Resource not found")
            return as_json({"data": words.application(mine.connection_id, mine.webhook_url, active=mine.active)})

        return await self._told(request, tell)

    async def phone_numbers(self, request: web.Request) -> web.Response:
        """GET /v2/phone_numbers?filter[phone_number]=."""

        def tell(owned: list[Number]) -> web.Response:
            number = self.numbers.of(request.query.get("filter[phone_number]", ""))
            mine = number is not None and number.api_key == owned[0].api_key
            data = [words.phone_number(number.number, number.connection_id)] if number is not None and mine else []
            meta = {"page_number": 1, "page_size": 20, "total_pages": 1, "total_results": len(data)}
            return as_json({"data": data, "meta": meta})

        return await self._told(request, tell)

    async def _told(self, request: web.Request, tell: Callable[[list[Number]], web.Response]) -> web.Response:
        """What is told to those who have a key; `tell` is given the numbers of its account."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        owned = [one for one in self.numbers.accounts() if one.api_key == given]
        if not owned:
            return _error(401, 10009, "Authentication failed")

        def failed(trouble: Trouble) -> web.Response:
            return _error(trouble.status, 10011 if trouble.status == 429 else 10007, trouble.reason)

        return await answered(request, self.host, VENDOR, key=given, failed=failed, answer=lambda: tell(owned))

    async def command(self, request: web.Request) -> web.Response:
        """POST /v2/calls/{call_control_id}/actions/{name}. `ok` means taken; what came of it, hooks tell."""
        found = await self._found(request)
        if isinstance(found, web.Response):
            return found
        body, name = await json_object(request), request.match_info["name"]
        missing = [field for field in _NEEDED.get(name, ()) if not body.get(field)]
        if name not in _NEEDED:
            return _error(404, 10005, f"no command {name}")
        if found.over:
            return _error(422, 90018, "Call has already ended")
        if missing:
            return _error(422, 10004, f"missing {', '.join(missing)}")
        if name == "speak" and body.get("language", "en-US") not in _LANGUAGES:
            return _error(422, 10015, "language is none of those that the voice speaks")
        if name not in _WHILE_RINGING and found.answered_at_s is None:
            return _error(422, 90034, "Call not answered yet")
        if name == "streaming_start" and found.stream is not None:
            return _error(422, 90045, "Streaming is already on")
        if not self._repeated(found, str(body.get("command_id", ""))):
            found.command(name, body)
        return as_json({"data": {"result": "ok"}})

    async def fetch(self, request: web.Request) -> web.Response:
        """GET /v2/calls/{call_control_id}."""
        found = await self._found(request)
        if isinstance(found, web.Response):
            return found
        alive: dict[str, Any] = {"record_type": "call", "is_alive": not found.over}
        return as_json({"data": found.payload() | alive})

    async def _found(self, request: web.Request) -> TelnyxCall | web.Response:
        sid = request.match_info["sid"]
        call = self.calls.get(sid)
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            trouble = await refused(self.host, VENDOR, request, call=sid, key=given)
        except DroppedError:
            return web.Response(status=500)
        if trouble is not None and trouble.action == "refuse":
            return _error(trouble.status, 10011 if trouble.status == 429 else 10007, trouble.reason)
        if given not in {number.api_key for number in self.numbers.accounts()}:
            return _error(401, 10009, "Authentication failed")
        if call is None or call.number.api_key != given:
            return _error(404, 10005, "Resource not found")
        return call

    def _repeated(self, call: TelnyxCall, command_id: str) -> bool:
        now_s = time.monotonic()
        before_s = call.known_commands.get(command_id)
        if command_id:
            call.known_commands[command_id] = now_s
        return before_s is not None and now_s - before_s < COMMAND_S


def _error(status: int, code: int, title: str) -> web.Response:
    return as_json(words.error(code, title), status)


def mount(app: web.Application, host: Host) -> None:
    """Serve under /telnyx/v2, and its switches under /sandbox/telnyx."""
    exchanges = Exchanges(host)
    exchanges.mount(app)
    app.router.add_get("/telnyx/v2/call_control_applications/{id}", exchanges.application)
    app.router.add_get("/telnyx/v2/phone_numbers", exchanges.phone_numbers)
    app.router.add_get("/telnyx/v2/calls/{sid}", exchanges.fetch)
    app.router.add_post("/telnyx/v2/calls/{sid}/actions/{name}", exchanges.command)

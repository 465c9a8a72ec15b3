"""Twin of Twilio: the REST of live calls under /twilio, and under /sandbox/twilio numbers to own and calls to place."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from calliope_sandbox.json_http import as_json
from calliope_sandbox.person import Person
from calliope_sandbox.vendors import twilio_words as words
from calliope_sandbox.vendors.host import DroppedError, Host, Trouble, refused
from calliope_sandbox.vendors.numbers import MOST_EARLY, needed, whole
from calliope_sandbox.vendors.rest import answered
from calliope_sandbox.vendors.switchboard import Switchboard
from calliope_sandbox.vendors.twilio_call import VENDOR, Number, PhoneCall

_ACCOUNT: Final = ("account_sid", "auth_token", "voice_url")
SLOPPY: Final[Mapping[str, Mapping[str, Any]]] = {
    "early_frames": {"early_frames": 3},
    "hook_by_get": {"voice_method": "GET"},
}
"""What a sloppy call does otherwise than its number says."""
_OPTIONS: Final = ("voice_application_sid", "status", "voice_method", "status_callback")


class Exchanges(Switchboard[PhoneCall, Number]):
    """All numbers and calls of one sandbox."""

    vendor = VENDOR
    example_account: Mapping[str, str] = {
        "account_sid": "AC" + "1" * 32,
        "auth_token": "my-token",
        "voice_url": "http://127.0.0.1:8080/telephony/twilio/voice",
    }

    def read_number(self, number: str, document: Mapping[str, Any]) -> Number:
        """{account_sid, auth_token, voice_url} and options of `Number`. See `Switchboard`."""
        more = {name: str(document[name]) for name in _OPTIONS if name in document}
        early_frames = whole(document, "early_frames", most=MOST_EARLY)
        return Number(number, **needed(document, _ACCOUNT), **more, early_frames=early_frames)

    def ring(self, called: str, caller: str, person: Person, ring_ms: float) -> PhoneCall | None:
        """See `Switchboard`."""
        number = self.numbers.of(called)
        if number is None:
            return None
        if (sloppy := self.host.sloppiness.draw(self.vendor, number.account)) is not None:
            kind = self.host.sloppiness.wanted(SLOPPY, sloppy)
            number = number if kind is None else replace(number, **SLOPPY[kind])
        return PhoneCall(
            host=self.host,
            caller_number=caller,
            called_number=called,
            person=person,
            ring_ms=ring_ms,
            number=number,
            dialled=self.dialled,
        )

    # Twilio's REST

    async def account(self, request: web.Request) -> web.Response:
        """GET /2010-04-01/Accounts/{account}.json."""
        return await self._told(request, lambda owned: as_json(words.account(owned.account_sid, owned.status)))

    async def incoming_numbers(self, request: web.Request) -> web.Response:
        """GET /2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json?PhoneNumber=, which must be a whole number."""

        def page(owned: Number) -> web.Response:
            number = self.numbers.of(request.query.get("PhoneNumber", ""))
            held = [] if number is None or number.account_sid != owned.account_sid else [words.incoming(number)]
            return as_json(words.page("incoming_phone_numbers", held, request.path))

        return await self._told(request, page)

    async def _told(self, request: web.Request, tell: Callable[[Number], web.Response]) -> web.Response:
        """What is told to those who name an account with its token."""
        account = request.match_info["account"]
        owned = next((one for one in self.numbers.accounts() if one.account_sid == account), None)
        if owned is None or not self._known(account, request.headers.get("Authorization", "")):
            return _error(401, 20003, "Authenticate")

        def failed(trouble: Trouble) -> web.Response:
            return _error(trouble.status, 20429 if trouble.status == 429 else 20500, trouble.reason)

        return await answered(request, self.host, VENDOR, key=account, failed=failed, answer=lambda: tell(owned))

    async def resource(self, request: web.Request) -> web.Response:
        """GET or POST /2010-04-01/Accounts/{account}/Calls/{sid}.json."""
        account, sid = request.match_info["account"], request.match_info["sid"]
        call = self.calls.get(sid)
        try:
            trouble = await refused(self.host, VENDOR, request, call=sid, key=account)
        except DroppedError:
            return web.Response(status=500)
        if trouble is not None and trouble.action == "refuse":
            return _error(trouble.status, 20429 if trouble.status == 429 else 20500, trouble.reason)
        if not self._known(account, request.headers.get("Authorization", "")):
            return _error(401, 20003, "Authenticate")
        if call is None or call.number.account_sid != account:
            return _error(404, 20404, f"The requested resource /Calls/{sid}.json was not found")
        return await self._update(request, call) if request.method == "POST" else as_json(_resource(call))

    async def _update(self, request: web.Request, call: PhoneCall) -> web.Response:
        form = await request.post()
        if call.over:
            return _error(400, 21220, "Call is not in-progress. Cannot redirect.")
        twiml = str(form.get("Twiml", ""))
        url = str(form.get("Url", ""))
        if form.get("Status") in {"completed", "canceled"}:
            call.hang_up("product")
        elif url:
            if urlsplit(url).scheme not in {"http", "https"}:
                return _error(400, 21205, "Url is not a valid URL")
            call.update([words.Verb("Redirect", {}, url)])
        elif not twiml or len(twiml) > words.MAX_TWIML:
            return _error(400, 21218, f"Twiml of 1 to {words.MAX_TWIML} characters is needed")
        else:
            try:
                call.update(words.parse(twiml))
            except words.TwimlError as exc:
                return _error(400, exc.code, str(exc))
        return as_json(_resource(call))

    def _known(self, account: str, authorization: str) -> bool:
        scheme, _, encoded = authorization.partition(" ")
        try:
            given = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return False
        owned = self.numbers.accounts()
        pairs = {f"{one.account_sid}:{one.auth_token}" for one in owned if one.account_sid == account}
        return scheme == "Basic" and given in pairs


def _resource(call: PhoneCall) -> dict[str, Any]:
    account = call.number.account_sid
    return {
        "sid": call.sid,
        "account_sid": account,
        "parent_call_sid": None,
        "to": call.number.number,
        "from": call.caller_number,
        "status": "completed" if call.over else call.status,
        "duration": str(round(call.now_ms / 1_000)) if call.over else None,
        "direction": "inbound",
        "answered_by": None,
        "api_version": "2010-04-01",
        "queue_time": "0",
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{call.sid}.json",
    }


def _error(status: int, code: int, text: str) -> web.Response:
    return as_json(words.error(status, code, text), status)


def mount(app: web.Application, host: Host) -> None:
    """Serve under /twilio, and its switches under /sandbox/twilio."""
    exchanges = Exchanges(host)
    exchanges.mount(app)
    resource = "/twilio/2010-04-01/Accounts/{account}/Calls/{sid}.json"
    app.router.add_get("/twilio/2010-04-01/Accounts/{account}.json", exchanges.account)
    app.router.add_get("/twilio/2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json", exchanges.incoming_numbers)
    app.router.add_get(resource, exchanges.resource)
    app.router.add_post(resource, exchanges.resource)

"""Twin of Twilio: the REST of live calls under /twilio, and under /sandbox/twilio numbers to own and calls to place."""

import asyncio
import base64
import binascii
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web

from calliope_sandbox.callers import ScriptError, parse
from calliope_sandbox.json_http import as_json, json_object
from calliope_sandbox.person import Person
from calliope_sandbox.vendors import twilio_words as words
from calliope_sandbox.vendors.host import DroppedError, Host, refused
from calliope_sandbox.vendors.twilio_call import VENDOR, Number, PhoneCall

MAX_CALLS: Final = 5_000
LONGEST_WAIT_S: Final = 600.0
LIVE_POLL_S: Final = 0.05
_OUTCOMES: Final = ("completed", "busy", "no-answer", "failed", "canceled")


class Exchanges:
    """All numbers and calls of one sandbox."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._numbers: dict[str, Number] = {}
        self._dialled: dict[str, str] = {}
        self._calls: OrderedDict[str, PhoneCall] = OrderedDict()
        self._tasks: asyncio.TaskGroup | None = None
        self._session: aiohttp.ClientSession | None = None

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Calls live as long as the sandbox."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            async with asyncio.TaskGroup() as self._tasks:
                yield
                for call in self._calls.values():
                    call.update(None, ended_by="sandbox")

    # Under /sandbox/twilio

    async def put_number(self, request: web.Request) -> web.Response:
        """Own a number: {account_sid, auth_token, voice_url}."""
        document = await json_object(request)
        missing = [name for name in ("account_sid", "auth_token", "voice_url") if not document.get(name)]
        if missing:
            return as_json({"error": f"{', '.join(missing)} needed"}, 400)
        number = Number(
            request.match_info["number"], document["account_sid"], document["auth_token"], document["voice_url"]
        )
        self._numbers[number.number] = number
        return as_json({"number": number.number})

    async def put_dialled(self, request: web.Request) -> web.Response:
        """How a number answers that a call is transferred to: {outcome}."""
        outcome = (await json_object(request)).get("outcome")
        if outcome not in _OUTCOMES:
            return as_json({"error": f"outcome must be one of {', '.join(_OUTCOMES)}"}, 400)
        self._dialled[request.match_info["number"]] = outcome
        return as_json({"outcome": outcome})

    async def place(self, request: web.Request) -> web.Response:
        """Somebody calls: {from, to, script, char_ms?, deaf?, ring_ms?}."""
        document = await json_object(request)
        number = self._numbers.get(str(document.get("to")))
        if number is None:
            return as_json({"error": f"nobody owns {document.get('to')}; PUT /sandbox/twilio/numbers/… first"}, 404)
        try:
            steps = parse(document.get("script", [{"expect_hang_up": True}]))
        except ScriptError as exc:
            return as_json({"error": str(exc)}, 400)
        person = Person(steps, char_ms=int(document.get("char_ms", 60)), deaf=bool(document.get("deaf", False)))
        caller, ring_ms = str(document.get("from", "+15550001111")), float(document.get("ring_ms", 0))
        call = PhoneCall(self._host, number, caller, person, self._dialled, ring_ms)
        self._calls[call.sid] = call
        while len(self._calls) > MAX_CALLS:
            self._calls.popitem(last=False)
        if self._tasks is None or self._session is None:
            raise web.HTTPServiceUnavailable
        self._tasks.create_task(call.run(self._session), name=f"twilio.call.{call.sid}")
        return as_json({"sid": call.sid}, 201)

    async def show(self, request: web.Request) -> web.Response:
        """What was seen of a call; `?wait_s=` waits for its end."""
        call = self._call(request)
        wait_s = min(float(request.query.get("wait_s", 0)), LONGEST_WAIT_S)
        try:
            async with asyncio.timeout(wait_s):
                await call.done.wait()
        except TimeoutError:
            if wait_s:
                call.problems.append(f"still going on after {wait_s:g} s")
        return as_json(call.document())

    async def live(self, request: web.Request) -> web.StreamResponse:
        """The talk line by line as it is heard, as newline-delimited JSON, until the call ends."""
        call = self._call(request)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        told = 0
        while True:
            over = call.done.is_set()
            for event in list(call.told)[told:]:
                told += 1
                await response.write(orjson.dumps(event) + b"\n")
            if over:
                return response
            await asyncio.sleep(LIVE_POLL_S)

    async def hang_up(self, request: web.Request) -> web.Response:
        """The caller puts the phone down now, whatever the script says."""
        self._call(request).update(None, ended_by="caller")
        return as_json({})

    def _call(self, request: web.Request) -> PhoneCall:
        call = self._calls.get(request.match_info["sid"])
        if call is None:
            raise web.HTTPNotFound(text=f"no call {request.match_info['sid']}")
        return call

    # Twilio's REST

    async def resource(self, request: web.Request) -> web.Response:
        """GET or POST /2010-04-01/Accounts/{account}/Calls/{sid}.json."""
        account, sid = request.match_info["account"], request.match_info["sid"]
        call = self._calls.get(sid)
        try:
            trouble = await refused(self._host, VENDOR, request, call=sid, key=account)
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
        if form.get("Status") in {"completed", "canceled"}:
            call.update(None, ended_by="product")
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
        pairs = {f"{one.account_sid}:{one.auth_token}" for one in self._numbers.values() if one.account_sid == account}
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
    app.cleanup_ctx.append(exchanges.running)
    controls = "/sandbox/twilio"
    app.router.add_put(f"{controls}/numbers/{{number}}", exchanges.put_number)
    app.router.add_put(f"{controls}/dialled/{{number}}", exchanges.put_dialled)
    app.router.add_post(f"{controls}/calls", exchanges.place)
    app.router.add_get(f"{controls}/calls/{{sid}}", exchanges.show)
    app.router.add_delete(f"{controls}/calls/{{sid}}", exchanges.hang_up)
    app.router.add_get(f"{controls}/calls/{{sid}}/live", exchanges.live)
    resource = "/twilio/2010-04-01/Accounts/{account}/Calls/{sid}.json"
    app.router.add_get(resource, exchanges.resource)
    app.router.add_post(resource, exchanges.resource)

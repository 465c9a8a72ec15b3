"""What every carrier's twin offers under /sandbox: people who call, what they saw, their talk as it happens."""

import asyncio
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Generic, TypeVar

import aiohttp
import orjson
from aiohttp import web

from calliope_sandbox.callers import ScriptError, TooManyStepsError, parse
from calliope_sandbox.endpoints import Endpoint, serve
from calliope_sandbox.json_http import as_json, json_object
from calliope_sandbox.person import Person
from calliope_sandbox.vendors.caller_side import CallerSide
from calliope_sandbox.vendors.host import Host
from calliope_sandbox.vendors.numbers import NumberError, Numbers, OneNumber

MAX_CALLS: Final = 5_000
LONGEST_WAIT_S: Final = 600.0
LIVE_POLL_S: Final = 0.05
LATEST: Final = "latest"
"""In the place of a call's id: the newest call."""
OUTCOMES: Final = ("completed", "busy", "no-answer", "failed", "canceled")
"""How a number answers that a call is transferred to."""
EXAMPLE: Final = (
    {"wait_for_silence_ms": 500, "patience_s": 5},
    {"say": "What are your opening hours?"},
    {"wait_for_silence_ms": 1_500, "patience_s": 10},
    {"hang_up": True},
)
"""A script that asks one question."""
OneCall = TypeVar("OneCall", bound=CallerSide)


class Switchboard(ABC, Generic[OneCall, OneNumber]):
    """All numbers and calls of one carrier's emulator. They live as long as the sandbox."""

    vendor: str
    example_account: Mapping[str, str]
    """What `read_number` takes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.numbers: Numbers[OneNumber] = Numbers(self.read_number, host.account(self.vendor))
        self.dialled: dict[str, str] = {}
        self.calls: OrderedDict[str, OneCall] = OrderedDict()
        self._tasks: asyncio.TaskGroup | None = None
        self._session: aiohttp.ClientSession | None = None

    @abstractmethod
    def read_number(self, number: str, document: Mapping[str, Any]) -> OneNumber:
        """A number of the account in the document. Raises: NumberError."""

    @abstractmethod
    def ring(self, called: str, caller: str, person: Person, ring_ms: float) -> OneCall | None:
        """A call to a number; None, when nobody owns it."""

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """For `cleanup_ctx`."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._session = session
            async with asyncio.TaskGroup() as self._tasks:
                yield
                for call in self.calls.values():
                    call.hang_up("sandbox")

    def mount(self, app: web.Application) -> None:
        """The switches that carriers have in common."""
        app.cleanup_ctx.append(self.running)
        serve(app, *self._endpoints())

    def _endpoints(self) -> list[Endpoint]:
        controls, group = f"/sandbox/{self.vendor}", f"Phone calls at {self.vendor.capitalize()}"
        call, latest = f"{controls}/calls/{{sid}}", {"sid": LATEST}
        desk = {"number": "+15550007777"}
        return [
            Endpoint(group, "POST", f"{controls}/calls", "Somebody calls a number and follows a script.", self.place,
                     body={"to": "+15550002222", "script": EXAMPLE}),
            Endpoint(group, "GET", f"{call}/live", "The talk as it is heard, line by line, until the call ends.",
                     self.live, at=latest, streams=True),
            Endpoint(group, "POST", f"{call}/steps", "More for the caller to do while the call goes on.",
                     self.add_steps, at=latest, body={"script": [{"say": "One more question"}]}),
            Endpoint(group, "DELETE", call, "The caller puts the phone down.", self.put_down, at=latest),
            Endpoint(group, "GET", call, "Everything that was seen of a call; latest is the newest one.", self.show,
                     at=latest, query="?wait_s=20"),
            Endpoint(group, "GET", f"{controls}/numbers", "Whose each number is, and where its hooks go.",
                     self.list_numbers),
            Endpoint(group, "PUT", f"{controls}/numbers/{{number}}",
                     "Give a number to an account of its own, which signs its hooks.", self.put_number,
                     at={"number": "+15550009999"}, body=self.example_account),
            Endpoint(group, "PUT", f"{controls}/dialled/{{number}}",
                     f"How a number answers that a call is transferred to: {', '.join(OUTCOMES)}.", self.put_dialled,
                     at=desk, body={"outcome": "busy"}),
        ]  # fmt: skip

    async def put_number(self, request: web.Request) -> web.Response:
        """The account of a number: who signs its hooks, and where they go."""
        number = request.match_info["number"]
        try:
            self.numbers.register(number, await json_object(request))
        except NumberError as exc:
            return as_json({"error": str(exc)}, 400)
        return as_json({"number": number})

    async def list_numbers(self, _: web.Request) -> web.Response:
        """Registered numbers, and `others`: what every number is that was not."""
        return as_json(self.numbers.listing())

    async def put_dialled(self, request: web.Request) -> web.Response:
        """How a number answers that a call is transferred to: {outcome}."""
        outcome = (await json_object(request)).get("outcome")
        if outcome not in OUTCOMES:
            return as_json({"error": f"outcome must be one of {', '.join(OUTCOMES)}"}, 400)
        self.dialled[request.match_info["number"]] = outcome
        return as_json({"outcome": outcome})

    async def place(self, request: web.Request) -> web.Response:
        """Somebody calls: {from, to, script, char_ms?, deaf?, ring_ms?, idle_s?}.

        With `idle_s` the caller hangs up when no step was left for so long: for steps that are added to the call.
        """
        document = await json_object(request)
        try:
            steps = parse(document.get("script", [{"expect_hang_up": True}]))
            idle_s = None if document.get("idle_s") is None else _number(document, "idle_s", 0)
            char_ms, ring_ms = _number(document, "char_ms", 60), _number(document, "ring_ms", 0)
        except ScriptError as exc:
            return as_json({"error": str(exc)}, 400)
        idle_ms = None if idle_s is None else idle_s * 1_000
        person = Person(steps, char_ms=int(char_ms), deaf=bool(document.get("deaf", False)), idle_ms=idle_ms)
        called, caller = str(document.get("to")), str(document.get("from", "+15550001111"))
        call = self.ring(called, caller, person, ring_ms)
        if call is None:
            return as_json({"error": f"nobody owns {called}; PUT /sandbox/{self.vendor}/numbers/… first"}, 404)
        self.calls[call.sid] = call
        while len(self.calls) > MAX_CALLS:
            self.calls.popitem(last=False)
        if self._tasks is None or self._session is None:
            raise web.HTTPServiceUnavailable
        self._tasks.create_task(call.run(self._session), name=f"{self.vendor}.call.{call.sid}")
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
        """The talk as it is heard, ordered by its time in the call: newline-delimited JSON until the call ends."""
        call = self._call(request)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        told = 0
        while True:
            over = call.done.is_set()
            told, events = call.feed.after(told)
            for event in events:
                await response.write(orjson.dumps(event) + b"\n")
            if over:
                return response
            await asyncio.sleep(LIVE_POLL_S)

    async def add_steps(self, request: web.Request) -> web.Response:
        """More for the caller to do, after all other steps: {script}."""
        call = self._call(request)
        if call.over:
            return as_json({"error": "the call is over"}, 409)
        try:
            call.person.caller.add(parse((await json_object(request)).get("script")))
        except TooManyStepsError as exc:
            return as_json({"error": str(exc)}, 409)
        except ScriptError as exc:
            return as_json({"error": str(exc)}, 400)
        return as_json({"sid": call.sid}, 201)

    async def put_down(self, request: web.Request) -> web.Response:
        """The caller puts the phone down now, whatever the script says."""
        self._call(request).hang_up("caller")
        return as_json({})

    def _call(self, request: web.Request) -> OneCall:
        sid = request.match_info["sid"]
        if sid == LATEST and self.calls:
            sid = next(reversed(self.calls))
        call = self.calls.get(sid)
        if call is None:
            raise web.HTTPNotFound(text=f"no call {sid}")
        return call


def _number(document: Mapping[str, Any], name: str, default: float) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ScriptError(f"{name} must be a number from 0")
    return float(value)

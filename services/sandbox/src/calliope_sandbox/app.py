"""Builds the sandbox: every vendor on one loopback port, and the switches to play with them under /sandbox."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aiohttp import web

from calliope_sandbox.faults import FaultError, Faults
from calliope_sandbox.json_http import as_json, json_object
from calliope_sandbox.knobs import KnobError, Knobs
from calliope_sandbox.llm_scripts import ScriptError, ScriptStore
from calliope_sandbox.records import Records
from calliope_sandbox.vendors import (
    anthropic,
    deepgram,
    deepgram_flux,
    deepgram_speak,
    elevenlabs,
    gemini,
    inworld,
    openai,
    resemble,
    telnyx,
    tools,
    twilio,
    webhooks,
)
from calliope_sandbox.vendors.host import Host, Trouble

Mount = Callable[[web.Application, Host], None]

# A new vendor is its file and a line here.
VENDORS: Final[dict[str, Mount]] = {
    "deepgram": deepgram.mount,
    "deepgram_flux": deepgram_flux.mount,
    "deepgram_speak": deepgram_speak.mount,
    "elevenlabs": elevenlabs.mount,
    "inworld": inworld.mount,
    "openai": openai.mount,
    "anthropic": anthropic.mount,
    "gemini": gemini.mount,
    "resemble": resemble.mount,
    "telnyx": telnyx.mount,
    "tools": tools.mount,
    "twilio": twilio.mount,
    "webhooks": webhooks.mount,
}
# Vendors that share a module answer faults under their own names; both of Deepgram's recognisers under one.
FAULTY: Final = frozenset({*VENDORS, "groq", "xai"} - {"deepgram_flux"})
MAX_BODY: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Sandbox:
    """The state of one sandbox; what every twin is given (`vendors.host.Host`)."""

    knobs: Knobs = field(default_factory=Knobs)
    scripts: ScriptStore = field(default_factory=ScriptStore)
    faults: Faults = field(default_factory=Faults)
    records: Records = field(default_factory=Records)
    accounts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By carrier; see `Host.account`."""

    def record(self, kind: str, entry: dict[str, Any]) -> None:
        """See `Host`."""
        self.records.add(kind, entry)

    def arm(self, fault: Mapping[str, Any]) -> None:
        """See `Host`."""
        self.faults.arm(fault, FAULTY)

    def account(self, carrier: str) -> Mapping[str, Any] | None:
        """See `Host`."""
        return self.accounts.get(carrier)

    def trouble(self, vendor: str, *, call: str, key: str, sent: int | None) -> Trouble | None:
        """See `Host`."""
        return self.faults.trouble(vendor, call=call, key=key, sent=sent)


def create_app(sandbox: Sandbox | None = None) -> web.Application:
    """A fresh sandbox."""
    sandbox = sandbox or Sandbox()
    app = web.Application(client_max_size=MAX_BODY)
    for mount in VENDORS.values():
        mount(app, sandbox)
    app.router.add_routes(_controls(sandbox))
    return app


def _controls(sandbox: Sandbox) -> list[web.RouteDef]:
    async def arm(request: web.Request) -> web.Response:
        try:
            fault = sandbox.faults.arm(await json_object(request), FAULTY)
        except FaultError as exc:
            return _refused(exc)
        return as_json({"id": fault.id}, 201)

    async def faults(_: web.Request) -> web.Response:
        return as_json(sandbox.faults.listing())

    async def disarm(_: web.Request) -> web.Response:
        sandbox.faults.clear()
        return as_json({})

    async def turn(request: web.Request) -> web.Response:
        try:
            sandbox.knobs.turn(await json_object(request))
        except KnobError as exc:
            return _refused(exc)
        return await knobs(request)

    async def knobs(_: web.Request) -> web.Response:
        return as_json(asdict(sandbox.knobs))

    async def script(request: web.Request) -> web.Response:
        try:
            stored = sandbox.scripts.put(await json_object(request))
        except ScriptError as exc:
            return _refused(exc)
        return as_json({"name": stored.name}, 201)

    async def forget_scripts(_: web.Request) -> web.Response:
        sandbox.scripts.clear()
        return as_json({})

    async def records(request: web.Request) -> web.Response:
        return as_json(sandbox.records.listing(request.match_info["kind"], dict(request.query)))

    async def reset(_: web.Request) -> web.Response:
        sandbox.faults.clear()
        sandbox.knobs.reset()
        sandbox.scripts.clear()
        sandbox.records.clear()
        return as_json({})

    async def ready(_: web.Request) -> web.Response:
        return as_json({"status": "ok", "records": sandbox.records.counts()})

    return [
        web.post("/sandbox/faults", arm),
        web.get("/sandbox/faults", faults),
        web.delete("/sandbox/faults", disarm),
        web.patch("/sandbox/knobs", turn),
        web.get("/sandbox/knobs", knobs),
        web.post("/sandbox/llm/scripts", script),
        web.delete("/sandbox/llm/scripts", forget_scripts),
        web.get("/sandbox/records/{kind}", records),
        web.post("/sandbox/reset", reset),
        web.get("/readyz", ready),
        web.get("/livez", ready),
    ]


def _refused(error: Exception) -> web.Response:
    return as_json({"error": str(error)}, 400)

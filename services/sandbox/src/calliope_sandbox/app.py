"""Builds the sandbox: every vendor on one loopback port, and the switches to play with them under /sandbox."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from aiohttp import web

from calliope_sandbox import page
from calliope_sandbox.endpoints import ENDPOINTS, Endpoint, serve
from calliope_sandbox.faults import FaultError, Faults
from calliope_sandbox.json_http import as_json, json_object
from calliope_sandbox.knobs import KnobError, Knobs
from calliope_sandbox.llm_scripts import ScriptError, ScriptStore
from calliope_sandbox.records import Records
from calliope_sandbox.sloppiness import Sloppiness
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

# A new vendor is its file and a line here: what it is, and its routes.
VENDORS: Final[dict[str, tuple[str, Mount]]] = {
    "twilio": ("Twilio: phone calls, media streams, the REST of live calls", twilio.mount),
    "telnyx": ("Telnyx: phone calls, media streams, Call Control", telnyx.mount),
    "deepgram": ("Deepgram: speech to text (nova)", deepgram.mount),
    "deepgram_flux": ("Deepgram: speech to text that takes turns (flux)", deepgram_flux.mount),
    "deepgram_speak": ("Deepgram: voices (Aura)", deepgram_speak.mount),
    "elevenlabs": ("ElevenLabs: voices", elevenlabs.mount),
    "inworld": ("Inworld: voices", inworld.mount),
    "resemble": ("Resemble: voices", resemble.mount),
    "openai": ("OpenAI, Groq, xAI: language models over chat completions", openai.mount),
    "anthropic": ("Anthropic: language models over messages", anthropic.mount),
    "gemini": ("Gemini: language models over generateContent", gemini.mount),
    "tools": ("Your own HTTP tools", tools.mount),
    "webhooks": ("Your own webhook receivers, which verify signatures", webhooks.mount),
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
    sloppiness: Sloppiness = field(init=False)

    def __post_init__(self) -> None:
        self.sloppiness = Sloppiness(self.knobs)

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
    app[ENDPOINTS] = []
    vendors = []
    for about, mount in VENDORS.values():
        before = set(app.router.routes())
        mount(app, sandbox)
        vendors.append(page.Vendor(about, tuple(route for route in app.router.routes() if route not in before)))
    serve(app, *_switches(sandbox))
    page.mount(app, vendors, sandbox.knobs, FAULTY)
    return app


def _switches(sandbox: Sandbox) -> list[Endpoint]:
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

    async def forget_script(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return as_json({}) if sandbox.scripts.remove(name) else as_json({"error": f"no script {name}"}, 404)

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
        sandbox.sloppiness.clear()
        return as_json({})

    async def ready(_: web.Request) -> web.Response:
        return as_json({"status": "ok", "records": sandbox.records.counts()})

    models, seen = "What the language models answer", "What was seen"
    return [
        Endpoint("Faults", "POST", "/sandbox/faults", "The next voice of ElevenLabs is refused.", arm,
                 body={"vendor": "elevenlabs", "kind": "refuse", "status": 503}),
        Endpoint("Faults", "GET", "/sandbox/faults", "What is armed, and how often it struck.", faults),
        Endpoint("Faults", "DELETE", "/sandbox/faults", "Disarm everything.", disarm),
        Endpoint("Knobs", "PATCH", "/sandbox/knobs", "OpenAI takes 800 ms to its first token.", turn,
                 body={"openai": {"first_token_ms": 800}}),
        Endpoint("Knobs", "PATCH", "/sandbox/knobs",
                 "Models, tools and carriers misbehave as real ones do, at every tenth request; the records say how.",
                 body={"sloppy": {"everybody": True, "share": 0.1, "seed": 7}}),
        Endpoint("Knobs", "GET", "/sandbox/knobs", "Every knob as it is now.", knobs),
        Endpoint(models, "POST", "/sandbox/llm/scripts",
                 "Rules, tried in order before the built-in receptionist; `match` is looked for in the caller's words.",
                 script,
                 body={"name": "prices", "rules": [{"match": "price|cost", "say": "A check-up is sixty euros."}]}),
        Endpoint(models, "DELETE", "/sandbox/llm/scripts/{name}", "Forget one script.", forget_script,
                 at={"name": "prices"}),
        Endpoint(models, "DELETE", "/sandbox/llm/scripts", "Forget all of them.", forget_scripts),
        Endpoint(seen, "GET", "/sandbox/records/{kind}",
                 "Each request to a language model; other kinds: deepgram, elevenlabs, deepgram_speak, inworld, "
                 "resemble, tools. A field of the entries narrows it: ?model=gpt-4o-mini", records,
                 at={"kind": "llm"}),
        Endpoint(seen, "GET", "/readyz", "How many records of each kind there are.", ready),
        Endpoint(seen, "POST", "/sandbox/reset", "Forget records, faults and scripts; knobs back to their defaults.",
                 reset, body={}),
        Endpoint(seen, "GET", "/livez", "Whether the sandbox is up.", ready),
    ]  # fmt: skip


def _refused(error: Exception) -> web.Response:
    return as_json({"error": str(error)}, 400)

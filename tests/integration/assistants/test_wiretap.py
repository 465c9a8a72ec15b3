"""Nobody who reads all of the bus reads a secret: each operation that takes or gives one is done through a gateway.

Operations and their secrets come from what the API declares, so a new one fails here until it is done, too.
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import nats
import pytest
from nats.aio.msg import Msg

from calliope.contracts.assistants import AssistantRequest, PinnedAssistant
from calliope.contracts.subjects import Command
from calliope.documents import copied, places
from calliope.ids import new_id
from calliope.messaging.broker import Bus
from calliope.messaging.command_client import CommandClient
from calliope.secrets import Opener
from calliope.settings import HealthSettings, HttpSettings, NatsSettings
from calliope.validation.expectations import whole_example
from calliope_call_worker.adapters.pins import NatsPins
from calliope_call_worker.opened_documents import open_spec
from calliope_gateway.app import running
from calliope_gateway.http.routes import Route
from calliope_gateway.http.server import ROUTES
from calliope_gateway.settings import GatewaySettings
from support.assistants import API_KEY, AssistantsProcess, a_bus
from support.nats import NatsServer
from support.sealing import CALLS_KEY, PUBLIC_KEYS
from support.secret_fields import Path, forms_of, secret_fields

Json = dict[str, Any]
ORGANIZATION = "org_local"
HOOK = "https://example.com/hook"
NUMBER = "+15550007777"

MASK = "••••"
BYTES_OF_A_KEY = 32


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: Any


@dataclass
class Secrets:
    """What must be on no subject. Every secret is its own, so that a leak says whence it came."""

    all: list[str] = field(default_factory=list)

    def new(self) -> str:
        """A random text that any field takes."""
        self.all.append(f"canary{secrets.token_hex(12)}")
        return self.all[-1]

    def signing(self) -> str:
        """A webhook secret."""
        self.all.append(base64.b64encode(secrets.token_bytes(BYTES_OF_A_KEY)).decode())
        return f"whsec_{self.all[-1]}"

    def planted(self, **changes: Any) -> Json:
        """A document in which every secret is one of these."""
        document: Json = copied(whole_example(AssistantRequest))
        taken = secret_fields(AssistantRequest)
        document = {name: value for name, value in document.items() if name in {path[0] for path in taken}}
        for group in ("stt_settings", "tts_settings"):  # examples of options of several models at once
            document[group] = {name: value for name, value in document[group].items() if (group, name) in taken}
        document["tts_settings"]["fallbacks"] = [{"provider": "deepgram", "api_key": ""}]
        document["tools_settings"]["custom_tools"][0]["headers"] = {"Authorization": "", "X-Api-Key": ""}
        del document["tools_settings"]["custom_tools"][0]["auth_token"]
        document["tools_settings"]["custom_tools"].append(
            {"name": "other", "description": "d", "url": "https://example.com/", "auth_token": ""}
        )
        document |= {"name": new_id("wiretapped"), "webhook_secret": "", "webhook_url": HOOK, **changes}
        for pattern in taken:
            found = list(places(document, pattern))
            assert found, f"{'.'.join(pattern)} is a secret without a place in this test's document"
            for _, container, key in found:
                container[key] = self.signing() if pattern == ("webhook_secret",) else self.new()
        return document

    def shown_in(self, answer: Answer, fields: set[Path]) -> int:
        """Keep what an answer gives in clear; how many those were."""
        given = [container[key] for pattern in fields for _, container, key in places(answer.body, pattern)]
        clear = [each for each in given if isinstance(each, str) and not each.startswith(MASK)]
        self.all += [each.removeprefix("whsec_") for each in clear]
        return len(clear)


@dataclass
class Tap:
    """Everything that was said on the bus, and what its streams and buckets keep."""

    heard: list[Msg] = field(default_factory=list)
    kept: list[tuple[str, bytes]] = field(default_factory=list)

    def leaks(self, secret: str) -> set[str]:
        """Subjects on which a secret can be read."""
        messages = [(m.subject, b"\n".join([m.data, str(m.headers or "").encode()])) for m in self.heard]
        forms = forms_of(secret)
        return {subject for subject, data in (*messages, *self.kept) if any(form in data for form in forms)}


@asynccontextmanager
async def tapped(url: str) -> AsyncIterator[Tap]:
    tap = Tap()

    async def hear(message: Msg) -> None:
        tap.heard.append(message)

    client = await nats.connect(url)
    try:
        await client.subscribe(">", cb=hear)
        await client.flush()
        yield tap
        await client.flush()
        jetstream = client.jetstream()
        for stream in await jetstream.streams_info():
            for sequence in range(max(stream.state.first_seq, 1), stream.state.last_seq + 1):
                try:
                    message = await jetstream.get_msg(stream.config.name or "", seq=sequence)
                except nats.js.errors.NotFoundError:
                    continue  # replaced or expired
                tap.kept.append((f"{stream.config.name}: {message.subject}", message.data or b""))
    finally:
        await client.close()


def concerned() -> dict[str, Route]:
    """Operations that take a secret, or may give one."""
    return {
        route.operation_id: route
        for route in ROUTES
        if (route.body is not None and secret_fields(route.body))
        or (route.response is not None and secret_fields(route.response, "serialization"))
    }


@dataclass
class Client:
    """Does operations with secrets."""

    http: aiohttp.ClientSession
    secrets: Secrets
    assistant: str = ""

    async def api(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        sent = {"Authorization": f"Bearer {API_KEY}"} | headers
        async with self.http.request(method, path, json=body, headers=sent) as answer:
            return Answer(answer.status, await answer.json(content_type=None))

    async def hook(self) -> None:
        """A carrier's hook whose sender put a credential in a header; nobody is there to take the call."""
        headers = {"Authorization": f"Basic {self.secrets.new()}"}
        async with self.http.post("/telephony/telnyx/voice", headers=headers, data="{}") as answer:
            await answer.read()

    async def create(self) -> Answer:
        document = self.secrets.planted()
        own = await self.api("POST", "/api/v1/assistants", document, **{"Idempotency-Key": new_id("own")})
        assert own.status == 201, own.body.get("errors")
        document = self.secrets.planted()
        del document["webhook_secret"]
        again = {"Idempotency-Key": new_id("made")}
        made = await self.api("POST", "/api/v1/assistants", document, **again)
        repeated = await self.api("POST", "/api/v1/assistants", document, **again)
        assert repeated.body["id"] == made.body["id"]
        assert repeated.body["webhook_secret"].startswith(MASK), "it is shown once"
        self.assistant = made.body["id"]
        return made

    async def update(self) -> Answer:
        patch = self.secrets.planted()
        return await self.api("PATCH", f"/api/v1/assistants/{self.assistant}", patch)

    async def replace(self) -> Answer:
        """Without a signing secret of its own: only three may sign at a time."""
        document = self.secrets.planted()
        del document["webhook_secret"]
        return await self.api("PUT", f"/api/v1/assistants/{self.assistant}", document)

    async def refused(self) -> None:
        """What is wrong with a secret is said by the gateway; what is wrong beside it, by its owner."""
        for wrong in ([self.secrets.new()], {"value": self.secrets.new()}, f"{self.secrets.new()}\n"):
            document = self.secrets.planted(max_idle_messages=-1)
            document["stt_settings"]["api_key"] = wrong
            document["webhook_secret"] = wrong
            answer = await self.api("POST", "/api/v1/assistants", document)
            named = {problem["path"] for problem in answer.body["errors"]}
            assert (answer.status, named) == (422, {"stt_settings.api_key", "webhook_secret", "max_idle_messages"})

    async def rotate(self) -> Answer:
        return await self.api("POST", f"/api/v1/assistants/{self.assistant}/webhook-secret")

    async def get(self) -> Answer:
        return await self.api("GET", f"/api/v1/assistants/{self.assistant}")

    async def page(self) -> Answer:
        return await self.api("GET", "/api/v1/assistants?limit=200")

    async def key(self) -> Answer:
        return await self.api("POST", "/api/v1/api-keys", {"name": new_id("key"), "scopes": ["read"]})

    def operations(self) -> dict[str, Callable[[], Awaitable[Answer]]]:
        return {
            "createAssistant": self.create,
            "updateAssistant": self.update,
            "replaceAssistant": self.replace,
            "rotateWebhookSecret": self.rotate,
            "getAssistant": self.get,
            "listAssistants": self.page,
            "createApiKey": self.key,
        }


async def pinned(bus: Bus, assistant_id: str) -> None:
    """What a call asks for, and keeps."""
    commands, ref = CommandClient(bus), {"assistant_id": assistant_id}
    spec = {"number": NUMBER, "spec": ref}
    await commands.call(Command.PHONE_NUMBERS_ASSIGN, spec, organization=ORGANIZATION)
    for question in (Command.PHONE_NUMBERS_ROUTE, Command.PHONE_NUMBERS_RESOLVE):
        await commands.call(question, {"number": NUMBER})
    await commands.call(Command.ASSISTANTS_ENDPOINTS, ref, organization=ORGANIZATION)
    pin = await commands.call(Command.ASSISTANTS_PIN, ref, reply_type=PinnedAssistant, organization=ORGANIZATION)
    spec_of_call = await open_spec(pin, Opener([CALLS_KEY]))
    assert "canary" in (spec_of_call.tools_settings.custom_tools[0].headers["X-Api-Key"].get_secret_value())
    await NatsPins(bus).keep(pin)


@pytest.mark.promise("P8")
async def test_whoever_reads_all_of_the_bus_reads_no_secret(
    own: AssistantsProcess, own_nats_server: NatsServer
) -> None:
    known, url = Secrets([API_KEY]), own_nats_server.url
    settings = GatewaySettings(
        sealing=PUBLIC_KEYS,
        nats=NatsSettings(url=url),
        http=HttpSettings(port=0),
        health=HealthSettings(port=0),
        lame_duck_s=0,
    )
    async with (
        asyncio.timeout(60),
        tapped(url) as tap,
        running(settings) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http,
        a_bus(url) as bus,
    ):
        client = Client(http, known)
        operations, wanted = client.operations(), concerned()
        assert set(operations) == set(wanted), "each operation with a secret is done here"
        shown = 0
        for name, route in wanted.items():
            answer = await operations[name]()
            assert answer.status == route.status, (name, answer.body)
            assert route.response is not None
            shown += known.shown_in(answer, secret_fields(route.response, "serialization"))
        await client.refused()
        await client.hook()
        await pinned(bus, client.assistant)
    assert shown == 3, "two signing secrets and an API key were shown"
    told = tap.leaks(client.assistant)
    assert {"calliope.cmd.assistants.create.v2", "calliope.cmd.assistants.pin.v1"} <= told, "what may be read is read"
    assert {subject.partition(":")[0] for subject in told} >= {"EVENTS", "KV_pins"}, "and so is what is kept"
    assert {secret: found for secret in known.all if (found := tap.leaks(secret))} == {}


@pytest.mark.parametrize("beside", [b"", b"a", b"ab", b"abc"])
def test_a_secret_is_found_in_every_form(beside: bytes) -> None:
    text = beside + b"canary0123456789abcdef" + beside
    for said in (text, text.hex().encode(), base64.b64encode(text), base64.urlsafe_b64encode(text)):
        assert any(form in said for form in forms_of("canary0123456789abcdef"))

"""What the gateway sends on of a written assistant: secrets sealed, and a signing secret that is shown once."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from calliope import api_keys
from calliope.contracts.assistants import SealedSecret, WrittenAssistant, secret_context
from calliope.contracts.calls import CarrierResponse
from calliope.contracts.subjects import Command
from calliope.secrets import Opener
from support.http_surface import ASSISTANT, AUTH, KEY, Client, FakeBus, gateway, key_id
from support.sealing import CALLS_KEY, WEBHOOKS_KEY

KEY_PATH = ("llm_provider_config", "api_key")
DOCUMENT = {"name": "Anna", "llm_provider_config": {"api_key": "sk-canary"}}
WRITES = {
    ("POST", "/api/v1/assistants"): Command.ASSISTANTS_CREATE_V2,
    ("PATCH", "/api/v1/assistants/asst_1"): Command.ASSISTANTS_UPDATE_V2,
    ("PUT", "/api/v1/assistants/asst_1"): Command.ASSISTANTS_REPLACE_V2,
}
ROTATE = "/api/v1/assistants/asst_1/webhook-secret"


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus(dict.fromkeys([*WRITES.values(), Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET_V2], written(took=False)))


@pytest.fixture
async def client(bus: FakeBus) -> AsyncIterator[Client]:
    async with gateway(bus) as client:
        yield client


def written(*, took: bool) -> WrittenAssistant:
    masked = {**dict(ASSISTANT), "webhook_secret": "••••last", "took_webhook_secret": took}
    return WrittenAssistant(**masked)


def opened(secret: Any, key: str, path: tuple[str, ...], assistant_id: str) -> str:
    context = secret_context("org_1", assistant_id, path)
    return Opener([key]).open(SealedSecret.model_validate(secret), context=context)


@pytest.mark.promise("P8")
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_document_goes_on_with_its_secrets_sealed(client: Client, bus: FakeBus, method: str, path: str) -> None:
    await client.request(method, path, json=DOCUMENT, headers=AUTH)
    _, payload, _, _ = bus.last(WRITES[method, path])
    assert "canary" not in payload.model_dump_json()
    said = payload.patch if method == "PATCH" else payload.document
    sealed = said["llm_provider_config"]["api_key"]
    assert opened(sealed, CALLS_KEY, KEY_PATH, payload.assistant_id) == "sk-canary"
    assert payload.digest_key_id == key_id(api_keys.digest(KEY))


async def test_a_repeated_request_asks_for_the_same_assistant_with_the_same_digests(
    client: Client, bus: FakeBus
) -> None:
    """The same key of another organization or another request asks for another one: ids follow from it."""
    payloads = []
    for key in ("k1", "k1", "k2"):
        await client.post("/api/v1/assistants", json=DOCUMENT, headers={**AUTH, "Idempotency-Key": key})
        payloads.append(bus.last(Command.ASSISTANTS_CREATE_V2)[1])
    one, again, other = payloads
    assert one.assistant_id == again.assistant_id != other.assistant_id
    digests = [payload.document["llm_provider_config"]["api_key"]["digest"] for payload in payloads]
    assert len(set(digests)) == 1


@pytest.mark.promise("P8")
@pytest.mark.parametrize(("method", "path"), [*WRITES, ("POST", ROTATE)])
async def test_a_signing_secret_is_made_here_and_shown_if_it_was_taken(
    client: Client, bus: FakeBus, method: str, path: str
) -> None:
    command = WRITES.get((method, path), Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET_V2)
    kept = await (await client.request(method, path, json={"name": "Anna"}, headers=AUTH)).json()
    assert kept["webhook_secret"] == "••••last"
    assert "took_webhook_secret" not in kept

    bus.answers[command] = written(took=True)
    shown = await (await client.request(method, path, json={"name": "Anna"}, headers=AUTH)).json()
    _, payload, _, _ = bus.last(command)
    sealed, secret = payload.webhook_secret.sealed, shown["webhook_secret"]
    assert opened(sealed, WEBHOOKS_KEY, ("webhook_secret",), payload.assistant_id) == secret
    assert secret not in payload.model_dump_json()


@pytest.mark.promise("P8")
async def test_headers_with_credentials_of_whoever_sends_a_hook_are_kept_back(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.CALLS_ACCEPT] = CarrierResponse(status=200, content_type="text/xml", body="<Response/>")
    headers = {"Authorization": "Basic canary", "Cookie": "canary", "X-Twilio-Signature": "signed"}
    await client.post("/telephony/twilio/voice", data={"To": "+15550001111"}, headers=headers)
    _, hook, _, _ = bus.last(Command.CALLS_ACCEPT)
    sent = {name.lower(): value for name, value in hook.headers}
    assert sent["x-twilio-signature"] == "signed"
    assert "canary" not in str(sent)

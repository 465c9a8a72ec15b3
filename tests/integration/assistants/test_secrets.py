"""A secret goes in and never comes out: planted everywhere it can be sent, looked for everywhere it could be seen."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from calliope import api_keys, webhook_secrets
from calliope.contracts.document.spec import SECRET_PATHS
from calliope.contracts.subjects import Command
from calliope.documents import places
from calliope.errors import CommandError
from calliope.ids import new_id
from support.assistants import API_KEY, Asking, AssistantsProcess, a_bus
from support.identity import a_key
from support.nats import NatsServer

CANARY = "canary-0c7e4b-never-shown"
VISIBLE = "Marker-0c7e4b-may-be-seen"
"""In an event and in a document, to show that looking for text on disk finds it."""
HOOK = "https://hooks.example.com/calls"
NUMBER = "+15550007777"
OURS = [
    command
    for command in Command
    if command.split(".")[2] in {"assistants", "phone_numbers", "identity", "organizations", "api_keys"}
]


def planted(at: str) -> dict[str, Any]:
    """A document with a canary in every secret."""
    return {
        "name": VISIBLE,
        "webhook_url": HOOK,
        "llm_provider_config": {"api_key": f"{CANARY}-{at}-1"},
        "llm_fallback_providers": {
            "enabled": True, "fallbacks": [{"provider": "groq", "api_key": f"{CANARY}-{at}-2"}],
        },
        "tts_settings": {
            "api_key": f"{CANARY}-{at}-3", "fallbacks": [{"provider": "deepgram", "api_key": f"{CANARY}-{at}-4"}],
        },
        "stt_settings": {"api_key": f"{CANARY}-{at}-5"},
        "tools_settings": {
            "custom_tools": [
                {"name": "t", "description": "d", "url": "https://example.com/", "auth_token": f"{CANARY}-{at}-6",
                 "headers": {"X-Api-Key": f"{CANARY}-{at}-9"}}
            ]
        },
        "twilio_config": {"account_sid": "AC" + "0" * 32, "auth_token": f"{CANARY}-{at}-7"},
        "telnyx_config": {"api_key": f"{CANARY}-{at}-8", "connection_id": "1"},
    }  # fmt: skip


REFUSED: list[dict[str, Any]] = [
    {"llm_provider_config": {"api_key": [CANARY]}},
    {"llm_provider_config": {"api_key": {"value": CANARY}}},
    {"llm_provider_config": {"api_key": CANARY * 400}},
    {"llm_provider_config": {"api_key": f"••••{CANARY}"}},
    {"llm_provider_config": {"api_key": CANARY, "apikey": CANARY}},
    {"llm_provider_config": CANARY},
    {"twilio_config": {"account_sid": CANARY, "auth_token": CANARY}},
    {"telnyx_config": {"api_key": CANARY, "connection_id": ""}},
    {"tools_settings": {"custom_tools": [{"name": "t", "auth_token": CANARY}]}},
    {"tools_settings": {"custom_tools": [{"name": "t", "headers": {"X-Key": f"{CANARY}\n", "X-Other": [CANARY]}}]}},
    {"webhook_url": f"https://user:{CANARY}@hooks.example.com/"},
    {"webhook_url": f"https://10.0.0.1/?token={CANARY}"},
    {"webhook_secret": CANARY},
    {"webhook_secret": f"whsec_{CANARY}"},
    {"webhook_secret": f"••••{CANARY}"},
    {"webhook_secret": [CANARY]},
]
BROKEN = [
    f'{{"payload": "{CANARY}',
    f'"{CANARY}"',
    f'{{"organization": "{CANARY} {CANARY}", "payload": {{}}}}',
    f'{{"organization": "org_1", "command_id": "{CANARY * 20}", "payload": {{}}}}',
    f'{{"organization": "org_1", "payload": {{"document": "{CANARY}", "patch": "{CANARY}", "number": ["{CANARY}"]}}}}',
    f'{{"organization": "org_1", "payload": {{"key_sha256": "{CANARY}"}}}}',
]


def test_a_canary_is_planted_in_every_secret_of_the_document() -> None:
    planted_at = {pattern for pattern in SECRET_PATHS if list(places(planted("x"), pattern))}
    assert planted_at == set(SECRET_PATHS)


@pytest.mark.promise("P8")
async def test_no_secret_is_in_an_answer_an_error_an_event_a_log_a_metric_or_on_disk(
    own: AssistantsProcess, own_nats_server: NatsServer, tmp_path: Path
) -> None:
    async with a_bus(own_nats_server.url) as bus:
        asking = Asking(bus, new_id("org"))
        signing = await _live(asking, heard := [])
        for body in BROKEN:
            heard += [(await bus.connection.request(subject, body.encode(), timeout=5)).data for subject in OURS]
        events = await asking.events(7)
    heard += [event.model_dump_json().encode() for event in events]
    heard += [own.metrics().encode(), own.log().encode()]
    secrets = [CANARY.encode(), API_KEY.encode(), *(secret.encode() for secret in signing)]
    assert VISIBLE.encode() in b"".join(heard)
    assert not [text for text in heard for secret in secrets if secret in text]
    files = _contents(tmp_path)
    seen_in = {"jetstream" in name.parts for name, content in files.items() if VISIBLE.encode() in content}
    assert seen_in == {True, False}, "the streams of the bus and the tables of the store were read"
    assert not [name for name, content in files.items() for secret in secrets if secret in content]


def _contents(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


async def _live(asking: Asking, heard: list[bytes]) -> list[str]:
    """All that can be asked, with secrets; what was answered is heard. The signing secrets, which are shown once."""

    async def say(subject: Command, command_id: str | None = None, /, **payload: Any) -> Any:
        answer = await asking.ask(subject, payload, command_id=command_id)
        heard.append(orjson.dumps(answer))
        return answer

    async def refuse(subject: Command, command_id: str | None = None, /, **payload: Any) -> None:
        with pytest.raises(CommandError) as caught:
            await asking.ask(subject, payload, command_id=command_id)
        heard.append(
            json.dumps([str(caught.value), repr(caught.value), caught.value.problem.model_dump_json()]).encode()
        )

    created = await asking.ask(Command.ASSISTANTS_CREATE, {"document": planted("a")}, command_id="k")
    ref = {"assistant_id": created["id"]}
    rotated = await asking.ask(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, ref, command_id="r")
    await say(Command.ASSISTANTS_CREATE, "k", document=planted("a"))
    await say(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, "r", **ref)
    await say(Command.ASSISTANTS_UPDATE, "u", **ref, patch={**planted("b"), "description": "x"})
    await say(Command.ASSISTANTS_UPDATE, "u", **ref, patch={**planted("b"), "description": "x"})
    await say(Command.ASSISTANTS_REPLACE, **ref, document=planted("c"))
    await say(Command.PHONE_NUMBERS_ASSIGN, number=NUMBER, spec=ref)
    for reading in (Command.ASSISTANTS_GET, Command.ASSISTANTS_PIN, Command.ASSISTANTS_ENDPOINTS):
        await say(reading, **ref)
    for listing in (Command.ASSISTANTS_LIST, Command.PHONE_NUMBERS_LIST):
        await say(listing)
    await say(Command.PHONE_NUMBERS_RESOLVE, number=NUMBER)
    await say(Command.IDENTITY_AUTHENTICATE, key_sha256=api_keys.digest(API_KEY))
    own = webhook_secrets.new_secret()
    await say(Command.ASSISTANTS_UPDATE, "s", **ref, patch={"webhook_secret": own})
    for fields in REFUSED:
        await refuse(Command.ASSISTANTS_CREATE, "refused", document={**planted("d"), "name": "B", **fields})
        await refuse(Command.ASSISTANTS_UPDATE, **ref, patch=fields)
        await refuse(Command.ASSISTANTS_REPLACE, **ref, document={**planted("d"), **fields})
    await refuse(Command.ASSISTANTS_CREATE, document=planted("e"))
    await refuse(Command.ASSISTANTS_CREATE, "k", document=planted("f"))
    await refuse(Command.ASSISTANTS_UPDATE, **ref, patch=planted("g"), if_revision=1)
    await refuse(Command.ASSISTANTS_DELETE, **ref)
    await say(Command.PHONE_NUMBERS_RELEASE, number=NUMBER)
    await say(Command.ASSISTANTS_DELETE, **ref)
    tenant = await asking.commands.call(Command.ORGANIZATIONS_CREATE, {"name": new_id("name")})
    key, payload = a_key("read")
    heard.append(orjson.dumps(await asking.commands.call(Command.API_KEYS_CREATE, payload, organization=tenant["id"])))
    return [created["webhook_secret"], rotated["webhook_secret"], own, key]

"""What a document wishes reaches who has to act: voices, recogniser, turn taking, the addresses of its tools."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from pydantic import SecretStr

from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.tools import CustomTool
from calliope.settings import EgressSettings
from calliope_call_worker.accounts import account_for
from calliope_call_worker.dialogue import turn_settings
from calliope_call_worker.providers.registry import open_providers
from calliope_call_worker.providers.settings import DeepgramSettings, ElevenLabsSettings, ProvidersSettings
from calliope_call_worker.providers.telephony.base import CarrierAccount
from calliope_call_worker.settings import CallSettings, CarriersSettings, TelnyxSettings, TwilioSettings
from calliope_call_worker.tools.http import HttpTools
from support.vendor_fakes import FakeDeepgram, FakeElevenLabs, serving
from support.waiting import until

SID = "AC" + "0" * 32


def a_spec(**changes: Any) -> AssistantSpec:
    return AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, **changes})


async def spoken_with(**wishes: Any) -> tuple[web.Request, dict[str, Any]]:
    """The request for a voice's socket, and the first message on it."""
    fake, requests = FakeElevenLabs(), []

    async def answer(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        return await fake.answer(request)

    path = "/v1/text-to-speech/{voice}/multi-stream-input"
    async with serving(path, answer) as (_, url), asyncio.timeout(5):
        settings = ProvidersSettings(
            elevenlabs=ElevenLabsSettings(url=url, api_key=SecretStr("ours")),
            deepgram=DeepgramSettings(api_key=SecretStr("d")),
        )
        async with open_providers(settings, EgressSettings()) as providers:
            call = providers.for_call(a_spec(tts_settings=wishes), "call_1", "org_1")
            async with call.tts.connect("call_1") as voice, voice.speak() as stream:
                await stream.say("Hello. ")
                await stream.finish()
                async for _part in stream.audio():
                    pass
    return requests[0], fake.messages[0]


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("field", "value"),
    [("stability", 0.1), ("similarity_boost", 0.2), ("style", 0.3), ("use_speaker_boost", False)],
)
async def test_a_voice_speaks_as_the_document_wishes(field: str, value: Any) -> None:
    _, begin = await spoken_with(voice_id="v1", **{field: value})
    assert begin["voice_settings"] == {field: value}


@pytest.mark.promise("P2")
async def test_a_voice_is_paid_with_the_documents_own_key_before_the_installations() -> None:
    own, _ = await spoken_with(voice_id="v1", api_key="own")
    ours, _ = await spoken_with(voice_id="v1")
    assert (own.headers["xi-api-key"], ours.headers["xi-api-key"]) == ("own", "ours")


@asynccontextmanager
async def recognising(**wishes: Any) -> AsyncIterator[web.Request]:
    """The request for a recogniser's socket."""
    fake = FakeDeepgram()
    async with serving("/v1/listen", fake.answer) as (_, url), asyncio.timeout(5):
        settings = ProvidersSettings(
            deepgram=DeepgramSettings(url=url, api_key=SecretStr("ours")),
            elevenlabs=ElevenLabsSettings(api_key=SecretStr("e")),
        )
        async with open_providers(settings, EgressSettings()) as providers:
            call = providers.for_call(a_spec(stt_settings=wishes), "call_1", "org_1")
            async with call.stt.open(call.stt_options):
                await until(lambda: fake.request)
                assert fake.request is not None
                yield fake.request


@pytest.mark.promise("P2")
async def test_a_recogniser_is_paid_with_the_documents_own_key_before_the_installations() -> None:
    async with recognising(api_key="own") as request:
        assert request.headers["Authorization"] == "Token own"
    async with recognising() as request:
        assert request.headers["Authorization"] == "Token ours"


@pytest.mark.promise("P2")
async def test_words_to_listen_for_are_told_to_older_models_with_their_weight() -> None:
    words = [{"keyword": "Calliope", "intensifier": 2.5}, {"keyword": "harbour"}]
    async with recognising(model="nova-2", keywords=words) as request:
        sent = request.query.getall("keywords")
    assert [word.partition(":")[0] for word in sent] == ["Calliope", "harbour"]
    assert float(sent[0].partition(":")[2]) == 2.5


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("wishes", "name", "value"),
    [
        ({"interruption_settings": {"interruption_threshold": 7}}, "interruption_threshold", 7),
        ({"interruption_settings": {"min_speaking_time": 1.5}}, "min_speaking_time_s", 1.5),
        ({"interruption_settings": {"interruption_cooldown": 4}}, "interruption_cooldown_s", 4),
        ({"interruption_settings": {"interrupt_phrases": ["halt"]}}, "interrupt_phrases", ("halt",)),
        ({"interruption_settings": {"ignore_phrases": []}}, "ignore_phrases", ()),
        ({"interruption_settings": {"resume_after_false_interruption": False}}, "false_interruption_s", None),
        ({}, "false_interruption_s", 1.5),
        ({"stt_settings": {"language": "de"}}, "language", "de"),
        ({"idle_timeout": 9}, "idle_timeout_s", 9),
        ({"max_idle_messages": 5}, "max_idle_messages", 5),
        ({"max_call_duration": 120}, "max_call_s", 120),
    ],
)
def test_turn_taking_follows_the_document(wishes: dict[str, Any], name: str, value: object) -> None:
    assert getattr(turn_settings(a_spec(**wishes), CallSettings()), name) == value


@pytest.mark.promise("P2")
def test_a_carrier_is_spoken_to_with_the_documents_own_account() -> None:
    telnyx = {"api_key": "KEY1", "connection_id": "7", "public_key": "own key"}
    spec = a_spec(twilio_config={"account_sid": SID, "auth_token": "own"}, telnyx_config=telnyx)
    ours = CarriersSettings(
        twilio=TwilioSettings(account_sid="AC", auth_token=SecretStr("t")),
        telnyx=TelnyxSettings(connection_id="1", api_key=SecretStr("k"), public_key="our key"),
    )
    assert account_for("twilio", spec, ours) == CarrierAccount(SID, "own")
    assert account_for("telnyx", spec, ours) == CarrierAccount("7", "KEY1", "own key")
    assert account_for("telnyx", a_spec(), ours) == CarrierAccount("1", "k", "our key")
    del telnyx["public_key"]
    assert account_for("telnyx", a_spec(telnyx_config=telnyx), ours) == CarrierAccount("7", "KEY1", "our key")
    assert account_for("telnyx", a_spec(telnyx_config=telnyx), CarriersSettings()).public_key is None


def a_tool(url: str, **wishes: Any) -> CustomTool:
    return CustomTool.model_validate({"name": "look", "description": "Looks.", "url": f"{url}/tool", **wishes})


@pytest.mark.promise("P2")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_tool_is_called_with_its_method(method: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"{request.method} {request.query.get('berth') or await request.text()}")

    async with serving("/tool", answer) as (session, url), asyncio.timeout(5):
        told = await HttpTools(session).run(a_tool(url, method=method), {"berth": "B7"}, idempotency_key="k")
    assert told.text == (f"{method} B7" if method == "GET" else f'{method} {{"berth":"B7"}}')


@pytest.mark.promise("P2")
async def test_a_tool_is_waited_for_as_long_as_it_says() -> None:
    never = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async def told(session: ClientSession, url: str) -> str:
        return (await HttpTools(session).run(a_tool(url, timeout_s=0.05), {}, idempotency_key="k")).text

    async with serving("/tool", answer) as (session, url), asyncio.timeout(5):
        assert "0.05 seconds" in await told(session, url)

"""The vendors' own SDKs ask the emulators what models, voices, accounts and numbers there are."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core import ApiError
from google import genai
from google.genai import errors, types
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client as Twilio

from support.checks import CheckedWorld, checked_world

pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),  # in Google's SDK
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated"),  # this and the next in Twilio's
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated"),
]
SID, TOKEN, DESK = "AC" + "1" * 32, "token", "+15550002222"
ACCOUNT = {"account_sid": SID, "auth_token": TOKEN, "voice_url": "https://voice.example.com/telephony/twilio/voice"}


@pytest.fixture
async def world() -> AsyncIterator[CheckedWorld]:
    async with asyncio.timeout(30), checked_world() as world:
        yield world


@pytest.mark.parametrize(
    ("path", "model"),
    [("openai/v1", "gpt-4o-mini"), ("groq/openai/v1", "openai/gpt-oss-120b"), ("xai/v1", "grok-4.3")],
)
async def test_openais_sdk_finds_a_model_and_learns_of_a_missing_one_and_a_wrong_key(
    world: CheckedWorld, path: str, model: str
) -> None:
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{world.url}/{path}", max_retries=0) as client:
        assert (await client.models.retrieve(model)).id == model
        assert model in [one.id async for one in client.models.list()]
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("missing-one")
        assert caught.value.code == "model_not_found"
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="bad").models.retrieve(model)


async def test_anthropics_sdk_does_so_too(world: CheckedWorld) -> None:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=f"{world.url}/anthropic", max_retries=0) as client:
        assert (await client.models.retrieve("claude-haiku-5-5")).id == "claude-haiku-5-5"
        assert (await client.models.retrieve("claude-2.1")).lifecycle == "retired"
        assert "claude-haiku-5-5" in [one.id async for one in client.models.list()]
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("missing-one")
        with pytest.raises(anthropic.AuthenticationError):
            await client.with_options(api_key="bad").models.retrieve("claude-haiku-5-5")


async def test_googles_sdk_does_so_too(world: CheckedWorld) -> None:
    options = types.HttpOptions(base_url=f"{world.url}/gemini")
    async with genai.Client(api_key="k", http_options=options).aio as client:
        assert (await client.models.get(model="gemini-3.5-flash-lite")).name == "models/gemini-3.5-flash-lite"
        with pytest.raises(errors.ClientError) as caught:
            await client.models.get(model="missing-one")
        assert caught.value.code == 404
    async with genai.Client(api_key="bad", http_options=options).aio as client:
        with pytest.raises(errors.ClientError) as caught:
            await client.models.get(model="gemini-3.5-flash-lite")
        assert caught.value.code == 400


async def test_elevenlabs_sdk_finds_voices_and_models(world: CheckedWorld) -> None:
    async with httpx.AsyncClient() as http:

        def client(key: str) -> AsyncElevenLabs:
            return AsyncElevenLabs(api_key=key, base_url=f"{world.url}/elevenlabs", httpx_client=http)

        assert (await client("k").voices.get("21m00Tcm4TlvDq8ikWAM")).voice_id == "21m00Tcm4TlvDq8ikWAM"
        assert "eleven_flash_v2_5" in [model.model_id for model in await client("k").models.list()]
        for key, voice, status in (
            ("k", "missing", "voice_not_found"),
            ("bad", "x", "invalid_api_key"),
            ("tts-only", "x", "missing_permissions"),
        ):
            with pytest.raises(ApiError) as caught:
                await client(key).voices.get(voice)
            assert caught.value.body["detail"]["status"] == status


class Loopback(AsyncTwilioHttpClient):  # type: ignore[misc]  # the SDK has no types
    """Twilio's own client, which knows no other address than Twilio's: everything goes to the emulator."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    async def request(self, method: str, url: str, *args: Any, **more: Any) -> Any:
        return await super().request(method, url.replace("https://api.twilio.com", self._url), *args, **more)


async def test_twilios_sdk_finds_the_account_and_its_numbers(world: CheckedWorld) -> None:
    assert await world.put("/sandbox/twilio/numbers/%2B15550002222", ACCOUNT) == 200
    async with Loopback(f"{world.url}/twilio") as http:
        client = Twilio(SID, TOKEN, http_client=http)
        assert (await client.api.accounts(SID).fetch_async()).status == "active"
        (number,) = await client.incoming_phone_numbers.list_async(phone_number=DESK)
        assert (number.phone_number, number.voice_url, number.voice_method) == (DESK, ACCOUNT["voice_url"], "POST")
        assert await client.incoming_phone_numbers.list_async(phone_number="+15550009999") == []
        with pytest.raises(TwilioRestException) as caught:
            await Twilio(SID, "wrong", http_client=http).api.accounts(SID).fetch_async()
        assert (caught.value.status, caught.value.code) == (401, 20003)

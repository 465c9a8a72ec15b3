"""Fields of the assistant document act: one call with every option set, seen from the other side of each socket."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from calliope_local.stack import LocalStack
from support.house import House, Json, a_document, facts, heard_text, said, visiting

GREETING = "Welcome to the harbour."
BUSY = "Let me look that up."
IDLE = "Shall we go on?"
FAREWELL = "Fair winds."
CONNECTING = "Here comes the captain."
CAPTAIN = "+15552223333"
SYSTEM = "You keep the harbour log, page 4711."
DESCRIPTION = "Answers for the harbour office."
SCHEMA: Json = {"type": "object", "properties": {"berth": {"type": "string"}}, "required": ["berth"]}


def everything(hook: str) -> Json:
    """A document with every option that a call with these vendors can show."""
    return a_document(
        description=DESCRIPTION,
        llm_provider="openai",
        llm_provider_config={"api_key": "sandbox-own-key", "model": "gpt-4o"},
        llm_settings={
            "temperature": 0.3,
            "max_tokens": 77,
            "top_p": 0.8,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "stop_sequences": ["THE END"],
            "system_prompt": SYSTEM,
            "welcome_message": GREETING,
        },
        tts_settings={"voice_id": "harbour-voice", "model_id": "eleven_turbo_v2_5"},
        stt_settings={
            "model": "nova-3",
            "language": "en-GB",
            "keyterms": ["harbour"],
            "punctuate": False,
            "smart_format": True,
            "endpointing": 250,
            "utterance_end_ms": 1200,
        },
        idle_timeout=2,
        idle_message=IDLE,
        max_idle_messages=1,
        tools_settings={
            "custom_tools": [
                {
                    "name": "find_berth",
                    "description": "Finds a free berth.",
                    "parameters": SCHEMA,
                    "url": hook,
                    "headers": {"X-Harbour": "north"},
                    "auth_token": "tool-token",
                    "speak_while_running": BUSY,
                }
            ]
        },
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A call as each side saw it."""

    document: Json
    call: Json
    record: Json
    llm: list[Json]
    stt: list[Json]
    tts: list[Json]
    tool: Json

    @property
    def asked(self) -> Json:
        """The first request to the language model."""
        request: Json = self.llm[0]["request"]
        return request

    @property
    def tool_asked(self) -> Json:
        """The custom tool as the language model was offered it."""
        function: Json = self.asked["tools"][0]["function"]
        return function

    @property
    def query(self) -> Json:
        """What the recogniser was asked for."""
        query: Json = self.stt[0]["query"]
        return query


async def take_a_call(house: House) -> Seen:
    tool = f"{house.stack.address('sandbox')}/hooks/berths"
    await house.sandbox("PUT", "/sandbox/hooks/berths", {"answer": {"status": 200, "body": "B7", "delay_ms": 200}})
    find = [{"name": "find_berth", "arguments": {"berth": "B7"}}]
    rules = [{"after_tool": "find_berth", "say": "Berth seven is free."}, {"match": "berth", "tool_calls": find}]
    await house.sandbox("POST", "/sandbox/llm/scripts", {"system": "page 4711", "rules": rules})
    line = await house.phone_line(everything(tool))
    script: list[Json] = [
        {"wait_for": "harbour"},
        {"wait_for_silence_ms": 300},
        {"say": "I need a berth"},
        {"expect_hang_up": True},
    ]
    call, record = await house.call(line, script)
    return Seen(
        document=(await house.api("GET", f"/api/v1/assistants/{line.assistant['id']}")).body,
        call=call,
        record=record,
        llm=await house.sandbox("GET", "/sandbox/records/llm"),
        stt=await house.sandbox("GET", "/sandbox/records/deepgram"),
        tts=await house.sandbox("GET", "/sandbox/records/elevenlabs"),
        tool=(await house.sandbox("GET", "/sandbox/hooks/berths"))["attempts"][0],
    )


@pytest.fixture(scope="module")
def seen(stack: LocalStack) -> Seen:
    async def ring() -> Seen:
        async with visiting(stack) as house:
            await house.sandbox("POST", "/sandbox/reset")
            seen = await take_a_call(house)
            await house.sandbox("POST", "/sandbox/reset")
            return seen

    return asyncio.run(ring())


SHOWN: dict[str, Callable[[Seen], Any]] = {
    "description": lambda seen: seen.document["description"] == DESCRIPTION,
    "llm_provider": lambda seen: {each["vendor"] for each in seen.llm} == {"openai"},
    "llm_provider_config.api_key": lambda seen: {each["key"] for each in seen.llm} == {"sandbox-own-key"},
    "llm_provider_config.model": lambda seen: seen.asked["model"] == "gpt-4o",
    "llm_settings.temperature": lambda seen: seen.asked["temperature"] == 0.3,
    "llm_settings.max_tokens": lambda seen: seen.asked["max_completion_tokens"] == 77,
    "llm_settings.top_p": lambda seen: seen.asked["top_p"] == 0.8,
    "llm_settings.frequency_penalty": lambda seen: seen.asked["frequency_penalty"] == 0.1,
    "llm_settings.presence_penalty": lambda seen: seen.asked["presence_penalty"] == 0.2,
    "llm_settings.stop_sequences": lambda seen: seen.asked["stop"] == ["THE END"],
    "llm_settings.system_prompt": lambda seen: seen.asked["messages"][0]["content"].startswith(SYSTEM),
    "llm_settings.welcome_message": lambda seen: heard_text(seen.call).startswith(GREETING),
    "tts_settings.provider": lambda seen: len(seen.tts) > 0,
    "tts_settings.voice_id": lambda seen: {each["voice"] for each in seen.tts} == {"harbour-voice"},
    "tts_settings.model_id": lambda seen: seen.tts[0]["query"]["model_id"] == "eleven_turbo_v2_5",
    "stt_settings.model": lambda seen: seen.query["model"] == "nova-3",
    "stt_settings.language": lambda seen: seen.query["language"] == "en-GB",
    "stt_settings.keyterms": lambda seen: seen.query["keyterm"] == "harbour",
    "stt_settings.punctuate": lambda seen: seen.query["punctuate"] == "false",
    "stt_settings.smart_format": lambda seen: seen.query["smart_format"] == "true",
    "stt_settings.endpointing": lambda seen: seen.query["endpointing"] == "250",
    "stt_settings.utterance_end_ms": lambda seen: seen.query["utterance_end_ms"] == "1200",
    "idle_timeout": lambda seen: seen.record["ended_reason"] == "idle",
    "idle_message": lambda seen: IDLE in said(seen.record, "assistant"),
    "max_idle_messages": lambda seen: heard_text(seen.call).count(IDLE) == 1,
    "tools_settings.custom_tools[].name": lambda seen: facts(seen.record, "tool_started")[0]["name"] == "find_berth",
    "tools_settings.custom_tools[].description": lambda seen: seen.tool_asked["description"] == "Finds a free berth.",
    "tools_settings.custom_tools[].parameters": lambda seen: seen.tool_asked["parameters"] == SCHEMA,
    "tools_settings.custom_tools[].url": lambda seen: seen.tool["body"] == {"berth": "B7"},
    "tools_settings.custom_tools[].headers": lambda seen: seen.tool["headers"]["x-harbour"] == "north",
    "tools_settings.custom_tools[].auth_token": lambda seen: "tool-token" in seen.tool["headers"]["authorization"],
    "tools_settings.custom_tools[].speak_while_running": lambda seen: BUSY in heard_text(seen.call),
}  # fmt: skip
"""By field, what the call must show; `docs/fields.md` points here."""


@pytest.mark.promise("P2")
@pytest.mark.parametrize("field", SHOWN)
def test_a_field_acts_on_a_call(seen: Seen, field: str) -> None:
    assert SHOWN[field](seen), (field, seen)


@pytest.mark.promise("P2")
async def test_end_call_is_offered_when_it_fits_and_says_its_own_goodbye(house: House) -> None:
    end_call = {"enabled": True, "scenarios": ["the tide turns"], "custom_message": FAREWELL}
    line = await house.phone_line(a_document(tools_settings={"end_call": end_call}))
    await house.sandbox("POST", "/sandbox/llm/scripts", {"rules": [{"tool_calls": [{"name": "end_call"}]}]})

    call, record = await house.call(line, [{"wait_for": "Anna"}, {"say": "The tide turns"}, {"expect_hang_up": True}])

    asked, *_ = await requests(house, "The tide turns")
    assert "the tide turns" in str(asked["request"]["tools"])
    assert heard_text(call).endswith(FAREWELL)
    assert record["ended_reason"] == "assistant_ended"


@pytest.mark.promise("P2")
async def test_transfer_call_hands_over_to_a_listed_number_with_its_own_words(house: House) -> None:
    transfer = {
        "enabled": True,
        "scenarios": ["the caller wants the captain"],
        "transfer_numbers": [CAPTAIN],
        "custom_message": CONNECTING,
    }
    line = await house.phone_line(a_document(tools_settings={"transfer_call": transfer}))
    wish = [{"name": "transfer_call", "arguments": {"destination": CAPTAIN}}]
    await house.sandbox("POST", "/sandbox/llm/scripts", {"rules": [{"tool_calls": wish}]})

    call, record = await house.call(
        line, [{"wait_for": "Anna"}, {"say": "The captain please"}, {"expect_hang_up": True}]
    )

    asked, *_ = await requests(house, "The captain please")
    assert "the caller wants the captain" in str(asked["request"]["tools"])
    assert CONNECTING in heard_text(call)
    assert facts(record, "transfer_started") == [{"to_number": CAPTAIN}]
    assert record["ended_reason"] == "transferred"


@pytest.mark.promise("P2")
async def test_a_fallback_model_answers_with_its_own_key_when_the_primary_refuses(house: House) -> None:
    fallback = {"provider": "groq", "model": "llama-3.3-70b-versatile", "api_key": "sandbox-fallback-key"}
    own = {"api_key": "sandbox-primary-key", "model": "gpt-4o-mini"}  # nobody else's failures open its breaker
    document = a_document(llm_provider_config=own, llm_fallback_providers={"enabled": True, "fallbacks": [fallback]})
    line = await house.phone_line(document)
    refuses = {"model": own["model"], "rules": [{"fail": {"status": 500, "code": "server_error", "message": "down"}}]}
    await house.sandbox("POST", "/sandbox/llm/scripts", refuses)

    script: list[Json] = [
        {"wait_for": "Anna"},
        {"say": "Good morning"},
        {"wait_for_silence_ms": 1500},
        {"hang_up": True},
    ]
    _, record = await house.call(line, script)

    answered = (await requests(house, "Good morning"))[-1]
    assert (answered["vendor"], answered["model"], answered["key"]) == ("groq", fallback["model"], fallback["api_key"])
    assert facts(record, "provider_failed")[0]["provider"] == "openai"


@pytest.mark.promise("P2")
async def test_a_custom_model_is_asked_at_its_own_address(house: House) -> None:
    base_url = f"{house.stack.address('sandbox')}/openai/v1"
    config = {"base_url": base_url, "model": "harbour-model", "api_key": "sandbox-custom"}
    line = await house.phone_line(a_document(llm_provider="custom", llm_provider_config=config))

    script: list[Json] = [
        {"wait_for": "Anna"},
        {"say": "Good morning"},
        {"wait_for_silence_ms": 1500},
        {"hang_up": True},
    ]
    await house.call(line, script)

    asked = await requests(house, "Good morning")
    assert {each["model"] for each in asked} == {"harbour-model"}


async def requests(house: House, said: str) -> list[Json]:
    """What models were asked about the caller's words; the work after an earlier call may still be going on."""
    return [asked for asked in await house.sandbox("GET", "/sandbox/records/llm") if asked["user_text"] == said]

"""Calls whose vendors fail: models and voices of every vendor, each with a key of its own, and what they were asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from calliope_sandbox.conversations import Conversation, from_chat_body, from_contents_body, from_messages_body
from support.house import House, Json, a_document, facts
from support.scenes import PACE, VOICE, call_of, unique

ANSWER: Final = "It says open at nine on Monday, as on every other day. Just come by when you like."
END: Final = "when you like."
LATER: Final = "On Sunday we are closed, I am afraid."
TOLD: Final = "open at nine"
FIRST: Final = "look it up"
SECOND: Final = "and on Sunday"
HALF: Final = "It says open at nine on Monday, as on every other day. Just come"
REPEATED: Final = "day. Just come by when you like."
"""How a model continues that begins a little before its end."""
READY: Final[list[Json]] = [{"wait_for": "Anna"}, {"wait_for_silence_ms": 300}]
SLOWLY: Final = {"char_ms": 60, "speed": 1.4, "chunk_ms": 200.0}
"""Knobs of voices whose audio leaves as it is spoken: what breaks while an answer is heard breaks in its middle."""


@dataclass(frozen=True, slots=True, eq=False)
class Vendor:
    """A vendor of the document, its twin in the sandbox, and what else a document may say of it."""

    name: str
    twin: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def config(self, sandbox: str, key: str) -> Json:
        """Its part of a document; `{sandbox}` in the options is the sandbox's address."""
        options: Json = json.loads(json.dumps(self.options).replace("{sandbox}", sandbox))
        return {"provider": self.name, "api_key": key} | options


MODELS: Final = (
    Vendor("openai", "openai", {"model": "gpt-4o-mini"}),
    Vendor("anthropic", "anthropic", {"model": "claude-haiku-5-5"}),
    Vendor("gemini", "gemini", {"model": "gemini-3.5-flash-lite"}),
    Vendor("groq", "groq", {"model": "openai/gpt-oss-120b"}),
    Vendor("xai", "xai", {"model": "grok-4.20-non-reasoning"}),
    Vendor("custom", "openai", {"model": "harbour-model", "base_url": "{sandbox}/openai/v1"}),
)
VOICES: Final = (
    Vendor(
        "elevenlabs",
        "elevenlabs",
        {
            "voice_id": "harbour-voice",
            "model_id": "eleven_turbo_v2_5",
            "stability": 0.1,
            "similarity_boost": 0.2,
            "style": 0.3,
            "use_speaker_boost": False,
        },
    ),
    Vendor("deepgram", "deepgram_speak", {"voice_id": "orion"}),
    Vendor(
        "inworld",
        "inworld",
        {"voice_id": "olivia", "model_id": "inworld-tts-2", "provider_config": {"language": "en-GB"}},
    ),
    Vendor(
        "resemble",
        "resemble",
        {"voice_id": "a-voice", "model_id": "a-model", "provider_config": {"project_uuid": "a-project"}},
    ),
)


@dataclass(frozen=True, slots=True)
class Failed:
    """A call in which the first vendor failed: as its caller saw it, as the API tells it, what everybody was asked."""

    call: Json
    record: Json
    tools: list[Json]
    primary: list[Json]
    fallback: list[Json]

    @property
    def words(self) -> list[str]:
        """Everything that reached the caller's ear."""
        return [word["text"] for word in self.call["heard_words"]]

    def facts(self, name: str) -> list[Json]:
        """Data of the call's events of that name."""
        return facts(self.record, name)

    def heard_at_s(self, text: str) -> float:
        """When that word began to be heard, on the clock of the sandbox."""
        found = next(word for word in self.call["heard_words"] if word["text"] == text)
        return float(self.call["answered_at_s"]) + float(found["start_ms"]) / 1_000


def talk_of(asked: Json) -> Conversation:
    """What a model was asked, whatever its vendor's way to ask."""
    match asked["vendor"]:
        case "gemini":
            return from_contents_body(asked["request"], model=asked["model"])
        case "anthropic":
            return from_messages_body(asked["request"])
    return from_chat_body(asked["request"])


def said_in(talk: Conversation) -> list[tuple[str, str]]:
    """Who said what so far."""
    return [(turn.role, turn.text) for turn in talk.said if turn.text]


async def failing_model(
    house: House, primary: Vendor, fallback: Vendor, fails: Json, answers: Json | None = None
) -> Failed:
    """Two turns, a tool in the first. Rules: how the first model fails, and how the next answers if not as asked."""
    sandbox, tag = house.stack.address("sandbox"), unique("failover")
    keys = f"{tag}-primary", f"{tag}-fallback"
    config = primary.config(sandbox, keys[0])
    tool = {"name": "lookup", "description": "Looks it up.", "url": f"{sandbox}/tools/{tag}"}
    document = a_document(
        llm_provider=config.pop("provider"),
        llm_provider_config=config,
        llm_fallback_providers={"enabled": True, "fallbacks": [fallback.config(sandbox, keys[1])]},
        llm_settings={"system_prompt": f"You are {tag}.", "welcome_message": "Hello, this is Anna."},
        tts_settings={"provider": "elevenlabs", "voice_id": VOICE[0]},
        tools_settings={"custom_tools": [tool]},
    )
    rules = [
        {"after_tool": "lookup", "say": ANSWER},
        {"match": FIRST, "tool_calls": [call_of("lookup")]},
        {"match": SECOND, "say": LATER},
    ]
    await house.sandbox("POST", "/sandbox/llm/scripts", {"name": tag, "system": tag, "rules": rules})
    for key, rule in zip(keys, (fails, answers), strict=True):
        if rule is not None:
            await house.sandbox("POST", "/sandbox/llm/scripts", {"name": key, "key": key, "rules": [rule]})
    await house.sandbox("PUT", f"/sandbox/tools/{tag}", {"body": TOLD, "delay_ms": 300})
    script = [
        *READY,
        {"say": FIRST},
        {"wait_for": "when you like"},
        {"wait_for_silence_ms": 300},
        {"say": SECOND},
        {"wait_for": "I am afraid"},
        {"wait_for_silence_ms": 300},
        {"hang_up": True},
    ]
    call, record = await house.call(await house.phone_line(document), script, char_ms=PACE)
    everything = [await house.sandbox("GET", f"/sandbox/records/llm?key={key}") for key in keys]
    asked = [[one for one in some if tag in talk_of(one).system] for some in everything]  # not the work after the call
    return Failed(call, record, await house.sandbox("GET", f"/sandbox/records/tools?name={tag}"), *asked)


async def failing_voice(house: House, primary: Vendor, fallback: Vendor) -> Failed:
    """One answer; its voice is cut off in the middle of it, and is not to be reached from then on."""
    sandbox, tag = house.stack.address("sandbox"), unique("voice")
    keys = f"{tag}-primary", f"{tag}-fallback"
    voice = primary.config(sandbox, keys[0]) | {"fallbacks": [fallback.config(sandbox, keys[1])]}
    document = a_document(
        llm_settings={"system_prompt": f"You are {tag}.", "welcome_message": "Hello, this is Anna."},
        tts_settings=voice,
    )
    rules = [{"match": FIRST, "say": ANSWER}]
    await house.sandbox("POST", "/sandbox/llm/scripts", {"name": tag, "system": tag, "rules": rules})
    strikes = {"vendor": primary.twin, "key": keys[0], "kind": "drop"}
    script = [
        *READY,
        {"say": FIRST},
        {"wait_for": "open"},
        {"faults": [strikes, strikes | {"after": None, "times": None}]},
        {"wait_for": "when you like"},
        {"wait_for_silence_ms": 300},
        {"hang_up": True},
    ]
    call, record = await house.call(await house.phone_line(document), script, char_ms=PACE)
    sockets = zip((primary, fallback), keys, strict=True)
    asked = [await house.sandbox("GET", f"/sandbox/records/{vendor.twin}?key={key}") for vendor, key in sockets]
    return Failed(call, record, [], *asked)


def seam(heard: Sequence[str], text: str) -> list[str]:
    """What was heard twice where one voice took over from another; a half of a word has a dash behind it.

    Raises: ValueError, when anything is lost, or differs from the text elsewhere.
    """
    wanted = text.split()
    for at in range(len(heard), -1, -1):
        after = len(wanted) - (len(heard) - at)  # where the second voice went on, if it began with the word `at`
        twice = list(heard[max(after, 0) : at])
        if 0 <= after <= at and list(heard[at:]) == wanted[after:] and _is_begun(heard[:at], wanted):
            return twice if heard[:at] == wanted[:at] else [*twice[:-1], f"{twice[-1]}-"]
    raise ValueError(f"heard {' '.join(heard)}, not {text}")


def _is_begun(heard: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the words are the beginning of others; the last may be half."""
    return list(heard[:-1]) == list(wanted[: len(heard) - 1]) and wanted[len(heard) - 1].startswith(heard[-1])

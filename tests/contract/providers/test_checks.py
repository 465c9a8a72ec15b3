"""One suite for every vendor's check: the right answer, each wrong one, and a vendor in trouble, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from calliope.contracts.checks import CheckedPart, CheckOutcome
from support.checks import CheckedWorld, checked_world, problems, told
from support.vendor_fakes import serving


@dataclass(frozen=True)
class Row:
    """One vendor: the part of the document that asks for it, and what of that part can be wrong."""

    name: str
    emulator: str
    path: str
    part: dict[str, Any]
    unknown: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    key: str = "api_key"

    def document(self, **changes: Any) -> dict[str, Any]:
        part = self.part | changes
        if self.path == "llm_provider_config":
            return {"llm_provider": self.name, self.path: part}
        return {self.path: part}


def llm(provider: str, model: str) -> Row:
    return Row(provider, provider, "llm_provider_config", {"api_key": "good", "model": model}, ("model",))


def voice(provider: str, emulator: str, unchecked: tuple[str, ...] = (), **part: Any) -> Row:
    whole = {"provider": provider, "api_key": "good", **part}
    return Row(provider, emulator, "tts_settings", whole, ("voice_id",), unchecked)


ROWS = (
    llm("openai", "gpt-4o-mini"),
    llm("anthropic", "claude-haiku-5-5"),
    llm("gemini", "gemini-3.5-flash-lite"),
    llm("groq", "openai/gpt-oss-120b"),
    llm("xai", "grok-4.20-non-reasoning"),
    voice("elevenlabs", "elevenlabs", voice_id="rachel", model_id="flash"),
    voice("deepgram", "deepgram_speak", voice_id="thalia"),
    voice("inworld", "inworld", ("tts_settings model",), voice_id="olivia"),
    voice("resemble", "resemble", ("tts_settings model",), voice_id="7f1b", model_id="chatterbox"),
    Row("deepgram", "deepgram", "stt_settings", {"api_key": "good", "model": "nova-3"}, ("model",)),
    Row("flux", "deepgram", "stt_settings", {"api_key": "good", "model": "flux-general-en"}, ("model",)),
)
every_vendor = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.path.partition('_')[0]}-{row.name}")


@pytest.fixture
async def world() -> AsyncIterator[CheckedWorld]:
    async with asyncio.timeout(20), checked_world() as world:
        yield world


@every_vendor
async def test_a_vendor_that_a_call_could_use_has_no_problem(world: CheckedWorld, row: Row) -> None:
    check = await world.check(row.document())
    assert problems(check) == {}
    assert check.ok
    of_it = {one.what: one.outcome for one in check.checks if one.path.startswith(row.path)}
    assert of_it.pop(CheckedPart.KEY) is CheckOutcome.OK
    assert CheckOutcome.OK in of_it.values()
    assert {what for what, outcome in of_it.items() if outcome is CheckOutcome.UNCHECKED} == {
        unchecked.split()[1] for unchecked in row.unchecked
    }


@every_vendor
async def test_a_wrong_key_is_named_at_its_place_and_never_shown(world: CheckedWorld, row: Row) -> None:
    check = await world.check(row.document(api_key="bad-key-51c7"))
    assert problems(check) == {f"{row.path}.api_key": "key"}
    assert "bad-key-51c7" not in check.model_dump_json()
    assert check.problems[0].hint.startswith("copy the key again")


@every_vendor
async def test_what_the_vendor_does_not_have_is_named_at_its_place(world: CheckedWorld, row: Row) -> None:
    for name in row.unknown:
        unknown = "flux-missing" if row.name == "flux" else "missing-one"
        check = await world.check(row.document(**{name: unknown}))
        assert problems(check) == {f"{row.path}.{name}": "refused"}
        assert told(check)[f"{row.path}.api_key key"] == "ok"
        assert check.problems[0].hint


@every_vendor
@pytest.mark.parametrize(
    ("kind", "reason"), [("silent", "deadline"), ("drop", "dropped"), ("rate_limited", "rate_limited")]
)
async def test_a_vendor_in_trouble_is_told_as_that_and_the_others_are_still_checked(
    world: CheckedWorld, row: Row, kind: str, reason: str
) -> None:
    world.arm(row.emulator, kind)
    check = await world.check(row.document(), within_s=1.0)
    assert problems(check) == {row.path: reason}
    assert check.problems[0].what == "vendor"
    assert sum(one.outcome is CheckOutcome.OK for one in check.checks) >= 3


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.emulator in {"elevenlabs", "inworld", "resemble"}], ids=lambda row: row.name
)
async def test_an_answer_that_cannot_be_read_is_no_promise(world: CheckedWorld, row: Row) -> None:
    world.arm(row.emulator, "garbage")
    assert problems(await world.check(row.document())) == {row.path: "malformed"}


async def test_a_description_that_cannot_be_read_leaves_it_to_a_few_words(world: CheckedWorld) -> None:
    world.arm("openai", "garbage")
    assert problems(await world.check()) == {}
    assert len(world.sandbox.records.listing("llm", {})) == 1


async def test_a_model_that_the_catalogue_keeps_and_nobody_serves_is_a_problem(world: CheckedWorld) -> None:
    config = {"api_key": "good", "model": "claude-2.1"}
    check = await world.check({"llm_provider": "anthropic", "llm_provider_config": config})
    assert problems(check) == {"llm_provider_config.model": "refused"}
    assert "retired" in check.problems[0].detail


@pytest.mark.parametrize(
    ("provider", "model", "hint"), [("anthropic", "claude-3-haiku", "retire"), ("openai", "gpt-4o", "on 2027-01-14")]
)
async def test_a_model_that_will_end_is_good_and_says_so(
    world: CheckedWorld, provider: str, model: str, hint: str
) -> None:
    config = {"api_key": "good", "model": model}
    check = await world.check({"llm_provider": provider, "llm_provider_config": config})
    assert check.ok
    (line,) = [one for one in check.checks if one.path == "llm_provider_config.model"]
    assert hint in line.hint


async def test_a_key_that_may_only_speak_is_a_good_key_of_which_no_more_is_known(world: CheckedWorld) -> None:
    check = await world.check({"tts_settings": {"api_key": "tts-only-1", "voice_id": "rachel"}})
    assert check.ok
    assert told(check) | {
        "tts_settings.api_key key": "ok",
        "tts_settings.voice_id voice": "unchecked",
        "tts_settings.model_id model": "unchecked",
    } == told(check)


async def test_a_model_that_speaks_in_no_call_is_named(world: CheckedWorld) -> None:
    for model in ("eleven_english_sts_v2", "eleven_unheard_of"):
        check = await world.check({"tts_settings": {"api_key": "good", "model_id": model}})
        assert problems(check) == {"tts_settings.model_id": "refused"}
        assert "eleven_flash_v2_5" in check.problems[0].hint


async def test_an_installation_without_a_key_of_a_vendor_says_what_to_do(world: CheckedWorld) -> None:
    check = await world.check({"stt_settings": {}})
    assert problems(check) == {"stt_settings.api_key": "key"}
    assert "set stt_settings.api_key to a key of your own" in check.problems[0].hint


async def test_the_installations_key_is_used_and_when_it_is_wrong_the_hint_says_whose_it_is() -> None:
    async with checked_world(installation_key="bad-of-the-house") as world:
        check = await world.check({"stt_settings": {}})
    assert problems(check) == {"stt_settings.api_key": "key"}
    assert "tell whoever runs it" in check.problems[0].hint
    assert "bad-of-the-house" not in check.model_dump_json()


async def test_every_fallback_is_asked_too(world: CheckedWorld) -> None:
    check = await world.check(
        {
            "llm_fallback_providers": {
                "enabled": True,
                "fallbacks": [
                    {"provider": "groq", "api_key": "good", "model": "openai/gpt-oss-20b"},
                    {"provider": "anthropic", "api_key": "bad", "model": "claude-haiku-5-5"},
                ],
            },
            "tts_settings": {
                "api_key": "good",
                "fallbacks": [{"provider": "inworld", "api_key": "good", "voice_id": "missing"}],
            },
        }
    )
    assert problems(check) == {
        "llm_fallback_providers.fallbacks.1.api_key": "key",
        "tts_settings.fallbacks.0.voice_id": "refused",
    }
    assert told(check)["llm_fallback_providers.fallbacks.0.model model"] == "ok"


async def test_fallbacks_that_are_switched_off_are_not_asked(world: CheckedWorld) -> None:
    off = {"enabled": False, "fallbacks": [{"provider": "groq", "api_key": "bad"}]}
    check = await world.check({"llm_fallback_providers": off})
    assert check.ok
    assert not [one for one in check.checks if one.provider == "groq"]


async def test_a_custom_server_is_asked_for_a_few_words(world: CheckedWorld) -> None:
    config = {"base_url": f"{world.url}/openai/v1", "model": "my-model", "api_key": "good"}
    check = await world.check({"llm_provider": "custom", "llm_provider_config": config})
    assert problems(check) == {}
    (asked,) = world.sandbox.records.listing("llm", {})
    assert (asked["model"], asked["request"]["max_tokens"]) == ("my-model", 16)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"api_key": "bad"}, {"llm_provider_config.api_key": "key"}),
        ({"model": "missing"}, {"llm_provider_config.model": "refused"}),
        ({"base_url": "http://127.0.0.1:1/v1"}, {"llm_provider_config": "dropped"}),
        ({"base_url": "http://10.0.0.1/v1"}, {"llm_provider_config.base_url": "refused"}),
    ],
    ids=["key", "model", "away", "private"],
)
async def test_a_custom_server_that_a_call_could_not_use_says_why(
    world: CheckedWorld, changes: dict[str, Any], found: dict[str, str]
) -> None:
    config = {"base_url": f"{world.url}/openai/v1", "model": "my-model", "api_key": "good"} | changes
    assert problems(await world.check({"llm_provider": "custom", "llm_provider_config": config})) == found


async def test_a_server_that_is_asked_within_calls_only_is_reached_and_no_more(world: CheckedWorld) -> None:
    config = {"base_url": f"{world.url}/tools/llm", "request_format": "call"}
    check = await world.check({"llm_provider": "custom", "llm_provider_config": config})
    assert told(check) | {
        "llm_provider_config.base_url address": "ok",
        "llm_provider_config.model model": "unchecked",
    } == told(check)
    assert world.sandbox.records.listing("llm", {}) == []


async def test_where_a_vendors_api_has_no_descriptions_a_few_words_decide(world: CheckedWorld) -> None:
    """A gateway in front of a vendor may know chat completions alone."""
    asked: list[str] = []

    async def complete(request: web.Request) -> web.Response:
        asked.append((await request.json())["model"])
        return web.json_response({"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]})

    async with serving("/v1/chat/completions", complete) as (_, url):
        config = {"base_url": f"{url}/v1", "model": "gpt-4o", "api_key": "good"}
        check = await world.check({"llm_provider": "openai", "llm_provider_config": config})
    assert problems(check) == {}
    assert asked == ["gpt-4o"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.name in {"inworld", "resemble"}], ids=lambda row: row.name)
async def test_an_address_that_knows_no_voices_is_unchecked_and_no_problem(row: Row) -> None:
    async with checked_world(lists_at="/elsewhere") as world:
        check = await world.check(row.document())
    assert check.ok
    assert told(check)["tts_settings vendor"] == "unchecked"

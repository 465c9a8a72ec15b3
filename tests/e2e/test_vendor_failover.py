"""A vendor fails in the middle of a call and another goes on: every model and every voice, once on either side."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from calliope_local.stack import LocalStack
from calliope_sandbox.conversations import Conversation, ToolAnswer
from support.failover import (
    ANSWER,
    END,
    FIRST,
    HALF,
    LATER,
    MODELS,
    SECOND,
    SLOWLY,
    TOLD,
    VOICES,
    Failed,
    Vendor,
    failing_model,
    failing_voice,
    said_in,
    seam,
    talk_of,
)
from support.house import GREETING, House, Json, visiting
from support.scenes import PACE, VOICE

DOWN: Final = {"status": 503}
WAYS: Final[dict[str, Json]] = {
    "after the tool": {"after_tool": "lookup", "fail": DOWN},
    "in mid-sentence": {
        "after_tool": "lookup",
        "say": ANSWER,
        "per_token_ms": 130,
        "fail": DOWN | {"after_tokens": 14},
    },
    "in the next turn": {"match": SECOND, "fail": DOWN},
}
"""How the first model fails, as a rule of its script."""
RING: Final = tuple(zip(MODELS, (*MODELS[1:], MODELS[0]), strict=True))
SWAPS: Final = tuple(itertools.permutations(VOICES, 2))


@pytest.fixture(scope="module")
def models(stack: LocalStack) -> dict[tuple[Vendor, str], Failed]:
    async def ring() -> dict[tuple[Vendor, str], Failed]:
        async with visiting(stack) as house, knobs(house, {"elevenlabs": {"voice_char_ms": {VOICE[1]: PACE}}}):
            async with asyncio.TaskGroup() as calls:
                made = {
                    (primary, way): calls.create_task(failing_model(house, primary, fallback, rule))
                    for primary, fallback in RING
                    for way, rule in WAYS.items()
                }
            return {key: task.result() for key, task in made.items()}

    return asyncio.run(ring())


@pytest.fixture(scope="module")
def voices(stack: LocalStack) -> dict[tuple[Vendor, Vendor], Failed]:
    async def ring() -> dict[tuple[Vendor, Vendor], Failed]:
        async with visiting(stack) as house, knobs(house, {voice.twin: SLOWLY for voice in VOICES}):
            async with asyncio.TaskGroup() as calls:
                made = {swap: calls.create_task(failing_voice(house, *swap)) for swap in SWAPS}
            return {key: task.result() for key, task in made.items()}

    return asyncio.run(ring())


@asynccontextmanager
async def knobs(house: House, changes: Json) -> AsyncIterator[None]:
    """Twins that behave so for a while."""
    await house.sandbox("PATCH", "/sandbox/knobs", changes)
    try:
        yield
    finally:
        await house.sandbox("POST", "/sandbox/reset")


@pytest.mark.promise("P5")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("primary", "fallback"), RING, ids=lambda vendor: vendor.name)
def test_another_vendors_model_goes_on_and_the_caller_hears_nothing_twice(
    models: dict[tuple[Vendor, str], Failed], primary: Vendor, fallback: Vendor, way: str
) -> None:
    seen = models[primary, way]
    failed_turn = 2 if way == "in the next turn" else 1

    assert seen.call["failed"] is None
    assert seen.words == f"{GREETING} {ANSWER} {LATER}".split()
    (failure,) = seen.facts("provider_failed")
    assert (failure["stage"], failure["provider"], failure["reason"]) == ("llm", primary.name, "error")
    assert failure["turn"] == failed_turn
    assert failure["action"].startswith(f"asks {fallback.name} {fallback.options['model']}")
    used = [(turn["usage"]["llm_provider"], turn["usage"]["llm_model"]) for turn in replies(seen)]
    expected = [(vendor.name, vendor.options["model"]) for vendor in (primary, fallback)]
    assert used == (expected if failed_turn == 2 else expected[::-1])


@pytest.mark.promise("P6")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("primary", "fallback"), RING, ids=lambda vendor: vendor.name)
def test_a_tool_that_the_failed_model_called_is_run_once_and_its_result_told_to_the_next(
    models: dict[tuple[Vendor, str], Failed], primary: Vendor, fallback: Vendor, way: str
) -> None:
    seen = models[primary, way]

    (request,), (started,) = seen.tools, seen.facts("tool_started")
    assert request["headers"]["idempotency-key"] == started["idempotency_key"]
    assert [done["result"] for done in seen.facts("tool_finished")] == [TOLD]
    (asked,) = seen.fallback
    talk, result = talk_of(asked), (ToolAnswer("lookup", TOLD),)
    begun = [("assistant", GREETING), ("user", FIRST)]
    match way:
        case "after the tool":
            assert (dialogue(talk), talk.tool_answers) == (begun, result)
        case "in mid-sentence":
            assert dialogue(talk)[:-1] == [*begun, ("assistant", HALF)]
            assert talk.said[-2].after == result
        case _:
            assert dialogue(talk) == [*begun, ("assistant", ANSWER), ("user", SECOND)]
            assert result in [turn.after for turn in talk.said]


@pytest.mark.parametrize(("primary", "fallback"), RING, ids=lambda vendor: vendor.name)
def test_half_an_answer_was_heard_before_the_next_model_was_asked_for_the_rest(
    models: dict[tuple[Vendor, str], Failed], primary: Vendor, fallback: Vendor
) -> None:
    seen = models[primary, "in mid-sentence"]

    (asked,) = seen.fallback
    assert seen.heard_at_s("open") < asked["received_at_s"]
    assert f"{HALF}{asked['said']}" == ANSWER


@pytest.mark.parametrize(("primary", "fallback"), RING, ids=lambda vendor: vendor.name)
def test_a_model_that_is_well_again_answers_the_next_turn_from_what_the_other_said(
    models: dict[tuple[Vendor, str], Failed], primary: Vendor, fallback: Vendor
) -> None:
    for way in ("after the tool", "in mid-sentence"):
        (*_, asked) = [one for one in models[primary, way].primary if one["user_text"] == SECOND]
        talk = talk_of(asked)
        assert dialogue(talk)[-2:] == [("assistant", ANSWER), ("user", SECOND)]
        assert (ToolAnswer("lookup", TOLD),) in [turn.after for turn in talk.said]


@pytest.mark.promise("P5")
@pytest.mark.parametrize(("primary", "fallback"), SWAPS, ids=lambda vendor: vendor.name)
def test_another_vendors_voice_goes_on_where_the_first_broke_off(
    voices: dict[tuple[Vendor, Vendor], Failed],
    primary: Vendor,
    fallback: Vendor,
    record_property: Callable[[str, object], None],
) -> None:
    """A word may begin twice: what a voice reports comes with its audio, and a word counts once it is whole."""
    seen = voices[primary, fallback]
    (rest,) = [text for text in spoken(seen.fallback) if text.rstrip().endswith(END)]
    heard_twice = seam(seen.words, f"{GREETING} {ANSWER}")
    record_property("heard_twice", heard_twice)

    assert seen.call["failed"] is None
    assert ANSWER.endswith(rest.strip())
    assert rest.strip() != ANSWER
    assert len(heard_twice) <= 1
    failures = seen.facts("provider_failed")
    assert {(one["stage"], one["provider"], one["reason"]) for one in failures} == {("tts", primary.name, "dropped")}
    assert failures[-1]["action"].startswith(f"turns to {fallback.name} ")
    assert [turn["usage"]["tts_provider"] for turn in replies(seen)] == [fallback.name]


ASKED: Final[dict[str, Callable[[Json], Json]]] = {
    "elevenlabs": lambda asked: {
        "voice_id": asked["voice"],
        "model_id": asked["query"]["model_id"],
        **asked["voice_settings"],
    },
    "deepgram": lambda asked: {"voice_id": asked["query"]["model"].split("-")[2]},
    "inworld": lambda asked: {
        "voice_id": asked["contexts"][0]["voiceId"].lower(),
        "model_id": asked["contexts"][0]["modelId"],
        "provider_config": {"language": asked["contexts"][0]["language"]},
    },
    "resemble": lambda asked: {
        "voice_id": asked["requests"][0]["voice_uuid"],
        "model_id": asked["requests"][0]["model"],
        "provider_config": {"project_uuid": asked["requests"][0]["project_uuid"]},
    },
}
"""What a vendor was asked, in the words of a document."""


@pytest.mark.promise("P2")
@pytest.mark.parametrize(("primary", "fallback"), SWAPS, ids=lambda vendor: vendor.name)
def test_voices_are_asked_as_the_document_says_each_with_its_own_key(
    voices: dict[tuple[Vendor, Vendor], Failed], primary: Vendor, fallback: Vendor
) -> None:
    seen = voices[primary, fallback]
    assert ASKED[primary.name](seen.primary[0]) == primary.options
    assert ASKED[fallback.name](seen.fallback[0]) == fallback.options


def dialogue(talk: Conversation) -> list[tuple[str, str]]:
    """What was said, without the words that some vendors need before an assistant may begin."""
    return [turn for turn in said_in(talk) if turn != ("user", "(The call begins.)")]


def replies(seen: Failed) -> list[Json]:
    """Answers to the caller that were committed."""
    return [turn for turn in seen.facts("turn_committed") if turn["kind"] == "reply"]


def spoken(sockets: list[Json]) -> list[str]:
    """Every text that a voice was given."""
    return [entry["text"] for socket in sockets for entry in socket["texts"]]

"""A vendor fails in the middle of a call and another goes on: every model and every voice, once on either side."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
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
    REPEATED,
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
from support.faults import endured
from support.house import GREETING, House, Json, said, visiting
from support.scenes import PACE, VOICE

MOST_SILENCE_S: Final = 2.0
DOWN: Final = {"status": 503}
_CUT_OFF: Final = {"after_tool": "lookup", "say": ANSWER, "per_token_ms": 130, "fail": DOWN | {"after_tokens": 14}}
WAYS: Final[dict[str, Json]] = {
    "after the tool": {"after_tool": "lookup", "fail": DOWN},
    "in mid-sentence": _CUT_OFF,
    "in mid-sentence, repeated": _CUT_OFF,
    "in the next turn": {"match": SECOND, "fail": DOWN},
}
"""How the first model fails, as a rule of its script."""
RING: Final = tuple(zip(MODELS, (*MODELS[1:], MODELS[0]), strict=True))
SWAPS: Final = tuple(itertools.permutations(VOICES, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A model that fails in some way, and who stands in for it."""

    primary: Vendor
    fallback: Vendor
    way: str

    @property
    def failed_turn(self) -> int:
        """The turn in which it fails."""
        return 2 if self.way == "in the next turn" else 1

    def __str__(self) -> str:
        """For test ids."""
        return f"{self.primary.name}-{self.fallback.name}, {self.way}"


CASES: Final = tuple(Case(*(pair[::-1] if way.endswith("repeated") else pair), way) for pair in RING for way in WAYS)
"""Round the ring in one direction; who repeats words that were said before it was asked, in the other."""
IN_MID_SENTENCE: Final = tuple(case for case in CASES if case.way.startswith("in mid-sentence"))


@pytest.fixture(scope="module")
def models(stack: LocalStack) -> dict[Case, Failed]:
    async def ring() -> dict[Case, Failed]:
        async with visiting(stack) as house, knobs(house, {"elevenlabs": {"voice_char_ms": {VOICE[1]: PACE}}}):
            async with asyncio.TaskGroup() as calls:
                made = {case: calls.create_task(_call(house, case)) for case in CASES}
            return {key: task.result() for key, task in made.items()}

    return asyncio.run(ring())


async def _call(house: House, case: Case) -> Failed:
    repeats = {"after_tool": "lookup", "say": REPEATED} if case.way.endswith("repeated") else None
    return await failing_model(house, case.primary, case.fallback, WAYS[case.way], repeats)


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
@pytest.mark.promise("P6")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_another_vendors_model_goes_on_and_the_caller_hears_nothing_twice(
    models: dict[Case, Failed], case: Case
) -> None:
    seen = models[case]

    assert seen.call["failed"] is None
    assert seen.words == f"{GREETING} {ANSWER} {LATER}".split()
    assert said(seen.record, "assistant") == " ".join(seen.words)
    assert max(endured(seen.call, turn=turn).silence_s for turn in (1, 2)) < MOST_SILENCE_S
    (failure,) = seen.facts("provider_failed")
    assert (failure["stage"], failure["provider"], failure["reason"]) == ("llm", case.primary.name, "error")
    assert failure["turn"] == case.failed_turn
    assert failure["action"].startswith(f"asks {case.fallback.name} {case.fallback.options['model']}")
    used = [(turn["usage"]["llm_provider"], turn["usage"]["llm_model"]) for turn in replies(seen)]
    well = [(vendor.name, vendor.options["model"]) for vendor in (case.primary, case.fallback)]
    assert used == (well if case.failed_turn == 2 else well[::-1])


@pytest.mark.promise("P3")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_tool_that_the_failed_model_called_is_run_once_and_its_result_told_to_the_next(
    models: dict[Case, Failed], case: Case
) -> None:
    seen = models[case]

    (request,), (started,) = seen.tools, seen.facts("tool_started")
    assert request["headers"]["idempotency-key"] == started["idempotency_key"]
    assert [done["result"] for done in seen.facts("tool_finished")] == [TOLD]
    (asked,) = seen.fallback
    talk, result = talk_of(asked), (ToolAnswer("lookup", TOLD),)
    begun = [("assistant", GREETING), ("user", FIRST)]
    if case in IN_MID_SENTENCE:
        assert dialogue(talk)[:-1] == [*begun, ("assistant", HALF)]
        assert talk.said[-2].after == result
    elif case.failed_turn == 1:
        assert (dialogue(talk), talk.tool_answers) == (begun, result)
    else:
        assert dialogue(talk) == [*begun, ("assistant", ANSWER), ("user", SECOND)]
        assert result in [turn.after for turn in talk.said]


@pytest.mark.parametrize("case", IN_MID_SENTENCE, ids=str)
def test_words_were_heard_before_the_next_model_was_asked_for_the_rest(models: dict[Case, Failed], case: Case) -> None:
    (asked,) = models[case].fallback
    assert models[case].heard_at_s("open") < asked["received_at_s"]


@pytest.mark.parametrize("case", [case for case in CASES if case.failed_turn == 1], ids=str)
def test_a_model_that_is_well_again_answers_the_next_turn_from_what_the_other_said(
    models: dict[Case, Failed], case: Case
) -> None:
    talk = talk_of(models[case].primary[-1])
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
    assert said(seen.record, "assistant") == f"{GREETING} {ANSWER}"
    assert endured(seen.call, turn=1).silence_s < MOST_SILENCE_S
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

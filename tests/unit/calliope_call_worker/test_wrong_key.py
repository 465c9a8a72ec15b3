"""A key that a vendor refuses is told to the developer, by stage, and never to the caller."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from calliope.contracts.calls import CallEnded, EndReason, ProviderFailed, Stage, TurnCommitted
from calliope.contracts.document.spec import AssistantSpec
from calliope.settings import EgressSettings
from calliope_call_worker.providers.errors import Failure
from calliope_call_worker.providers.failures import StageError
from calliope_call_worker.providers.registry import Providers, open_providers
from calliope_call_worker.providers.settings import ProvidersSettings
from calliope_call_worker.providers.stt.base import Transcript
from support.recognisers import TwinStt
from support.voices import TwinTts
from support.waiting import until
from support.whole_call import ANSWER, WholeCall, a_call, a_wrong_key

HELLO = Transcript("Hello?", True, True, 0, 900)
GREETING = {"welcome_message": "Good day."}


def told(call: WholeCall) -> list[tuple[Stage, str, str]]:
    return [(fact.stage, fact.provider, fact.reason) for fact in call.facts(ProviderFailed)]


def words_of(call: WholeCall) -> str:
    """Everything that was given to a voice or is in the transcript."""
    return " ".join([*call.tts.said, *(turn.assistant_text for turn in call.facts(TurnCommitted))]).lower()


async def test_of_the_recogniser() -> None:
    async with a_call(stt=TwinStt(a_wrong_key("deepgram")), llm_settings=GREETING) as call:
        await call.over()
    assert told(call) == [(Stage.STT, "deepgram", "key")]
    assert call.facts(ProviderFailed)[0].detail == "refused with 401 INVALID_AUTH"
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.PROVIDER_FAILED]
    assert "technical problem" in words_of(call)
    assert not {"key", "401", "deepgram"} & set(words_of(call).split())


async def test_of_the_recogniser_while_the_phone_still_rings() -> None:
    async with a_call(stt=TwinStt(a_wrong_key("deepgram")), answered=False, llm_settings=GREETING) as call:
        await until(lambda: told(call))
        call.answer()
        await call.over()
    assert words_of(call).startswith("good day.")
    assert "technical problem" in words_of(call)
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.PROVIDER_FAILED]


async def test_of_the_model() -> None:
    async with a_call(answers=[Failure.KEY], llm_settings=GREETING) as call:
        await until(partial(call.facts, TurnCommitted))  # said into the greeting, it would not be answered on its own
        await call.hears(HELLO)
        await call.over()
    assert (Stage.LLM, "model", "key") in told(call)
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.PROVIDER_FAILED]
    assert "technical problem" in words_of(call)
    assert not {"key", "401", "model"} & set(words_of(call).split())


async def test_of_the_voice() -> None:
    async with a_call(tts=TwinTts("elevenlabs", refuses=Failure.KEY), llm_settings=GREETING) as call:
        await call.over()
    assert (Stage.TTS, "elevenlabs", "key") in told(call)
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.PROVIDER_FAILED]
    assert words_of(call).strip() == ""


async def test_of_nobody_means_nothing_to_tell() -> None:
    async with a_call(answers=ANSWER, llm_settings=GREETING) as call:
        await until(partial(call.facts, TurnCommitted))
        await call.hears(HELLO)
        await until(lambda: len(call.facts(TurnCommitted)) == 2)
    assert told(call) == []


@pytest.fixture
async def keyless() -> AsyncIterator[Providers]:
    async with open_providers(ProvidersSettings(), EgressSettings()) as providers:
        yield providers


@pytest.mark.parametrize(
    ("keys", "stage"),
    [
        ({"tts_settings": {"api_key": "el"}}, Stage.STT),
        ({"stt_settings": {"api_key": "dg"}}, Stage.TTS),
        ({"stt_settings": {"api_key": "dg"}, "tts_settings": {"provider": "deepgram"}}, Stage.TTS),
    ],
)
async def test_a_key_that_nobody_gave_is_told_with_its_stage(
    keyless: Providers, keys: dict[str, Any], stage: Stage
) -> None:
    spec = AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, **keys})
    with pytest.raises(StageError) as caught:
        keyless.for_call(spec, "call_1", "org_1")
    assert caught.value.stage is stage

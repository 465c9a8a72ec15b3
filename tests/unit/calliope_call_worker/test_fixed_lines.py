"""Whole calls whose fixed lines, prompt and clock are the assistant's: in its language, its words and its time zone."""

import asyncio
from dataclasses import asdict
from typing import Any, Final

import pytest

from calliope.contracts.calls import CallEnded, EndReason, TurnCommitted
from calliope.contracts.document.messages import Messages
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker import phrases
from calliope_call_worker.plan import Continuation
from calliope_call_worker.providers.errors import Failure
from calliope_call_worker.providers.llm.base import Finished, TextDelta, ToolCall
from calliope_call_worker.providers.stt.base import Transcript
from support.recognisers import TwinStt
from support.waiting import until
from support.whole_call import ANSWER, WholeCall, a_call, a_wrong_key

HELLO: Final = Transcript("Hello?", True, True, 0, 900)
AGAIN: Final = Transcript("Hello again?", True, True, 1_000, 1_900)
IN_SPANISH: Final[dict[str, Any]] = {"stt_settings": {"language": "es"}}
END: Final = (ToolCall("t1", "end_call", "{}"), Finished("tool_calls"))
ENDING: Final[dict[str, Any]] = {"tools_settings": {"end_call": {"enabled": True}}}
CONTEXT: Final = (
    "Facts of this call: it began on Sunday, 2026-02-01, at 00:05 local time, in the time zone Europe/Madrid "
    "(UTC+01:00). The caller's number is +15550001; they called +15550002."
)


def a_spec(**document: Any) -> AssistantSpec:
    return AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, **document})


def said(call: WholeCall) -> list[str]:
    """What was spoken, line by line; lines that were prepared and not needed are left out."""
    return [turn.assistant_text.strip() for turn in call.facts(TurnCommitted)]


def test_every_language_has_every_line_and_no_two_share_one() -> None:
    assert set(phrases.LANGUAGES) >= {"en", "es", "fr", "de", "pt", "it", "nl", "pl", "ja"}
    lines = [asdict(phrases.phrases_of(a_spec(stt_settings={"language": each}))) for each in phrases.LANGUAGES]
    for name in lines[0]:
        texts = [each[name] for each in lines]
        assert len({text for text in texts if text.strip()}) == len(texts), name


@pytest.mark.parametrize(
    ("tag", "language"),
    [("es-MX", "es"), ("ES", "es"), ("multi", "en"), ("sv", "en"), ("pt-BR", "pt"), ("ja", "ja"), ("en-US", "en")],
)
def test_a_recognisers_tag_decides_the_language(tag: str, language: str) -> None:
    assert phrases.language_of(tag) == language


@pytest.mark.parametrize("name", Messages.model_fields)
def test_a_document_may_have_each_line_in_its_own_words(name: str) -> None:
    own, others = phrases.phrases_of(a_spec(**IN_SPANISH, messages={name: "Eigene Worte."})), a_spec(**IN_SPANISH)
    assert asdict(own) == asdict(phrases.phrases_of(others)) | {name: "Eigene Worte."}
    assert phrases.phrases_of(a_spec(**IN_SPANISH, messages={name: ""})) == phrases.phrases_of(others)


@pytest.mark.parametrize(
    ("document", "apology", "final"),
    [
        (IN_SPANISH, "Lo siento, tengo un problema técnico.", "Lo siento, tenemos un problema técnico."),
        (
            {**IN_SPANISH, "messages": {"apology": "Otra vez, {{name}}.", "final_apology": "Hasta {{date}}."}},
            "Otra vez, Ana.",
            "Hasta 2026-01-31.",
        ),
    ],
)
async def test_a_model_that_fails_is_apologised_for_in_the_assistants_language(
    document: dict[str, Any], apology: str, final: str
) -> None:
    async with a_call(answers=[Failure.ERROR], variables={"name": "Ana"}, **document) as call:
        await call.hears(HELLO)
        await until(lambda: call.facts(TurnCommitted))
        await call.hears(AGAIN)
        await call.over()
    assert [end.reason for end in call.facts(CallEnded)] == [EndReason.PROVIDER_FAILED]
    assert said(call)[0].startswith(apology)
    assert said(call)[-1].startswith(final)
    spoken = [text for text in call.tts.said if text.startswith((apology, final))]
    assert len(spoken) == 2, "each is spoken once in advance and then taken from there"


@pytest.mark.parametrize(
    ("document", "goodbye"),
    [
        ({}, "Gracias por llamar. Adiós."),
        ({"messages": {"goodbye": "Chao."}}, "Chao."),
        (
            {"tools_settings": {"end_call": {"enabled": True, "custom_message": "Fin de {{call.id}}."}}},
            "Fin de call_1.",
        ),
    ],
)
async def test_the_goodbye_is_in_the_assistants_language(document: dict[str, Any], goodbye: str) -> None:
    async with a_call(answers=END, **(IN_SPANISH | ENDING | document)) as call:
        await call.hears(HELLO)
        await call.over()
    assert said(call)[-1] == goodbye


@pytest.mark.parametrize(
    ("document", "idle", "goodbye"),
    [
        ({}, "¿Sigue usted ahí?", "No le oigo, así que voy a colgar. Adiós."),
        ({"idle_message": "¿{{who}}?", "messages": {"idle_goodbye": "Cuelgo."}}, "¿Ana?", "Cuelgo."),
    ],
)
async def test_silence_is_asked_about_and_ended_in_the_assistants_language(
    document: dict[str, Any], idle: str, goodbye: str
) -> None:
    limits: dict[str, Any] = {"idle_timeout": 1, "max_idle_messages": 1, "variables": {"who": "Ana"}}
    async with a_call(**IN_SPANISH, **limits, **document) as call:
        await call.over()
    assert said(call) == [idle, goodbye]


async def test_the_longest_call_ends_in_the_assistants_own_words() -> None:
    nearly = Continuation(history=(), turns=0, unanswered="", elapsed_s=3_599.9)
    async with a_call(continuation=nearly, messages={"time_limit_goodbye": "Ende."}) as call:
        await call.over()
    assert (said(call), call.facts(CallEnded)[0].reason) == (["Ende."], EndReason.MAX_DURATION)


async def test_a_call_without_a_recogniser_ends_with_the_assistants_own_apology() -> None:
    stt, own = TwinStt(a_wrong_key("deepgram")), {"final_apology": "Nadie le oye."}
    async with a_call(stt=stt, **IN_SPANISH, messages=own) as call:
        await call.over()
    assert said(call)[-1] == "Nadie le oye."


@pytest.mark.parametrize(("zone", "told"), [("Europe/Madrid", CONTEXT), (None, "Saturday, 2026-01-31, at 23:05")])
async def test_every_request_tells_when_where_and_who(zone: str | None, told: str) -> None:
    settings = {"system_prompt": "You are {{assistant.name}} of {{house}}. It is {{now}}."}
    async with a_call(llm_settings=settings, time_zone=zone, variables={"house": "Bell"}) as call:
        await call.hears(HELLO)
        await until(lambda: len(call.facts(TurnCommitted)) == 1)
        await call.hears(AGAIN)
        await until(lambda: len(call.facts(TurnCommitted)) == 2)
    prompts = {request.system for request in call.model.requests}
    assert len(prompts) == 1, "what precedes the conversation stays the same, so that vendors can keep it"
    prompt = prompts.pop()
    assert prompt.startswith("You are Ann of Bell. It is ")
    assert told in prompt.partition("\n\n")[2]


async def test_who_goes_on_with_a_call_tells_the_model_the_same() -> None:
    past = Continuation(history=(), turns=1, unanswered="Hello?", elapsed_s=3_000.0)
    async with a_call(time_zone="Europe/Madrid", continuation=past) as call:
        await until(lambda: call.model.requests)
    assert call.model.requests[0].system.endswith(CONTEXT)


async def test_welcome_and_the_lines_of_tools_are_filled_in() -> None:
    tool = {"name": "book", "description": "Books.", "url": "http://127.0.0.1:9/x", "speak_while_running": "{{wait}}"}
    answers = (ToolCall("t1", "book", "{}"), Finished("tool_calls"))
    document: dict[str, Any] = {
        "llm_settings": {"welcome_message": "Hello {{ caller.number }}, this is {{assistant.name}}."},
        "tools_settings": {"custom_tools": [tool]},
        "variables": {"wait": "One moment."},
    }
    async with a_call(answers=answers, **document) as call:
        await until(lambda: call.facts(TurnCommitted))
        await call.hears(HELLO)
        async with asyncio.timeout(5):
            await until(lambda: "One moment. " in call.tts.said)
    assert said(call)[0] == "Hello +15550001, this is Ann."
    assert not [text for text in call.tts.said if "{{" in text]


async def test_english_stays_as_it_was() -> None:
    async with a_call(answers=(TextDelta("We are open. "), *END), **ENDING) as call:
        await call.hears(HELLO)
        await call.over()
    assert ANSWER
    assert said(call)[-1] == "We are open."

"""Two questions, one repair, and what becomes of failures."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from calliope.contracts.calls import AnalysisStatus, CallAnalyzed, TurnStarted
from calliope.contracts.document.spec import AssistantSpec
from calliope.errors import TransientError
from calliope_call_worker.analysis import schema_check
from calliope_call_worker.analysis.analyst import MAX_ANSWER, Analyst
from calliope_call_worker.analysis.checking import UnusableSchemaError
from calliope_call_worker.analysis.transcript import Transcript
from calliope_call_worker.providers.errors import Failure
from calliope_call_worker.providers.llm.base import Finished, TextDelta
from calliope_call_worker.providers.llm.breaker import Breaker
from calliope_call_worker.providers.llm.chain import Link, LlmChain
from calliope_call_worker.providers.settings import ThinkingSettings
from calliope_call_worker.settings import AnalysisSettings
from support.aftermath import SCHEMA, an_event
from support.models import ScriptedModel, Step

FACTS = [an_event("call_1", 1, TurnStarted(turn=1, text="A table for two, Ada.", at_ms=0))]
GOOD = '{"people": 2, "name": "Ada"}'


def says(text: str, reason: str = "stop") -> list[Step]:
    return [TextDelta(text), Finished(reason)]


def a_spec(**custom: Any) -> AssistantSpec:
    return AssistantSpec.model_validate(
        {"name": "Anna", "llm_provider_config": {"api_key": "k"}, "custom_settings": custom}
    )


async def check_here(schema: Any, value: Any) -> list[str]:
    found = schema_check.check(schema, value)
    if found["unusable"] is not None:
        raise UnusableSchemaError(found["unusable"])
    return list(found["problems"])


async def analyzed(
    *scripts: Sequence[Step], spec: AssistantSpec | None = None, last_try: bool = False
) -> tuple[CallAnalyzed, ScriptedModel]:
    model = ScriptedModel("a", *scripts)

    def chain(_: AssistantSpec) -> LlmChain:
        return LlmChain([Link(model, Breaker(9, 1.0))], ThinkingSettings(), lambda *_: None)

    analyst = Analyst(chain, check_here, AnalysisSettings(), "UTC")
    spec = spec or a_spec(structured_data_schema=SCHEMA)
    transcript = Transcript(max_characters=AnalysisSettings().transcript_characters)
    for fact in FACTS:
        transcript.add(fact)
    return await analyst.analyze(transcript, FACTS[0].time, spec, last_try=last_try), model


async def test_the_summary_is_asked_for_first_and_then_the_data() -> None:
    found, model = await analyzed(says("Ada wants a table."), says(GOOD))
    assert found.status is AnalysisStatus.DONE
    assert (found.summary, found.structured_data) == ("Ada wants a table.", {"people": 2, "name": "Ada"})
    assert [request.schema for request in model.requests] == [None, SCHEMA]


async def test_a_prompt_without_a_schema_asks_for_any_object_with_the_summary_at_hand() -> None:
    spec = a_spec(structured_data_prompt="From {summary} take the mood.")
    found, model = await analyzed(says("Happy."), says('{"mood": "good"}'), spec=spec)
    assert found.structured_data == {"mood": "good"}
    assert model.requests[1].system.startswith("From Happy. take the mood.")
    assert model.requests[1].schema == {"type": "object"}


async def test_thoughts_are_no_part_of_an_answer() -> None:
    found, _ = await analyzed(says("<think>hm</think>Short."), says(f"<think>{{}}</think>{GOOD}"))
    assert (found.summary, found.structured_data) == ("Short.", {"people": 2, "name": "Ada"})


async def test_an_answer_that_was_cut_off_is_asked_for_shorter() -> None:
    found, model = await analyzed(says("Short."), says('{"people": 2, "na', "length"), says(GOOD))
    assert found.status is AnalysisStatus.DONE
    assert "write less" in str(model.requests[2].messages[-1])


async def test_an_endless_answer_is_left() -> None:
    endless = [TextDelta("x" * 1_000)] * (MAX_ANSWER // 1_000 + 5) + [None]
    found, model = await analyzed(says("Short."), endless, says(GOOD))
    assert found.status is AnalysisStatus.DONE
    assert model.left == 3


async def test_a_vendor_that_refuses_the_schema_is_asked_in_words_only() -> None:
    found, model = await analyzed(says("Short."), [Failure.REFUSED], says("{}"), says(GOOD))
    assert found.status is AnalysisStatus.DONE
    assert [request.schema for request in model.requests[1:]] == [SCHEMA, None, None]


async def test_one_repair_and_no_more() -> None:
    found, model = await analyzed(says("Short."), says("{}"), says("{}"), says(GOOD))
    assert (found.status, found.summary, found.structured_data) == (AnalysisStatus.FAILED, "Short.", None)
    assert "structured_data: still wrong after one repair" in str(found.error)
    assert len(model.requests) == 3


async def test_what_may_pass_is_tried_later() -> None:
    with pytest.raises(TransientError, match="summary: a: rate_limited"):
        await analyzed([Failure.RATE_LIMITED])


async def test_on_the_last_try_it_is_a_failure_that_keeps_what_could_be_had() -> None:
    found, _ = await analyzed([Failure.RATE_LIMITED], says(GOOD), last_try=True)
    assert (found.status, found.summary) == (AnalysisStatus.FAILED, None)
    assert found.structured_data == {"people": 2, "name": "Ada"}
    assert found.error == "summary: a: rate_limited: scripted"


async def test_a_refused_key_is_a_failure_at_once() -> None:
    found, model = await analyzed([Failure.KEY])
    assert found.error == "summary: a: key: scripted; structured_data: a: key: scripted"
    assert len(model.requests) == 2


async def test_a_schema_that_cannot_be_used_is_a_failure_in_words() -> None:
    spec = a_spec(structured_data_schema={"$ref": "#/$defs/missing"})
    found, _ = await analyzed(says("Short."), says("{}"), spec=spec)
    assert (found.status, found.summary) == (AnalysisStatus.FAILED, "Short.")
    assert "which is not in it" in str(found.error)


async def test_a_summary_without_a_word_is_asked_for_again() -> None:
    found, model = await analyzed(says('{"name": "book", "arguments": {}}'), says("Ada wants a table."), spec=a_spec())
    assert (found.status, found.summary, len(model.requests)) == (AnalysisStatus.DONE, "Ada wants a table.", 2)
    found, _ = await analyzed(says("***"), says("***"), spec=a_spec())
    assert (found.status, found.error) == (
        AnalysisStatus.FAILED,
        "summary: still without a word after it was asked again",
    )


async def test_data_written_as_a_text_of_json_is_what_it_says() -> None:
    packed = json.dumps(GOOD)
    found, model = await analyzed(says("Ada."), says(packed))
    assert (found.structured_data, len(model.requests)) == ({"people": 2, "name": "Ada"}, 2)
    found, _ = await analyzed(says("Ada."), says('"{}"'), spec=a_spec(structured_data_schema={"type": "string"}))
    assert found.structured_data == "{}"

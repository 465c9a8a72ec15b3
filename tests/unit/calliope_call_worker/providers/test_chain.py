"""The fallback chain: who is asked, when it is somebody else's turn, and that nothing is said twice."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from calliope_call_worker.pipeline.speakable import spoken
from calliope_call_worker.providers.errors import OF_ONE_REQUEST, Failure, ProviderError
from calliope_call_worker.providers.llm.base import (
    Asked,
    AssistantMessage,
    Finished,
    LlmEvent,
    LlmRequest,
    Progress,
    TextDelta,
    ToolCall,
    ToolResult,
    UserMessage,
)
from calliope_call_worker.providers.llm.breaker import Breaker
from calliope_call_worker.providers.llm.chain import Link, LlmChain
from calliope_call_worker.providers.settings import ThinkingSettings
from support.models import ScriptedModel, Step, Trickle
from support.virtual_time import in_virtual_time

REQUEST = LlmRequest(system="Be brief.", messages=(UserMessage("A table, please."),))
DONE = Finished("stop")
TRICKLED = ThinkingSettings(first_token_deadline_s=0.1, inter_token_deadline_s=5.0, last_model_deadline_s=0.1)
QUICK = ThinkingSettings(first_token_deadline_s=0.02, inter_token_deadline_s=0.02, last_model_deadline_s=0.02)


class Chain:
    """A chain, what it answered and what it reported."""

    def __init__(self, *models: ScriptedModel, settings: ThinkingSettings | None = None) -> None:
        self.links = [Link(model, Breaker(3, 10.0)) for model in models]
        self.reports: list[tuple[str, Failure, str]] = []
        self.chain = LlmChain(self.links, settings or ThinkingSettings(), self._report)
        self.events: list[LlmEvent] = []
        self.asked = 0
        self.late = 0
        self.voice_has: Callable[[], str] = lambda: self.text

    def _report(self, error: ProviderError, action: str) -> None:
        self.reports.append((error.provider, error.failure, action))

    def _is_late(self) -> None:
        self.late += 1

    async def ask(self, request: LlmRequest = REQUEST) -> str:
        self.events = []
        async with self.chain.stream(request, lambda: self.voice_has(), self._is_late) as events:
            async for event in events:
                if isinstance(event, Asked):
                    self.asked += 1
                else:
                    self.events.append(event)
        return self.text

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))


def says(*texts: str) -> list[Any]:
    return [*map(TextDelta, texts), DONE]


async def test_every_model_that_is_asked_is_told_of_as_a_request_of_its_own() -> None:
    chain = Chain(ScriptedModel("a", [Failure.ERROR]), ScriptedModel("b", says("Yes.")))
    await chain.ask()
    assert chain.asked == 2


async def test_the_primary_answers_and_nobody_else_is_asked() -> None:
    first, second = ScriptedModel("a", says("Sure", ".")), ScriptedModel("b", says("No."))
    chain = Chain(first, second)
    assert await chain.ask() == "Sure."
    assert chain.chain.used == ("a", "a-1")
    assert (chain.events[-1], second.requests, chain.reports) == (DONE, [], [])


@pytest.mark.parametrize("failure", [Failure.ERROR, Failure.RATE_LIMITED, Failure.KEY, Failure.REFUSED])
async def test_an_error_turns_to_the_fallback_with_the_same_request(failure: Failure) -> None:
    second = ScriptedModel("b", says("Sure."))
    chain = Chain(ScriptedModel("a", [failure]), second)
    assert await chain.ask() == "Sure."
    assert second.requests == [REQUEST]
    assert chain.reports == [("a", failure, "asks b b-1")]
    assert chain.chain.used == ("b", "b-1")


async def test_a_model_that_declined_answers_the_next_turns_and_stays_in_good_health() -> None:
    first = ScriptedModel("a", *[[Failure.DECLINED]] * 5, says("Sure."))
    chain = Chain(first, ScriptedModel("b", says("No.")))
    for _ in range(5):
        assert await chain.ask() == "No."
    assert await chain.ask() == "Sure."
    assert chain.chain.used == ("a", "a-1")


ONE_REQUEST = pytest.mark.parametrize("failure", sorted(OF_ONE_REQUEST))


@ONE_REQUEST
async def test_a_request_that_is_refused_is_asked_once_more(failure: Failure) -> None:
    model = ScriptedModel("a", [failure], says("Sure."))
    chain = Chain(model)
    assert await chain.ask() == "Sure."
    assert chain.reports == [("a", failure, "asks a a-1")]


@ONE_REQUEST
async def test_a_request_that_is_refused_for_good_says_nothing_of_the_next(failure: Failure) -> None:
    chain = Chain(ScriptedModel("a", *[[failure]] * 8, says("Sure.")))
    for _ in range(4):
        with pytest.raises(ProviderError):
            await chain.ask()
    assert not chain.chain.hopeless
    assert chain.links[0].breaker.closed
    assert await chain.ask() == "Sure."


@ONE_REQUEST
async def test_with_a_fallback_the_primary_is_asked_again_in_the_next_turn(failure: Failure) -> None:
    first = ScriptedModel("a", [failure], says("Sure."))
    chain = Chain(first, ScriptedModel("b", says("Gladly.")))
    assert [await chain.ask(), await chain.ask()] == ["Gladly.", "Sure."]


async def test_a_conversation_that_is_too_long_is_asked_about_without_its_older_half() -> None:
    said = tuple(UserMessage(str(number)) if number % 2 == 0 else AssistantMessage("Yes.") for number in range(9))
    model = ScriptedModel("a", [Failure.TOO_LONG], says("Sure."))
    assert await Chain(model).ask(LlmRequest("Be brief.", said)) == "Sure."
    assert [request.messages for request in model.requests] == [said, said[4:]]


@pytest.mark.promise("P5")
@pytest.mark.parametrize("script", [[None], [TextDelta("  "), None], [TextDelta("<think>hm"), None]])
async def test_nothing_useful_in_time_turns_to_the_fallback(script: list[Any]) -> None:
    first = ScriptedModel("a", script)
    chain = Chain(first, ScriptedModel("b", says("Sure.")), settings=QUICK)
    assert (await chain.ask()).removeprefix("<think>hm").strip() == "Sure."
    assert first.left == 1
    assert chain.reports[0][:2] == ("a", Failure.DEADLINE)


LATE: list[Any] = [Trickle(4.9, TextDelta("Sure.")), DONE]
SLOW: list[Any] = [*[Trickle(1.2, TextDelta(letter)) for letter in "Sure."], DONE]
STUCK: list[Any] = [TextDelta("Su"), Trickle(4.9, TextDelta("re.")), DONE]


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("script", "told"), [(LATE, 1), ([Trickle(4.9, Progress()), *says("Sure.")], 1), (STUCK, 1), (SLOW, 0)]
)
@in_virtual_time
async def test_a_late_model_is_waited_for_when_nobody_stands_in_for_it(script: list[Any], told: int) -> None:
    chain = Chain(ScriptedModel("a", script))
    assert (await chain.ask(), chain.late, chain.reports) == ("Sure.", told, [])


@pytest.mark.promise("P5")
@pytest.mark.parametrize("script", [LATE, STUCK])
@in_virtual_time
async def test_a_late_model_is_not_waited_for_when_somebody_does(script: list[Any]) -> None:
    chain = Chain(ScriptedModel("a", script), ScriptedModel("b", says("re.")))
    await chain.ask()
    assert (chain.chain.used, chain.late, [report[:2] for report in chain.reports]) == (
        ("b", "b-1"),
        0,
        [("a", Failure.DEADLINE)],
    )


@in_virtual_time
async def test_the_last_of_several_is_waited_for() -> None:
    chain = Chain(ScriptedModel("a", [None]), ScriptedModel("b", LATE))
    assert (await chain.ask(), chain.late) == ("Sure.", 1)


@in_virtual_time
async def test_one_whose_stand_in_is_known_to_fail_is_waited_for() -> None:
    chain = Chain(ScriptedModel("a", LATE), ScriptedModel("b", [Failure.ERROR]))
    for _ in range(3):
        chain.links[1].breaker.failed(0.0)
    assert (await chain.ask(), chain.late) == ("Sure.", 1)


@pytest.mark.parametrize(("script", "what"), [([None], "nothing useful"), ([TextDelta("Su"), None], "in the middle")])
@in_virtual_time
async def test_one_that_never_answers_is_not_waited_for_for_ever(script: list[Any], what: str) -> None:
    chain = Chain(ScriptedModel("a", script))
    with pytest.raises(ProviderError, match=what):
        await chain.ask()
    assert asyncio.get_running_loop().time() == ThinkingSettings().last_model_deadline_s


@in_virtual_time
async def test_nobody_is_told_to_wait_for_work_after_the_call() -> None:
    chain = Chain(ScriptedModel("a", [Trickle(20.0, TextDelta("{}")), DONE]))
    assert (await chain.ask(replace(REQUEST, schema={}, spoken=False)), chain.late) == ("{}", 0)


async def test_a_tool_call_in_the_making_counts_as_output() -> None:
    call = ToolCall("c", "book", "{}")
    chain = Chain(ScriptedModel("a", [Progress(), call, Finished("tool_calls")]), settings=QUICK)
    await chain.ask()
    assert chain.events == [call, Finished("tool_calls")]


@pytest.mark.promise("P5")
async def test_a_model_that_dies_in_the_middle_is_continued_by_the_next() -> None:
    first = ScriptedModel("a", [TextDelta("I can book "), TextDelta("a"), Failure.DROPPED])
    second = ScriptedModel("b", says(" table", " for two."))
    chain = Chain(first, second)
    assert await chain.ask() == "I can book a table for two."
    assert second.requests[0].messages[1] == AssistantMessage("I can book a")
    assert isinstance(second.requests[0].messages[2], UserMessage)
    assert chain.reports == [("a", Failure.DROPPED, "asks b b-1 after 12 characters were said")]
    assert sum(isinstance(event, Finished) for event in chain.events) == 1


async def test_a_model_that_begins_again_is_not_heard_twice() -> None:
    first = ScriptedModel("a", [TextDelta("I can book a"), None])
    chain = Chain(first, ScriptedModel("b", says("I can", " book a table.")), settings=QUICK)
    assert await chain.ask() == "I can book a table."


async def test_the_last_model_is_asked_once_more_when_it_failed_quickly() -> None:
    chain = Chain(ScriptedModel("a", [Failure.DROPPED], says("Sure.")))
    assert await chain.ask() == "Sure."
    assert chain.reports == [("a", Failure.DROPPED, "asks a a-1")]


async def test_when_all_fail_the_last_error_is_raised() -> None:
    first, second = ScriptedModel("a", [Failure.ERROR]), ScriptedModel("b", [Failure.ERROR])
    chain = Chain(first, second)
    with pytest.raises(ProviderError, match="b: error"):
        await chain.ask()
    assert [action for _, _, action in chain.reports] == ["asks b b-1", "asks b b-1", "gives up"]


async def test_a_refused_key_is_not_tried_again_in_this_call() -> None:
    first = ScriptedModel("a", [Failure.KEY])
    chain = Chain(first, ScriptedModel("b", says("Sure.")))
    await chain.ask()
    await chain.ask()
    assert len(first.requests) == 1
    assert not chain.chain.hopeless


async def test_a_chain_whose_keys_are_all_refused_is_hopeless() -> None:
    chain = Chain(ScriptedModel("a", [Failure.KEY]))
    for _ in range(2):
        with pytest.raises(ProviderError):
            await chain.ask()
    assert chain.chain.hopeless


async def test_a_dead_provider_is_skipped_after_a_few_failures() -> None:
    first = ScriptedModel("a", [Failure.ERROR])
    chain = Chain(first, ScriptedModel("b", says("Sure.")))
    for _ in range(5):
        await chain.ask()
    assert len(first.requests) == 3


async def test_when_every_breaker_is_open_the_primary_is_asked_all_the_same() -> None:
    chain = Chain(
        ScriptedModel("a", [Failure.RATE_LIMITED], [Failure.RATE_LIMITED], [Failure.RATE_LIMITED], says("Yes."))
    )
    for _ in range(3):
        with pytest.raises(ProviderError):
            await chain.ask()
    assert await chain.ask() == "Yes."


async def test_an_empty_answer_to_a_caller_is_a_failure() -> None:
    chain = Chain(ScriptedModel("a", [DONE]), ScriptedModel("b", says("Sure.")))
    assert await chain.ask() == "Sure."
    assert chain.reports[0][:2] == ("a", Failure.MALFORMED)


async def test_an_empty_answer_to_a_tool_result_is_an_answer() -> None:
    call = ToolCall("c", "book", "{}")
    told = (UserMessage("hi"), AssistantMessage("I note it.", (call,)), ToolResult("c", "book", "ok"))
    chain = Chain(ScriptedModel("a", [DONE]))
    await chain.ask(LlmRequest("", told))
    assert chain.events == [DONE]


async def test_an_empty_answer_to_a_tool_result_is_a_failure_when_the_caller_was_told_nothing() -> None:
    silent = (UserMessage("hi"), AssistantMessage("", (ToolCall("c", "book", "{}"),)), ToolResult("c", "book", "ok"))
    chain = Chain(ScriptedModel("a", [DONE], says("It is noted.")))
    assert await chain.ask(LlmRequest("", silent)) == "It is noted."
    assert chain.reports == [("a", Failure.MALFORMED, "asks a a-1")]


@pytest.mark.parametrize(
    "nothing",
    ["\U0001f600", "**", "<|eot_id|>", "```py\nx\n```", '{"name": "book", "arguments": {}}', "[THINK]Hm.", "..."],
)
async def test_an_answer_of_which_nothing_can_be_said_is_asked_again(nothing: str) -> None:
    chain = Chain(ScriptedModel("a", says(*nothing), says("Sure.")))
    assert (await chain.ask()).removeprefix(nothing) == "Sure."
    assert chain.reports == [("a", Failure.MALFORMED, "asks a a-1")]


async def test_what_can_be_said_of_an_answer_is_no_question_to_an_analysis() -> None:
    chain = Chain(ScriptedModel("a", says('{"mood": ', '"good"}')))
    assert await chain.ask(replace(REQUEST, spoken=False)) == '{"mood": "good"}'
    assert chain.reports == []


async def test_words_before_a_call_as_text_are_continued_and_said_once() -> None:
    first = says("Let me look. ", '<tool_call>{"name": "book"}', "</tool_call>")
    chain = Chain(ScriptedModel("a", first, says("Let me look. ", "It is free.")))
    assert spoken(await chain.ask()) == "Let me look. It is free."
    assert chain.links[0].model.requests[1].messages[1] == AssistantMessage("Let me look.")  # type: ignore[attr-defined]


async def test_words_before_a_call_as_text_stand_when_no_model_does_better() -> None:
    chain = Chain(ScriptedModel("a", says("Let me look. ", "functions.book({})")))
    assert spoken(await chain.ask()) == "Let me look."
    assert isinstance(chain.events[-1], Finished)
    assert chain.asked == 2


@pytest.mark.promise("P5")
@pytest.mark.parametrize("begun", ["[THINK]They ", '<tool_call>{"na', "<|im_st", "```json\n{", "◁think▷Hm"])
async def test_machine_text_that_was_cut_off_leads_nobody_astray(begun: str) -> None:
    second = ScriptedModel("b", says("at nine."))
    chain = Chain(ScriptedModel("a", [TextDelta("We open "), TextDelta(begun), Failure.DROPPED]), second)
    await chain.ask()
    assert second.requests[0].messages[1] == AssistantMessage("We open")


async def test_leaving_the_answer_aborts_it_and_blames_nobody() -> None:
    model = ScriptedModel("a", [TextDelta("Sure"), None])
    chain = Chain(model)
    async with chain.chain.stream(REQUEST, str) as events:
        answer = aiter(events)
        assert [await anext(answer), await anext(answer)] == [Asked(), TextDelta("Sure")]
    assert model.left == 1
    assert chain.reports == []


async def test_words_that_trickle_in_do_not_keep_the_caller_waiting_when_another_model_is_there() -> None:
    trickling: list[Step] = [TextDelta("Su"), *[Trickle(0.04, TextDelta("r"))] * 20, DONE]
    first, second = ScriptedModel("a", trickling), ScriptedModel("b", says("Sure."))
    chain = Chain(first, second, settings=TRICKLED)
    chain.voice_has = lambda: ""
    await chain.ask()
    assert chain.reports == [("a", Failure.DEADLINE, "asks b b-1 after 0 characters were said")]


async def test_words_that_trickle_in_are_better_than_none() -> None:
    trickling: list[Step] = [TextDelta("Su"), *[Trickle(0.04, TextDelta("r"))] * 3, DONE]
    chain = Chain(ScriptedModel("a", trickling), settings=TRICKLED)
    chain.voice_has = lambda: ""
    assert (await chain.ask(), chain.reports) == ("Surrr", [])

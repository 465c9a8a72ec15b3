"""What a turn cost, also what was thrown away for it."""

from calliope.contracts.calls import TurnCommitted, TurnUsage
from calliope_call_worker.providers.llm.base import (
    AssistantMessage,
    Finished,
    LlmRequest,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    UserMessage,
    estimated_input_tokens,
    estimated_tokens,
)
from calliope_call_worker.providers.stt.base import Transcript, Word
from support.models import Trickle
from support.waiting import until
from support.whole_call import WholeCall, a_call

ANSWER = (TextDelta("We are open. "), Finished("stop", 120, 6))


def heard(text: str, end_ms: float, *, final: bool = False, eager: bool = False) -> Transcript:
    words = (Word(text, 0, end_ms),)
    return Transcript(text, is_final=final, speech_final=final, start_ms=0, end_ms=end_ms, words=words, eager=eager)


async def answered(call: WholeCall) -> TurnUsage:
    await until(lambda: [turn for turn in call.facts(TurnCommitted) if turn.user_text])
    usage: TurnUsage = next(turn.usage for turn in call.facts(TurnCommitted) if turn.user_text)
    return usage


async def test_an_answer_that_was_asked_for_once_costs_one_request() -> None:
    async with a_call(answers=ANSWER) as call:
        await call.hears(heard("are you open", 900, final=True))
        usage = await answered(call)
    assert (usage.llm_requests, usage.discarded_requests) == (1, 0)
    assert (usage.input_tokens, usage.output_tokens, usage.tokens_estimated) == (120, 6, False)


async def test_a_reply_that_was_prepared_and_thrown_away_is_paid_with_the_turn() -> None:
    async with a_call(
        answers=(Trickle(0.01, TextDelta("We are ")), Trickle(0.2, TextDelta("open. ")), ANSWER[1])
    ) as call:
        await call.hears(heard("are you open", 900, eager=True))
        await until(lambda: len(call.model.requests) == 1)
        await call.hears(heard("are you open tomorrow", 1_600, final=True))
        usage = await answered(call)
    assert (usage.llm_requests, usage.discarded_requests) == (1, 1)
    assert usage.discarded_input_tokens == estimated_input_tokens(call.model.requests[0])
    assert usage.tokens_estimated


async def test_a_prepared_reply_that_is_used_is_one_request() -> None:
    async with a_call(answers=ANSWER) as call:
        await call.hears(heard("are you open", 900, eager=True))
        await until(lambda: len(call.model.requests) == 1)
        await call.hears(heard("are you open", 900, final=True))
        usage = await answered(call)
    assert (usage.llm_requests, usage.discarded_requests, usage.tokens_estimated) == (1, 0, False)


def test_tokens_are_estimated_from_everything_that_the_model_is_told() -> None:
    bare = LlmRequest("Be kind.", (UserMessage("Hello"),))
    call = ToolCall("c1", "book", '{"day": "friday"}')
    more = LlmRequest(
        "Be kind.",
        (UserMessage("Hello"), AssistantMessage("One moment.", (call,)), ToolResult("c1", "book", "table seven")),
        tools=(ToolSpec("book", "Book a table.", {"type": "object"}),),
    )
    assert estimated_input_tokens(bare) == 4
    assert estimated_input_tokens(more) > estimated_input_tokens(bare) + 15


def test_an_empty_text_has_no_tokens_and_a_short_one_has_one() -> None:
    assert [estimated_tokens(text) for text in ("", "a", "four", "fives", "\u4f60\u597d")] == [0, 1, 1, 2, 2]

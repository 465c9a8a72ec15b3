"""A model that is late while nobody stands in for it: the caller is asked to wait, and then gets the answer."""

from typing import Any, Final

import pytest

from calliope.contracts.calls import CallEnded, EndReason, ProviderFailed, TurnCommitted, TurnKind
from calliope_call_worker.providers.llm.base import Finished, TextDelta, ToolCall
from calliope_call_worker.providers.stt.base import Transcript
from support.models import Step, Trickle
from support.virtual_time import in_virtual_time
from support.waiting import until
from support.whole_call import WholeCall, a_call

pytestmark = pytest.mark.promise("P5")
HELLO: Final = Transcript("Hello?", True, True, 0, 900)
AGAIN: Final = Transcript("Hello again?", True, True, 1_000, 1_900)
STOP: Final = Transcript("No wait, stop!", True, True, 9_000, 9_300)
AT_ONCE: Final = {"interruption_threshold": 1, "min_speaking_time": 0, "interruption_cooldown": 0.1}
WAIT: Final = "One moment, please."
DONE: Final = Finished("stop")
ENDING: Final[dict[str, Any]] = {"tools_settings": {"end_call": {"enabled": True}}}


def answering(after_s: float) -> list[Step]:
    """An answer that begins so late."""
    return [Trickle(after_s, TextDelta("We are open. ")), DONE]


def turns(call: WholeCall) -> list[tuple[TurnKind, str]]:
    return [(turn.kind, turn.assistant_text) for turn in call.facts(TurnCommitted)]


async def asked(call: WholeCall) -> None:
    """Until the caller's question is answered."""
    await call.hears(HELLO)
    await until(lambda: call.facts(TurnCommitted))


@pytest.mark.parametrize(
    ("after_s", "document", "said"),
    [
        (1.2, {}, "We are open."),
        (1.4, {}, f"{WAIT} We are open."),
        (4.9, {}, f"{WAIT} We are open."),
        (4.9, {"stt_settings": {"language": "es"}}, "Un momento, por favor. We are open."),
        (4.9, {"messages": {"please_wait": "Let me see."}}, "Let me see. We are open."),
    ],
)
@in_virtual_time
async def test_who_waits_for_the_only_model_is_told_and_gets_the_answer(
    after_s: float, document: dict[str, Any], said: str
) -> None:
    async with a_call(answers=answering(after_s), **document) as call:
        await asked(call)
    assert turns(call) == [(TurnKind.REPLY, said)]
    assert not call.facts(ProviderFailed)


@in_virtual_time
async def test_who_waited_in_vain_hears_an_apology_and_at_the_second_time_a_goodbye() -> None:
    async with a_call(answers=[None]) as call:
        await asked(call)
        await call.hears(AGAIN)
        await call.over()
    kinds, words = zip(*turns(call), strict=True)
    assert kinds[0] is TurnKind.APOLOGY
    assert words[0].startswith(f"{WAIT} I am sorry")
    assert call.facts(CallEnded)[0].reason is EndReason.PROVIDER_FAILED


@in_virtual_time
async def test_a_call_that_ends_without_another_word_ends_with_a_goodbye() -> None:
    late: list[Step] = [Trickle(3.0, ToolCall("t1", "end_call", "{}")), Finished("tool_calls")]
    async with a_call(answers=late, **ENDING) as call:
        await call.hears(HELLO)
        await call.over()
    assert turns(call) == [(TurnKind.REPLY, WAIT), (TurnKind.GOODBYE, "Thank you for calling. Goodbye.")]


@in_virtual_time
async def test_what_a_late_model_has_done_is_announced_all_the_same() -> None:
    late: list[Step] = [Trickle(3.0, ToolCall("t1", "transfer_call", '{"destination": "+15550003"}')), DONE]
    transfer = {"enabled": True, "transfer_numbers": ["+15550003"]}
    async with a_call(answers=late, tools_settings={"transfer_call": transfer}) as call:
        await call.hears(HELLO)
        await until(lambda: call.carrier.told)
    assert turns(call)[-1][1] == f"{WAIT} One moment please, I am connecting you."


@in_virtual_time
async def test_figures_of_a_late_answer_say_when_the_caller_was_asked_to_wait() -> None:
    async with a_call(answers=answering(4.5)) as call:
        await asked(call)
    (turn,) = call.facts(TurnCommitted)
    asked_ms, first_token_ms = turn.timings.asked_to_wait_ms, turn.timings.first_token_ms
    assert asked_ms is not None
    assert first_token_ms is not None
    assert first_token_ms - asked_ms == pytest.approx(3_200, abs=200)
    assert "first_token" not in turn.timings.waterfall
    assert sum(turn.timings.waterfall.values()) == pytest.approx(turn.timings.response_ms, abs=1.0)


@in_virtual_time
async def test_who_interrupts_the_wait_is_answered_instead() -> None:
    async with a_call(answers=answering(4.5), interruption_settings=AT_ONCE, plays_at_once=False) as call:
        await call.hears(HELLO)
        await until(lambda: f"{WAIT} " in call.tts.said)
        await call.hears(STOP)
        call.media.plays_on()
        await until(lambda: call.facts(TurnCommitted)[-1:] and len(call.model.requests) > 1)
        await until(lambda: "We are open." in turns(call)[-1][1])
    assert call.facts(TurnCommitted)[-1].user_text.endswith("stop!")

"""Whole turns: what is written for the eye or for machines is neither spoken nor kept, nor is it silence."""

from collections.abc import Sequence
from typing import Any

import pytest

from calliope.contracts.calls import TurnCommitted, TurnKind
from calliope_call_worker.providers.errors import Failure
from calliope_call_worker.providers.llm.base import Finished, TextDelta
from calliope_call_worker.providers.stt.base import Transcript, Word
from support.models import Step
from support.waiting import until
from support.whole_call import WholeCall, a_call

DONE = Finished("stop")

APOLOGY = "I am sorry, I have a technical problem. Please say that again."


def asks(text: str = "are you open") -> Transcript:
    words = (Word(text, 0, 900),)
    return Transcript(text, is_final=True, speech_final=True, start_ms=0, end_ms=900, words=words)


async def committed(call: WholeCall, count: int = 1) -> list[TurnCommitted]:
    await until(lambda: len(call.facts(TurnCommitted)) >= count)
    return call.facts(TurnCommitted)


@pytest.mark.parametrize(
    "written", ["\U0001f37d", '<function=hours>{"day": "monday"}</function>', "[thinking]They are rude."]
)
async def test_an_answer_without_a_word_is_asked_for_again_and_then_excused(written: str) -> None:
    answers: Sequence[Step] = (TextDelta(written), DONE)
    async with a_call(answers=answers) as call:
        await call.hears(asks())
        (turn,) = await committed(call)
    assert (turn.kind, turn.assistant_text) == (TurnKind.APOLOGY, APOLOGY)
    assert turn.usage.llm_requests == 2


async def test_the_history_holds_what_was_spoken() -> None:
    answer = (TextDelta("We serve [1] **sou"), TextDelta("p** today[2].<|im_"), TextDelta("end|>"), DONE)
    async with a_call(answers=answer) as call:
        await call.hears(asks())
        (turn,) = await committed(call)
        await call.hears(asks("and tomorrow"))
        await committed(call, 2)
    assert turn.assistant_text == "We serve soup today."
    assert [one.text for one in call.model.requests[1].messages] == [  # type: ignore[union-attr]
        "are you open",
        "We serve soup today.",
        "and tomorrow",
    ]
    assert "We serve soup today." in " ".join("".join(call.tts.said).split())


@pytest.mark.promise("P5")
async def test_a_model_that_dies_in_a_call_as_text_is_continued_aloud() -> None:
    dies: Sequence[Step] = [TextDelta("We open, "), TextDelta('[TOOL_CALLS]book[ARGS]{"day": "mo'), Failure.DROPPED]
    async with a_call(answers=dies) as call:
        call.model.then([TextDelta("as ever, at nine."), DONE])
        await call.hears(asks())
        (turn,) = await committed(call)
    assert turn.assistant_text == "We open, as ever, at nine."


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"llm_settings": {"welcome_message": "# _Good_ day\U0001f44b, **Ria** here"}}, "Good day, Ria here"),
        ({"llm_settings": {"welcome_message": "\U0001f44b"}}, ""),
    ],
)
async def test_a_written_welcome_is_spoken_and_kept_as_words(document: dict[str, Any], said: str) -> None:
    async with a_call(**document) as call:
        (turn,) = await committed(call)
    assert (turn.kind, turn.assistant_text) == (TurnKind.WELCOME, said)
    assert not [text for text in call.tts.said if "*" in text or "\U0001f44b" in text]


async def test_the_line_for_a_silent_caller_is_spoken_as_words() -> None:
    async with a_call(answers=[None], idle_timeout=1, idle_message="**Hello?** \U0001f914") as call:
        (turn,) = await committed(call)
    assert (turn.kind, turn.assistant_text) == (TurnKind.IDLE, "Hello?")

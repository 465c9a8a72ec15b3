"""What the caller says while the assistant is heard stands in the record of the turn, as what it was taken for."""

from calliope.contracts.calls import Interrupted, TurnCommitted
from calliope_call_worker.providers.llm.base import Finished, TextDelta
from calliope_call_worker.providers.stt.base import Transcript, Word
from support.waiting import until
from support.whole_call import WholeCall, a_call

QUICKLY = {"min_speaking_time": 0}


def heard(text: str, start_ms: float, *, final: bool = True) -> Transcript:
    words = tuple(Word(word, start_ms, start_ms + 200) for word in text.split())
    return Transcript(text, is_final=final, speech_final=final, start_ms=start_ms, end_ms=start_ms + 200, words=words)


async def speaking(call: WholeCall) -> None:
    """The caller asked, and hears the answer."""
    await call.hears(heard("Are you open?", 0))
    await until(lambda: "We are open until nine. " in call.tts.said)


def committed(call: WholeCall) -> TurnCommitted | None:
    return next((turn for turn in call.facts(TurnCommitted) if turn.user_text == "Are you open?"), None)


async def test_words_that_show_attention_stand_beside_the_turn_that_they_were_said_in() -> None:
    answer = (TextDelta("We are open until nine. "), Finished("stop"))
    async with a_call(answers=answer, plays_at_once=False, interruption_settings=QUICKLY) as call:
        await speaking(call)
        await call.hears(heard("Yeah, okay, great.", 60_000))
        await until(lambda: call.stt.connections[-1].idle)
        call.media.plays_on()
        await until(lambda: committed(call) is not None)
    turn = committed(call)
    assert turn is not None
    assert turn.backchannel == ("Yeah, okay, great.",)
    assert not turn.interrupted


async def test_an_interruption_says_whether_a_phrase_or_the_number_of_words_brought_it() -> None:
    answer = (TextDelta("We are open until nine. "), Finished("stop"))
    async with a_call(answers=answer, plays_at_once=False, interruption_settings=QUICKLY) as call:
        await speaking(call)
        await call.hears(heard("Hold on.", 60_000, final=False))
        await until(lambda: call.facts(Interrupted))
    (cut,) = call.facts(Interrupted)
    assert (cut.cause, cut.words) == ("phrase", 2)

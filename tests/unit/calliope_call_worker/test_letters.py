"""Whoever asks whether a voice can make sound of a text is told the same."""

import pytest

from calliope_call_worker.pipeline.letters import has_speech
from calliope_call_worker.providers.llm.base import LlmRequest, UserMessage
from calliope_call_worker.providers.llm.worth import Worth
from calliope_call_worker.providers.tts.alignment import Aligner
from calliope_call_worker.providers.tts.pieces import Pieces
from calliope_call_worker.providers.tts.progress import Progress


@pytest.mark.parametrize(
    ("text", "speech"),
    [
        *[(text, False) for text in ("_", "____", " ...! ", "—", "¿?", "")],
        *[(text, True) for text in ("5", "a_b", "é!", "नि", "はい。", "½")],
    ],
)
def test_what_can_be_spoken_is_one_question(text: str, speech: bool) -> None:
    progress = Progress(first_audio_s=1.0, stall_s=1.0)
    progress.say(text)
    aligner = Aligner()
    aligner.say(text)
    answer = Worth(LlmRequest("", (UserMessage("Hi"),)))
    answer.feed(text)
    answer.settle()
    told = (
        has_speech(text),
        progress.speakable,
        not aligner.complete,
        bool(Pieces(most_chars=100).add(text)),
        answer.useful,
    )
    assert told == (speech,) * 5

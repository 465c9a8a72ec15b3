"""A voice that does not fall silent, and repeats nothing that was played."""

import asyncio
from dataclasses import dataclass, field

import pytest

from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.settings import SpeakingSettings
from calliope_call_worker.providers.tts.base import SpeechStream, TextSpan
from calliope_call_worker.providers.tts.progress import SEAM_MS
from calliope_call_worker.providers.tts.resilient import NobodySpeaksError, ResilientTts
from support.virtual_time import in_virtual_time
from support.voices import BYTES_PER_CHAR, Fault, Late, TwinTts

TEXT = "Hello there, the table is booked. "
QUICK = SpeakingSettings(first_audio_deadline_s=0.03, stall_deadline_s=0.03, last_voice_deadline_s=0.03)


@dataclass
class Spoken:
    """What a reply came to."""

    audio: int = 0
    spans: list[TextSpan] = field(default_factory=list)
    reports: list[tuple[str, Failure, str]] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


async def play(stream: SpeechStream, spoken: Spoken) -> None:
    async for part in stream.audio():
        spoken.audio += len(part.audio)
        spoken.spans += part.spans


async def speak(
    *voices: TwinTts, pieces: tuple[str, ...] = (TEXT,), replies: int = 1, settings: SpeakingSettings = QUICK
) -> Spoken:
    spoken = Spoken()
    tts = ResilientTts(voices, settings, lambda e, action: spoken.reports.append((e.provider, e.failure, action)))
    async with asyncio.timeout(30), tts.connect("call_1") as session:
        for _ in range(replies):
            spoken.audio, spoken.spans = 0, []
            async with session.speak() as stream:
                for piece in pieces:
                    await stream.say(piece)
                await stream.finish()
                await play(stream, spoken)
    assert [(voice.open, voice.speaking) for voice in voices] == [(0, 0)] * len(voices)
    return spoken


async def test_a_good_voice_speaks_everything_once() -> None:
    spoken = await speak(TwinTts("a"), pieces=("Hello ", "there. "))
    assert (spoken.text, spoken.audio, spoken.reports) == ("Hello there. ", 13 * BYTES_PER_CHAR, [])


@pytest.mark.promise("P5")
@pytest.mark.parametrize("fault", [0, Failure.DROPPED])
async def test_a_silent_or_failing_voice_is_tried_once_more_on_a_fresh_connection(fault: Failure | int) -> None:
    voice = TwinTts("a", fault)
    spoken = await speak(voice)
    assert (spoken.text, voice.connected) == (TEXT, 2)
    assert [action for _, _, action in spoken.reports] == ["speaks again"]


@pytest.mark.promise("P5")
async def test_then_the_next_voice_speaks_and_keeps_the_call() -> None:
    first, second = TwinTts("a", Failure.DROPPED, Failure.DROPPED), TwinTts("b")
    spoken = await speak(first, second, replies=2)
    assert (spoken.text, first.connected, second.said) == (TEXT, 2, [TEXT, TEXT])
    assert [action for _, _, action in spoken.reports] == ["speaks again", "turns to b b-voice"]


async def test_a_silent_voice_is_not_waited_for_twice_when_there_is_another() -> None:
    first, second = TwinTts("a", 0), TwinTts("b")
    spoken = await speak(first, second)
    assert (spoken.text, first.connected) == (TEXT, 1)
    assert spoken.reports == [("a", Failure.DEADLINE, "turns to b b-voice")]


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "faults", [(Late(1.1),), (0, Late(1.9)), (Late(1.1), Late(1.9, 2)), (2, Late(1.9)), (0, Late(1.9, 3))]
)
@in_virtual_time
async def test_the_last_try_of_the_last_voice_may_take_its_time(faults: tuple[Fault, ...]) -> None:
    for voices in ([TwinTts("a", *faults)], [TwinTts("b", refuses=Failure.KEY), TwinTts("a", *faults)]):
        spoken = await speak(*voices, settings=SpeakingSettings())
        assert (spoken.text, voices[-1].connected) == (TEXT, 2)
        assert [report[1:] for report in spoken.reports[-1:]] == [(Failure.DEADLINE, "speaks again")]


@pytest.mark.parametrize("fault", [Late(2.1), Late(2.1, 2)])
@in_virtual_time
async def test_but_not_for_ever(fault: Fault) -> None:
    with pytest.raises(NobodySpeaksError):
        await speak(TwinTts("a", 0, fault), settings=SpeakingSettings())


@pytest.mark.promise("P5")
async def test_one_late_handshake_ends_no_call_whose_only_voice_it_is() -> None:
    voice = TwinTts("a", refuses=Failure.DEADLINE, refusals=1)
    spoken = await speak(voice)
    assert (spoken.text, spoken.reports) == (TEXT, [("a", Failure.DEADLINE, "speaks again")])


async def test_a_late_handshake_is_not_waited_for_twice_when_there_is_another_voice() -> None:
    first = TwinTts("a", refuses=Failure.DEADLINE)
    spoken = await speak(first, TwinTts("b"))
    assert (spoken.text, first.connected) == (TEXT, 1)


async def test_what_was_played_is_not_repeated_and_times_go_on() -> None:
    first = TwinTts("a", 2)
    spoken = await speak(first)
    assert first.said[1] == TEXT.removeprefix("Hello there, ")
    assert (spoken.text, spoken.audio) == (TEXT, len(TEXT) * BYTES_PER_CHAR + SEAM_MS * 8)
    starts = [span.start_ms for span in spoken.spans]
    assert starts == sorted(starts)
    assert spoken.spans[-1].end_ms == len(TEXT) * BYTES_PER_CHAR / 8 + SEAM_MS


async def test_a_voice_without_times_goes_on_about_where_it_was() -> None:
    line = "one two three four five six seven eight nine ten "
    untimed = TwinTts("a", 8, times_text=False)
    spoken = await speak(untimed, pieces=(line * 4,))
    assert 0 < len(untimed.said[1]) < len(line * 4)
    assert (line * 4).endswith(untimed.said[1])
    assert spoken.audio < len(line * 4) * BYTES_PER_CHAR * 1.5


async def test_a_fatal_failure_is_not_tried_again() -> None:
    first = TwinTts("a", Failure.QUOTA)
    assert (await speak(first, TwinTts("b"))).text == TEXT
    assert first.connected == 1


async def test_a_voice_that_cannot_be_reached_is_passed_over() -> None:
    spoken = await speak(TwinTts("a", refuses=Failure.KEY), TwinTts("b"))
    assert (spoken.text, spoken.reports) == (TEXT, [("a", Failure.KEY, "turns to b b-voice")])


@pytest.mark.parametrize("pieces", [(), ("... ",), ("  ", "- ")])
async def test_a_reply_without_speakable_text_is_a_success(pieces: tuple[str, ...]) -> None:
    voice = TwinTts("a", 0)
    spoken = await speak(voice, pieces=pieces)
    assert (spoken.audio, spoken.reports, voice.said) == (0, [], [])


async def test_when_every_voice_fails_the_reply_fails() -> None:
    with pytest.raises(ProviderError):
        await speak(TwinTts("a", 0, 0), TwinTts("b", 0, 0))


async def test_a_pause_of_the_model_is_not_a_stall() -> None:
    spoken, voice = Spoken(), TwinTts("a")
    tts = ResilientTts([voice], QUICK, lambda e, action: spoken.reports.append((e.provider, e.failure, action)))
    async with (
        asyncio.timeout(5),
        tts.connect("call_1") as session,
        session.speak() as stream,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(play(stream, spoken), name="play")
        await stream.say("Hello ")
        await asyncio.sleep(3 * QUICK.stall_deadline_s)  # the pause itself is what is tested
        await stream.say("there. ")
        await stream.finish()
    assert (spoken.text, spoken.reports, voice.connected) == ("Hello there. ", [], 1)


async def test_leaving_a_reply_early_leaves_the_voice_too() -> None:
    voice = TwinTts("a", 1)
    tts = ResilientTts([voice], SpeakingSettings(), lambda *_: None)
    async with asyncio.timeout(5), tts.connect("call_1") as session:
        async with session.speak() as stream:
            await stream.say(TEXT)
            await anext(aiter(stream.audio()))
        assert voice.speaking == 0

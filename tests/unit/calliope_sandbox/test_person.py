"""A caller on the line: hears what is played, says what the script wants, frame by frame and without any clock."""

import pytest

from calliope_sandbox.callers import MAX_WAITING, ScriptError, TooManyStepsError, parse
from calliope_sandbox.carrier_buffer import CarrierBuffer
from calliope_sandbox.person import FRAME_BYTES, FRAME_MS, Line, Person, Tick
from calliope_sandbox.tone_speech import Listener, speak

POLITE = [{"wait_for": "who is there"}, {"wait_for_silence_ms": 800}, {"say": "It is me."}]


def talk(person: Person, buffer: CarrierBuffer, *, ms: int, begin_ms: int = 0) -> tuple[list[Tick], list[Line]]:
    """Let time pass on the line."""
    ticks, lines = [], []
    for now_ms in range(begin_ms, begin_ms + ms, FRAME_MS):
        played, _ = buffer.take(FRAME_BYTES)
        tick, ended = person.tick(now_ms, played)
        ticks.append(tick)
        lines += ended
    return ticks, lines


def test_a_person_answers_what_was_heard() -> None:
    person, buffer = Person(parse(POLITE)), CarrierBuffer()
    buffer.add(speak("Who is there?").audio)

    ticks, lines = talk(person, buffer, ms=4_000)

    ear = Listener()
    said = [word.text for tick in ticks for word in ear.feed(tick.audio)]
    assert said == ["It", "is", "me."]
    assert [(line.side, line.text) for line in lines] == [("assistant", "Who is there?"), ("caller", "It is me.")]
    assert person.caller.failed is None


def test_a_person_says_it_again_when_asked_to_as_often_as_that_is() -> None:
    asked = {"heard": ["what", "say it again"], "say": "It is me."}
    person, buffer = Person(parse([{"wait_for": "come in", "if_asked": asked}])), CarrierBuffer()
    said: list[str] = []
    for turn, text in enumerate(["Could you say it again?", "Please say it again.", "Come in."]):
        buffer.add(speak(text).audio)
        _, lines = talk(person, buffer, ms=5_000, begin_ms=5_000 * turn)
        said += [line.text for line in lines if line.side == "caller"]
    assert said == ["It is me.", "It is me."]
    assert person.caller.done
    assert person.caller.failed is None


def test_a_clear_ends_what_is_heard_and_says_so() -> None:
    person, buffer = Person(parse([{"pause_ms": 60_000, "within_s": 100}])), CarrierBuffer()
    buffer.add(speak("One two three four five six").audio)
    talk(person, buffer, ms=600)

    buffer.clear()
    person.cut()
    _, lines = talk(person, buffer, ms=400, begin_ms=600)

    assert [(line.text, line.interrupted) for line in lines] == [("One two th", True)]


def test_a_word_that_the_end_of_the_line_cuts_short_was_heard_as_far_as_it_was_said() -> None:
    person, buffer = Person(parse([{"pause_ms": 60_000, "within_s": 100}])), CarrierBuffer()
    buffer.add(speak("One two three").audio)
    talk(person, buffer, ms=600)

    lines = person.finish(600)

    assert [word.text for word in person.heard] == ["One", "two", "th"]
    assert [line.text for line in lines] == ["One two th"]


def test_marks_that_are_passed_while_the_carrier_loses_them_never_come_back() -> None:
    buffer = CarrierBuffer()
    for number in range(4):
        buffer.add(bytes(FRAME_BYTES))
        buffer.mark(str(number))

    buffer.lose_marks(2.0 * FRAME_MS)

    assert [buffer.take(FRAME_BYTES)[1] for _ in range(4)] == [[], [], ["2"], ["3"]]


def test_an_interruption_comes_after_so_many_words_were_heard() -> None:
    script = parse([{"interrupt": {"after_words": 3, "say": "Wait"}}])
    person, buffer = Person(script), CarrierBuffer()
    buffer.add(speak("One two three four five six").audio)

    ticks, _ = talk(person, buffer, ms=1_800)

    first = next(index for index, tick in enumerate(ticks) if tick.voiced)
    assert [word.text for word in person.heard if word.end_ms <= first * FRAME_MS] == ["One", "two", "three"]


def test_a_step_that_takes_too_long_fails_and_hangs_up() -> None:
    person, buffer = Person(parse([{"wait_for": "never said", "within_s": 0.5}])), CarrierBuffer()

    ticks, _ = talk(person, buffer, ms=1_000)

    assert person.caller.failed is not None
    assert sum(tick.hangs_up for tick in ticks) == 1


def test_a_line_that_drops_before_the_script_ended_is_a_failure_unless_it_was_expected() -> None:
    waiting, expecting = Person(parse([{"wait_for": "hello"}])), Person(parse([{"expect_hang_up": True}]))
    for person in (waiting, expecting):
        person.tick(0, b"\xff" * FRAME_BYTES)
        person.finish(20)

    assert waiting.caller.failed == "the line dropped at step 1 (wait_for)"
    assert expecting.caller.failed is None


def test_a_line_that_drops_before_anybody_answered_is_what_the_script_may_expect() -> None:
    ringing = Person(parse([{"expect_hang_up": True}]))

    ringing.finish(0)

    assert ringing.caller.failed is None
    assert [step.outcome for step in ringing.caller.outcomes] == ["done"]


def test_marks_come_back_when_what_was_before_them_was_played() -> None:
    buffer = CarrierBuffer()
    assert buffer.mark("nothing before") == ["nothing before"]
    buffer.add(b"\x01" * 400)
    assert buffer.mark("first") == []
    buffer.add(b"\x02" * 100)
    assert buffer.mark("second") == []

    assert buffer.take(160)[1] == []
    assert buffer.take(160)[1] == []
    assert buffer.take(160) == (b"\x01" * 80 + b"\x02" * 80, ["first"])
    assert buffer.clear() == ["second"]
    assert buffer.take(160) == (b"\xff" * 160, [])
    buffer.add(b"\x03" * 160)
    assert buffer.mark("after the clear") == []
    assert buffer.take(160) == (b"\x03" * 160, ["after the clear"])


def test_an_ear_finds_its_pace_again_after_a_symbol_was_cut_short() -> None:
    """A cut makes one short run; the symbols after it must not be taken for two each."""
    ear = Listener()
    cut = speak("One two").audio[: 5 * 480 + 200]

    words = ear.feed(cut + b"\xff" * 1_600 + speak("booked and settled").audio + b"\xff" * 800)

    assert [word.text for word in words][-3:] == ["booked", "and", "settled"]


def test_steps_that_are_added_while_the_call_goes_on_are_followed() -> None:
    person, buffer = Person(parse([])), CarrierBuffer()
    talk(person, buffer, ms=60_000)

    person.caller.add(parse([{"pause_ms": 200, "within_s": 1}, {"say": "Still there"}]))
    ticks, lines = talk(person, buffer, ms=4_000, begin_ms=60_000)

    assert [line.text for line in lines] == ["Still there"]
    assert next(index for index, tick in enumerate(ticks) if tick.voiced) * FRAME_MS >= 200 - FRAME_MS
    assert person.caller.failed is None


def test_a_caller_who_is_left_without_steps_hangs_up_after_the_time_it_was_given() -> None:
    person, buffer = Person(parse([{"pause_ms": 1_000}]), idle_ms=2_000), CarrierBuffer()

    early, _ = talk(person, buffer, ms=2_900)
    person.caller.add(parse([{"pause_ms": 100}]))
    later, _ = talk(person, buffer, ms=3_000, begin_ms=2_900)

    assert not any(tick.hangs_up for tick in early)
    hung_up = [number * FRAME_MS + 2_900 for number, tick in enumerate(later) if tick.hangs_up]
    assert len(hung_up) == 1
    assert 5_000 <= hung_up[0] <= 5_100
    assert person.caller.failed == "nothing was left to do for 2 s"


def test_steps_that_wait_are_bounded() -> None:
    person = Person(parse([]))
    person.caller.add(parse([{"say": "again"}] * MAX_WAITING))

    with pytest.raises(TooManyStepsError, match=f"{MAX_WAITING} steps wait already"):
        person.caller.add(parse([{"say": "one more"}]))


def test_a_patient_caller_speaks_after_a_while_although_nobody_answered() -> None:
    script = [{"wait_for_silence_ms": 300, "patience_s": 2}, {"say": "Hello?"}]
    person, buffer = Person(parse(script)), CarrierBuffer()

    ticks, _ = talk(person, buffer, ms=4_000)

    first = next(index for index, tick in enumerate(ticks) if tick.voiced) * FRAME_MS
    assert 2_000 <= first <= 2_200


def test_patience_begins_anew_with_each_sound_and_ends_when_it_was_an_answer() -> None:
    script = [{"wait_for_silence_ms": 300, "patience_s": 2}, {"say": "Hello?"}]
    person, buffer = Person(parse(script)), CarrierBuffer()
    buffer.add(speak("This takes longer than two seconds to say, so it does").audio)

    ticks, lines = talk(person, buffer, ms=8_000)

    first = next(index for index, tick in enumerate(ticks) if tick.voiced) * FRAME_MS
    heard_until_ms = next(line.end_ms for line in lines if line.side == "assistant")
    assert heard_until_ms + 300 - FRAME_MS <= first <= heard_until_ms + 700


@pytest.mark.parametrize(
    "step",
    [
        {"say": "x", "patience_s": 1},
        {"wait_for": "x", "if_asked": {"heard": [" "], "say": "y"}},
        {"wait_for": "x", "within_s": "soon"},
    ],
)
def test_a_step_with_what_does_not_belong_there_is_refused(step: dict[str, object]) -> None:
    with pytest.raises(ScriptError):
        parse([step])

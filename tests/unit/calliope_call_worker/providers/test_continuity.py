"""One audio clock over several connections."""

from dataclasses import replace
from itertools import pairwise

from calliope_call_worker.pipeline.voice_activity import is_voiced
from calliope_call_worker.providers.stt.base import SpeechStarted, Transcript, UtteranceEnded, Word
from calliope_call_worker.providers.stt.continuity import Continuity, VoiceWatch

SECOND = 8_000
VOICE = b"\x80\x00" * 4_000
SILENCE = b"\xff" * SECOND


def a_continuity() -> Continuity:
    return Continuity(replay_ms=10_000, late_replay_ms=5_000)


def final(text: str, start_ms: float, end_ms: float, *words: Word) -> Transcript:
    return Transcript(text, True, False, start_ms, end_ms, words)


def replayed(audio: Continuity) -> bytes:
    return b"".join(iter(lambda: audio.next_unsent(2_000), b""))


def test_loud_audio_is_voiced_and_line_noise_is_not() -> None:
    assert is_voiced(VOICE[:160])
    assert not is_voiced(SILENCE[:160])
    assert not is_voiced(bytes([0xFE, 0x7E, 0xF0, 0x70] * 40))


def test_what_no_final_covers_is_replayed() -> None:
    audio = a_continuity()
    audio.add(VOICE * 3)
    audio.passed_on()
    audio.continued(final("one", 0, 1_000, Word("one", 100, 900)))
    assert audio.reconnected(0.1) == 2_000
    assert replayed(audio) == VOICE * 2


def test_times_go_on_after_a_reconnect() -> None:
    audio = a_continuity()
    audio.add(VOICE * 3)
    audio.continued(final("one", 0, 1_000, Word("one", 100, 900)))
    audio.reconnected(0.1)
    heard = audio.continued(final("two", 0, 1_000, Word("two", 100, 900)))
    assert heard == final("two", 1_000, 2_000, Word("two", 1_100, 1_900))
    assert audio.continued(SpeechStarted(0)) == SpeechStarted(1_000)
    assert audio.continued(UtteranceEnded(900)) == UtteranceEnded(1_900)
    assert audio.continued(UtteranceEnded(-1)) == UtteranceEnded(-1)


def test_a_second_drop_counts_from_the_finals_of_both_connections() -> None:
    audio = a_continuity()
    audio.add(VOICE * 4)
    audio.continued(final("one", 0, 1_000))
    audio.reconnected(0.1)
    audio.continued(final("two", 0, 1_000))
    assert audio.reconnected(0.1) == 2_000
    heard = audio.continued(final("three", 0, 500))
    assert heard == final("three", 2_000, 2_500)


def test_a_word_that_was_final_before_is_not_said_again() -> None:
    audio = a_continuity()
    audio.add(VOICE * 3)
    audio.continued(final("a table", 0, 1_000, Word("a", 100, 200), Word("table", 300, 1_150)))
    audio.reconnected(0.1)
    heard = audio.continued(
        final("able for two", 0, 1_000, Word("able", 0, 140), Word("for", 200, 400), Word("two", 500, 900))
    )
    assert isinstance(heard, Transcript)
    assert heard.text == "for two"
    assert [word.text for word in heard.words] == ["for", "two"]


def test_after_a_long_gap_only_the_newest_audio_is_replayed() -> None:
    audio = a_continuity()
    audio.add(VOICE * 8)
    assert audio.reconnected(4.0) == 5_000


def test_no_more_than_the_ring_holds_is_replayed() -> None:
    audio = a_continuity()
    for _ in range(30):
        audio.add(VOICE)
    assert audio.reconnected(0.1) == 10_000
    assert audio.sent_ms == 30_000
    assert audio.continued(final("x", 0, 500)) == final("x", 20_000, 20_500)


def test_silence_before_the_words_is_not_replayed() -> None:
    audio = a_continuity()
    audio.add(SILENCE * 5 + VOICE)
    assert audio.reconnected(0.1) == 1_300
    assert audio.continued(final("x", 300, 800)) == final("x", 5_000, 5_500)


def interim(*words: Word) -> Transcript:
    return Transcript(" ".join(word.text for word in words), False, False, 0, words[-1].end_ms, words)


def test_words_too_old_to_be_heard_again_stay_as_they_were_heard() -> None:
    audio = a_continuity()
    audio.add(VOICE * 12)
    early, across, late = Word("one", 500, 900), Word("two", 1_800, 2_300), Word("three", 2_400, 2_900)
    audio.continued(interim(early, across, late))
    assert audio.reconnected(0.1) == 10_000
    assert audio.out_of_reach() == Transcript("one two", True, False, 0, 2_000, (early, across))
    heard = audio.continued(final("wo three", 0, 1_000, Word("wo", 0, 300), Word("three", 400, 900)))
    assert heard == Transcript("three", True, False, 2_000, 3_000, (late,))


def test_words_that_will_be_heard_again_are_not_said_twice() -> None:
    audio = a_continuity()
    audio.add(VOICE * 3)
    audio.continued(final("one", 0, 1_000, Word("one", 100, 900)))
    audio.continued(replace(interim(Word("two", 1_100, 1_900)), start_ms=1_000))
    audio.reconnected(0.1)
    assert audio.out_of_reach() is None


def test_words_without_times_are_kept_whole_when_some_are_out_of_reach() -> None:
    audio = a_continuity()
    audio.add(VOICE * 12)
    audio.continued(Transcript("one two three", False, False, 0, 12_000, eager=True))
    audio.reconnected(0.1)
    assert audio.out_of_reach() == Transcript("one two three", True, False, 0, 12_000)
    assert audio.out_of_reach() is None


def test_audio_that_came_while_there_was_no_connection_is_sent_once() -> None:
    audio = a_continuity()
    audio.add(VOICE)
    audio.passed_on()
    audio.reconnected(0.1)
    assert replayed(audio) == VOICE
    audio.add(VOICE[:160])
    assert replayed(audio) == VOICE[:160]


def test_speech_without_an_answer_is_noticed() -> None:
    watch = VoiceWatch(2.5, pause_s=1.2)
    assert not any(watch.sent(VOICE[:800], now / 10) for now in range(26))
    assert watch.sent(SILENCE[:800], 2.6)


def test_once_the_caller_pauses_an_answer_is_due_sooner() -> None:
    watch = VoiceWatch(2.5, pause_s=1.2)
    assert not any(watch.sent(VOICE[:800], now / 10) for now in range(5))
    assert not any(watch.sent(SILENCE[:800], now / 10) for now in range(5, 16))
    assert watch.sent(SILENCE[:800], 1.7)


def test_words_that_were_begun_and_never_ended_are_noticed() -> None:
    watch = VoiceWatch(2.5, pause_s=1.2)
    assert not watch.sent(VOICE[:800], 0.0)
    watch.heard(0.1, unfinished=True)
    assert not any(watch.sent(SILENCE[:800], now / 10) for now in range(1, 14))
    assert watch.sent(SILENCE[:800], 1.4)
    assert not watch.sent(SILENCE[:800], 9.0)


def test_silence_and_answered_speech_are_no_reason() -> None:
    watch = VoiceWatch(2.5, pause_s=1.2)
    assert not any(watch.sent(SILENCE[:800], now / 10) for now in range(100))
    for now in range(100):
        assert not watch.sent(VOICE[:800], 10 + now / 10)
        watch.heard(10 + now / 10)


def test_noise_that_never_gives_words_is_given_more_patience_each_time() -> None:
    watch = VoiceWatch(2.5, pause_s=1.2)
    noticed = [now / 10 for now in range(600) if watch.sent(VOICE[:800], now / 10)]
    assert [round(later - sooner) for sooner, later in pairwise(noticed)][:3] == [5, 10, 20]

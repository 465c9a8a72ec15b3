"""Whether the caller's audio holds a voice."""

from calliope_call_worker.pipeline.voice_activity import VoiceActivity, VoiceChange

VOICE = b"\x80" * 160
QUIET = b"\xff" * 160


def changes(*frames: bytes) -> list[VoiceChange]:
    activity = VoiceActivity()
    return [change for frame in frames if (change := activity.frame(frame)) is not None]


def test_a_line_that_begins_quiet_is_quiet_from_its_first_frame() -> None:
    assert changes(*[QUIET] * 5) == [VoiceChange(False, 0.0)]


def test_a_pause_is_told_once_with_the_position_of_the_last_voice() -> None:
    assert changes(*[VOICE] * 10, *[QUIET] * 20) == [VoiceChange(True, 0.0), VoiceChange(False, 200.0)]


def test_the_closure_of_a_consonant_is_no_pause() -> None:
    assert changes(*[VOICE] * 10, *[QUIET] * 4, *[VOICE] * 10) == [VoiceChange(True, 0.0)]


def test_a_click_is_no_voice() -> None:
    assert changes(*[QUIET] * 10, VOICE, *[QUIET] * 10) == [VoiceChange(False, 0.0)]


def test_frames_of_any_length_are_judged_alike() -> None:
    audio = VOICE * 10 + QUIET * 20
    pieces = [audio[at : at + 80] for at in range(0, len(audio), 80)]
    assert changes(*pieces) == [VoiceChange(True, 0.0), VoiceChange(False, 200.0)]

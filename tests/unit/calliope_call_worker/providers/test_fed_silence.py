"""Times of a stream into which silence was fed."""

from calliope_call_worker.providers.stt.fed_silence import MAX_GAPS, FedSilence


def a_stream(*parts: int) -> FedSilence:
    """ms of audio, silence, audio, …"""
    silence = FedSilence()
    for at, length_ms in enumerate(parts):
        (silence.fed if at % 2 else silence.audio)(length_ms * 8)
    return silence


def test_without_silence_times_are_as_they_are() -> None:
    assert a_stream(1_000).caller_ms(700) == 700


def test_what_comes_after_a_gap_is_earlier_on_the_callers_clock() -> None:
    silence = a_stream(1_000, 500, 1_000, 250, 1_000)
    assert [silence.caller_ms(at) for at in (900, 1_500, 2_400, 2_750, 3_000)] == [900, 1_000, 1_900, 2_000, 2_250]


def test_inside_a_gap_the_callers_clock_stands_still() -> None:
    silence = a_stream(1_000, 500, 1_000)
    assert [silence.caller_ms(at) for at in (1_000, 1_200, 1_500)] == [1_000, 1_000, 1_000]


def test_a_long_hold_is_one_gap() -> None:
    silence = a_stream(1_000)
    for _ in range(1_000):
        silence.fed(4_000)
    silence.audio(8_000)
    assert silence.caller_ms(501_400) == 1_400


def test_old_gaps_may_be_forgotten() -> None:
    silence = a_stream(*[100, 50] * (MAX_GAPS + 10), 1_000)
    total_ms = 100 * (MAX_GAPS + 10)
    assert silence.caller_ms(total_ms * 1.5 + 400) == total_ms + 400

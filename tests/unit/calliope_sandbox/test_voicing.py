"""When the streaming voice speaks what."""

from dataclasses import dataclass

from calliope_sandbox.voicing import TextBuffer, chunks


@dataclass(frozen=True)
class Timed:
    """A character and its place."""

    char: str
    start_ms: float
    end_ms: float


def test_text_waits_for_the_schedule_unless_flushed() -> None:
    buffer = TextBuffer()

    assert buffer.add("Short. ") is None
    assert buffer.flush() == "Short. "
    assert buffer.add("x" * 159) is None
    assert buffer.add("x") == "x" * 160


def test_auto_mode_speaks_what_comes() -> None:
    assert TextBuffer(auto=True).add("A sentence. ") == "A sentence. "


def test_blanks_are_not_spoken() -> None:
    buffer = TextBuffer(auto=True)

    assert buffer.add(" ") is None
    assert buffer.add("Word. ") == "Word. "


def test_chunks_hold_all_audio_and_all_text_and_count_from_their_own_start() -> None:
    text = "Hello there, how are you?"
    timed = [Timed(char, 60.0 * n, 60.0 * (n + 1)) for n, char in enumerate(text)]
    audio = bytes(range(256)) * 100
    audio = audio[: 60 * 8 * len(text) + 80]

    cut = list(chunks(audio, timed, first_ms=200, chunk_ms=500))

    assert b"".join(chunk.audio for chunk in cut) == audio
    assert "".join(char for chunk in cut for char in chunk.chars) == text
    assert [chunk.starts_ms[0] for chunk in cut] == [0] * len(cut)
    assert len(cut[0].chars) == 4
    assert all(sum(chunk.durations_ms) <= chunk.duration_ms for chunk in cut)

"""The call to listen to: every line is audible on its side, at its time."""

import array
import wave
from pathlib import Path
from typing import Any

from calliope_local.voice_over import SAMPLE_RATE_HZ, write


def line(side: str, text: str, start_ms: float, end_ms: float, *, interrupted: bool = False) -> dict[str, Any]:
    return {"side": side, "text": text, "start_ms": start_ms, "end_ms": end_ms, "interrupted": interrupted}


def loudest(samples: "array.array[int]", begin_s: float, end_s: float) -> int:
    return max(map(abs, samples[round(begin_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]), default=0)


def test_each_side_speaks_on_its_channel_at_its_time_and_stops_where_it_was_cut(tmp_path: Path) -> None:
    lines = [
        line("assistant", "We are open from nine to six, Monday to Saturday", 0, 1_500, interrupted=True),
        line("caller", "Sorry, can I book a table?", 2_000, 4_000),
    ]

    seconds = write(lines, tmp_path / "call.wav")

    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, SAMPLE_RATE_HZ)
        both = array.array("h", file.readframes(file.getnframes()))
    caller, assistant = both[0::2], both[1::2]
    assert len(caller) == round(seconds * SAMPLE_RATE_HZ)
    assert loudest(assistant, 0, 1.5) > 3_000
    assert loudest(assistant, 1.51, seconds) == 0
    assert loudest(caller, 0, 1.99) == 0
    assert loudest(caller, 2, 4) > 3_000

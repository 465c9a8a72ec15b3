"""The demonstration call as a WAV to listen to: its lines, at their times, spoken by espeak voices.

On the line itself the caller and the voice twin speak tones, which machines understand; this is for human ears. Caller
left, assistant right; a line that was interrupted is cut where it was cut in the call.
"""

import array
import ctypes
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import espeakng_loader

SAMPLE_RATE_HZ: Final = 22_050  # espeak's own
VOICES: Final = {"caller": b"en-us+f3", "assistant": b"en-gb"}
USUAL_WPM: Final = 175
SLOWEST_WPM: Final = 120
FASTEST_WPM: Final = 280
TAIL_S: Final = 0.5
_RETRIEVAL: Final = 1  # audio comes to our callback, nothing is played
_RATE: Final = 1  # espeakRATE
_UTF8: Final = 1
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class VoiceOverError(RuntimeError):
    """espeak cannot be used on this machine."""


class Espeak:
    """The espeak-ng library of the Python package; not thread-safe, one per process."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as exc:
            raise VoiceOverError(f"espeak-ng does not load: {exc}") from exc
        rate = self._library.espeak_Initialize(_RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0)
        if rate != SAMPLE_RATE_HZ:
            raise VoiceOverError(f"espeak-ng does not start: {rate}")
        self._samples = array.array("h")
        self._callback = _Callback(self._take)  # kept, or it is collected while the library holds it
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: bytes, wpm: int) -> "array.array[int]":
        """16 bit samples, mono."""
        self._samples = array.array("h")
        self._library.espeak_SetVoiceByName(voice)
        self._library.espeak_SetParameter(_RATE, wpm, 0)
        said = text.encode()
        self._library.espeak_Synth(said, len(said) + 1, 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        return self._samples

    def _take(self, samples: Any, count: int, _events: int | None) -> int:
        if samples and count > 0:
            self._samples.extend(samples[:count])
        return 0


def write(lines: Sequence[dict[str, Any]], file: Path) -> float:
    """Write the talk; its length in seconds. Raises: VoiceOverError."""
    espeak = Espeak()
    end_s = max((line["end_ms"] for line in lines), default=0.0) / 1_000 + TAIL_S
    sides = {side: array.array("h", bytes(2 * round(end_s * SAMPLE_RATE_HZ))) for side in VOICES}
    for line in lines:
        spoken = _fitting(espeak, line)
        begin = round(line["start_ms"] / 1_000 * SAMPLE_RATE_HZ)
        side = sides[line["side"]]
        count = min(len(spoken), len(side) - begin)
        side[begin : begin + count] = spoken[:count]
    file.parent.mkdir(parents=True, exist_ok=True)
    stereo = array.array("h", bytes(4 * len(sides["caller"])))
    stereo[0::2], stereo[1::2] = sides["caller"], sides["assistant"]
    with wave.open(str(file), "wb") as output:
        output.setnchannels(2)
        output.setsampwidth(2)
        output.setframerate(SAMPLE_RATE_HZ)
        output.writeframes(stereo.tobytes())
    return end_s


def _fitting(espeak: Espeak, line: dict[str, Any]) -> "array.array[int]":
    """The line at the pace it had in the call, as far as a voice can."""
    voice, wanted = VOICES[line["side"]], (line["end_ms"] - line["start_ms"]) / 1_000 * SAMPLE_RATE_HZ
    usual = espeak.speak(line["text"], voice, USUAL_WPM)
    if wanted <= 0 or not usual:
        return usual
    pace = max(SLOWEST_WPM, min(FASTEST_WPM, round(USUAL_WPM * len(usual) / wanted)))
    spoken = espeak.speak(line["text"], voice, pace)
    return spoken[: round(wanted)] if line["interrupted"] else spoken

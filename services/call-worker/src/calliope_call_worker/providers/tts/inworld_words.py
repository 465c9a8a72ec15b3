"""The words of Inworld's protocol: messages to it, its times in both forms, its failures, its voices. Pure."""

import binascii
from collections.abc import Sequence
from typing import Any, Final

from calliope_call_worker.providers.errors import Failure
from calliope_call_worker.providers.tts.riff import without_header

NAME: Final = "inworld"
MOST_CHARS: Final = 1_000  # in one send_text
_VOICES: Final = (
    "alex ashley blake carter clive craig deborah dennis dominus edward elizabeth hades hana julia luna mark olivia"
    " pixie priya ronald sarah shaun theodore timothy wendy"
)
NICKNAMES: Final = {name: name.capitalize() for name in _VOICES.split()}
_NOT_FOUND: Final = 5
_FAILURES: Final = {  # gRPC codes
    3: Failure.REFUSED,
    4: Failure.DEADLINE,
    _NOT_FOUND: Failure.REFUSED,
    7: Failure.KEY,
    8: Failure.RATE_LIMITED,
    9: Failure.REFUSED,
    16: Failure.KEY,
}
_Times = tuple[list[str], list[float], list[float]]


def create(context: str, *, voice: str, model: str, language: str | None) -> dict[str, Any]:
    """Opens a context."""
    options: dict[str, Any] = {
        "voiceId": voice,
        "modelId": model,
        "audioConfig": {"audioEncoding": "MULAW", "sampleRateHertz": 8_000},
        "timestampType": "WORD",
    }
    if language is not None:
        options["language"] = language
    return {"create": options, "contextId": context}


def speak(context: str, text: str) -> dict[str, Any]:
    """A piece of text, to be spoken at once."""
    return {"send_text": {"text": text, "flush_context": {}}, "contextId": context}


def close(context: str) -> dict[str, Any]:
    """Its place becomes free; what was flushed may still be spoken."""
    return {"close_context": {}, "contextId": context}


def voices_of(page: dict[str, Any]) -> set[str]:
    """The ids on a page of the list of voices."""
    return {str(one.get("voiceId")) for one in page.get("voices") or () if isinstance(one, dict)}


def failure_of(status: dict[str, Any] | None) -> tuple[Failure, str] | None:
    """Class and text of a status or an error that is not ok."""
    code = int((status or {}).get("code") or 0)
    return (_FAILURES.get(code, Failure.ERROR), f"code {code}") if code else None


def is_not_found(error: dict[str, Any] | None) -> bool:
    """Whether it is about something that is not there, as a context is that was closed a moment ago."""
    return (error or {}).get("code") == _NOT_FOUND


def audio_of(chunk: dict[str, Any]) -> bytes:
    """The samples of a chunk; some answers bear a header on every one. Raises: ValueError."""
    return without_header(binascii.a2b_base64(chunk.get("audioContent") or ""))


def times_of(chunk: dict[str, Any]) -> _Times:
    """Characters, their starts and durations in ms since the last flush; empty when the chunk has none."""
    info = chunk.get("timestampInfo") or {}
    if times := info.get("characterAlignment"):
        starts, ends = _ms(times["characterStartTimeSeconds"]), _ms(times["characterEndTimeSeconds"])
        return list(times["characters"]), starts, [end - start for start, end in zip(starts, ends, strict=True)]
    if times := info.get("wordAlignment"):
        return _of_words(times["words"], _ms(times["wordStartTimeSeconds"]), _ms(times["wordEndTimeSeconds"]))
    return [], [], []


def _of_words(words: Sequence[str], starts_ms: Sequence[float], ends_ms: Sequence[float]) -> _Times:
    """Words as characters at an even pace, a blank of no length behind each."""
    times: _Times = ([], [], [])
    chars, starts, durations = times
    for word, start_ms, end_ms in zip(words, starts_ms, ends_ms, strict=True):
        each_ms = (end_ms - start_ms) / max(1, len(word))
        for at, char in enumerate(word):
            chars.append(char)
            starts.append(start_ms + at * each_ms)
            durations.append(each_ms)
        chars.append(" ")
        starts.append(end_ms)
        durations.append(0.0)
    return times


def _ms(seconds: Sequence[float]) -> list[float]:
    return [1_000 * one for one in seconds]

"""The words of Resemble's protocol: a request for a sentence, the times and the errors of its answers. Pure."""

import binascii
from typing import Any, Final

from calliope_call_worker.providers.errors import Failure, failure_of_status

NAME: Final = "resemble"
MOST_CHARS: Final = 3_000  # in one request


def speak(request: int, text: str, *, voice: str, project: str | None, model: str | None) -> dict[str, Any]:
    """A sentence to speak."""
    message: dict[str, Any] = {
        "voice_uuid": voice,
        "data": text,
        "request_id": request,
        "binary_response": False,
        "output_format": "wav",
        "sample_rate": 8_000,
        "precision": "MULAW",
        "no_audio_header": True,
    }
    if project is not None:
        message["project_uuid"] = project
    if model is not None:
        message["model"] = model
    return message


def error_of(message: dict[str, Any]) -> tuple[Failure, str]:
    """Class and name of an error."""
    name, status = str(message.get("error_name") or "error")[:80], int(message.get("status_code") or 500)
    return failure_of_status(status), f"{name} {status}"


def audio_of(message: dict[str, Any]) -> bytes:
    """The audio of a message, with its header if it has one. Raises: ValueError."""
    return binascii.a2b_base64(message.get("audio_content") or "")


def times_of(message: dict[str, Any]) -> tuple[list[str], list[float], list[float]]:
    """Characters, their starts and durations in ms; empty when the message has none."""
    times = message.get("audio_timestamps") or {}
    spans = times.get("graph_times") or []
    starts = [1_000 * span[0] for span in spans]
    return list(times.get("graph_chars") or []), starts, [1_000 * (span[1] - span[0]) for span in spans]

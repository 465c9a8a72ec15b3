"""The words of ElevenLabs' protocol: messages to it, the variants of its answers, its voices by nickname. Pure."""

import binascii
from collections.abc import Sequence
from typing import Any, Final

import orjson

from calliope_call_worker.providers.errors import Failure

NAME: Final = "elevenlabs"
NICKNAMES: Final = {
    "rachel": "21m00Tcm4TlvDq8ikWAM",
    "domi": "AZnzlk1XvdvUeBnXmlld",
    "bella": "EXAVITQu4vr4xnSDxMaL",
    "antoni": "ErXwobaYiN019PkySvjV",
    "elli": "MF3mGyEYCl7XYWbV9V6O",
    "eli": "MF3mGyEYCl7XYWbV9V6O",
    "josh": "TxGEqnHWrfWFTfGW9XjX",
    "arnold": "VR6AewLTigWG4xSOukaG",
    "adam": "pNInz6obpgDQGcFmaJgB",
    "sam": "yoZ06aMxZJJ28mfd3POQ",
}
MODEL_NICKNAMES: Final = {
    "flash": "eleven_flash_v2_5",
    "turbo": "eleven_turbo_v2_5",
    "multilingual": "eleven_multilingual_v2",
}
NOT_STREAMED: Final = frozenset({"eleven_v3", "eleven_ttv_v3"})
CLOSE_SOCKET: Final = '{"close_socket":true}'
_ERRORS: Final = {
    "invalid_api_key": Failure.KEY,
    "missing_permissions": Failure.KEY,
    "detected_unusual_activity": Failure.KEY,
    "quota_exceeded": Failure.QUOTA,
    "max_character_limit_exceeded": Failure.REFUSED,
    "voice_not_found": Failure.REFUSED,
    "model_not_found": Failure.REFUSED,
    "max_active_conversations": Failure.RATE_LIMITED,
    "too_many_concurrent_requests": Failure.RATE_LIMITED,
    "input_timeout_exceeded": Failure.DROPPED,
}


def begin(context: str, settings: dict[str, Any]) -> str:
    """Opens a context. Voice settings may be said only here."""
    message: dict[str, Any] = {"text": " ", "context_id": context}
    if settings:
        message["voice_settings"] = settings
    return orjson.dumps(message).decode()


def speak(context: str, text: str) -> str:
    """A piece of text, to be spoken at once; it has to end with a blank."""
    text = text if text[-1:].isspace() else text + " "
    return orjson.dumps({"text": text, "context_id": context, "flush": True}).decode()


def close(context: str) -> str:
    """What was flushed is still spoken, then the context is final."""
    return orjson.dumps({"context_id": context, "close_context": True}).decode()


def keep_alive(context: str | None) -> str:
    """Here an empty text keeps alive; with a context that was never begun it would begin it."""
    return orjson.dumps({"text": "", "context_id": context} if context else {"text": ""}).decode()


def error_of(message: dict[str, Any]) -> tuple[Failure, str] | None:
    """Class and name of an error, if the message is one."""
    error = message.get("error")
    if not error and isinstance(message.get("detail"), dict):
        error = message["detail"].get("status") or "error"
    if not error:
        return None
    name = str(error)[:80]
    return _ERRORS.get(name, Failure.ERROR), name


def audio_of(message: dict[str, Any]) -> bytes:
    """The audio of a message; empty when it brings none. Raises: ValueError."""
    audio = message.get("audio")
    return binascii.a2b_base64(audio) if audio else b""


def times_of(message: dict[str, Any]) -> tuple[Sequence[str], Sequence[float], Sequence[float]]:
    """Characters, their starts and durations in ms; empty when the message has none."""
    times = message.get("alignment")
    if not times:
        return (), (), ()
    return (
        times.get("chars") or (),
        times.get("charStartTimesMs") or times.get("charsStartTimesMs") or (),
        times.get("charDurationsMs") or times.get("charsDurationsMs") or (),
    )

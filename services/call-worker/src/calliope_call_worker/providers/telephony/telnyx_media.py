"""Telnyx's media socket: frames back in order, our audio in whole 20 ms pieces.

Source: Telnyx's documentation of media streaming over WebSockets (order is not promised; 20 ms to 30 s a message).
"""

import base64
from typing import Any, Final

import orjson

from calliope_call_worker.providers.telephony.base import (
    MediaDtmf,
    MediaEvent,
    MediaFrame,
    MediaMark,
    MediaStarted,
    MediaStopped,
)
from calliope_call_worker.providers.telephony.fields import one_key, short_text

WINDOW: Final = 3
"""So many later frames are held for a missing one (60 ms); then it is given up."""
FRAME_BYTES: Final = 160
_SILENCE: Final = b"\xff"
_CLEAR: Final = '{"event":"clear"}'


class TelnyxMedia:
    """Messages of one socket: what was held for a late frame, and our own ragged end."""

    def __init__(self) -> None:
        self._next: int | None = None
        self._held: dict[int, bytes] = {}
        self._rest = b""

    def parse(self, text: str) -> MediaEvent | None:
        """One text frame. Raises: ValueError, for what Telnyx would never send, and for errors that it tells."""
        message: dict[str, Any] = orjson.loads(text)
        try:
            match message["event"]:
                case "media":
                    return self._media(message["media"])
                case "mark":
                    return MediaMark(short_text(message["mark"]["name"]))
                case "dtmf":
                    return MediaDtmf(one_key(message["dtmf"]["digit"]))
                case "start":
                    return _started(message)
                case "stop":
                    return MediaStopped()
                case "error":
                    error = message["payload"]
                    raise ValueError(f"Telnyx says {error['code']} {error['title']}")
                case _:
                    return None
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError("a media message without its fields") from exc

    def _media(self, media: dict[str, Any]) -> MediaFrame | None:
        if media.get("track", "inbound") != "inbound":
            return None
        chunk, audio = int(media["chunk"]), base64.b64decode(media["payload"], validate=True)
        if self._next is None:
            self._next = chunk
        if chunk < self._next:
            return None  # repeated, or given up already
        self._held[chunk] = audio
        if chunk != self._next and len(self._held) > WINDOW:
            self._next = min(self._held)
        ready = bytearray()
        while self._next in self._held:
            ready += self._held.pop(self._next)
            self._next += 1
        return MediaFrame(bytes(ready)) if ready else None

    def audio(self, payload: bytes) -> tuple[str, ...]:
        """Raw μ-law in whole frames; shorter messages would be played badly, so the rest waits for what follows."""
        ready = self._rest + payload
        whole = len(ready) - len(ready) % FRAME_BYTES
        self._rest = ready[whole:]
        return (_play(ready[:whole]),) if whole else ()

    def mark(self, name: str) -> tuple[str, ...]:
        """Echoed when everything before it was played, or dropped by `clear`; the rest goes first, made whole."""
        rest, self._rest = self._rest, b""
        tail = (_play(rest.ljust(FRAME_BYTES, _SILENCE)),) if rest else ()
        return (*tail, f'{{"event":"mark","mark":{{"name":"{name}"}}}}')

    def clear(self) -> str:
        """Drop what is buffered; all pending marks come back."""
        self._rest = b""
        return _CLEAR


def _play(audio: bytes) -> str:
    return f'{{"event":"media","media":{{"payload":"{base64.b64encode(audio).decode()}"}}}}'


def _started(message: dict[str, Any]) -> MediaStarted:
    start = message["start"]
    form = start["media_format"]
    if (form["encoding"], int(form["sample_rate"]), int(form["channels"])) != ("PCMU", 8000, 1):
        raise ValueError(f"the stream is {form['encoding']} at {form['sample_rate']} Hz, not PCMU 8 kHz mono")
    parameters = {str(name): str(value) for name, value in (start.get("custom_parameters") or {}).items()}
    return MediaStarted(short_text(message["stream_id"]), short_text(start["call_control_id"]), parameters)

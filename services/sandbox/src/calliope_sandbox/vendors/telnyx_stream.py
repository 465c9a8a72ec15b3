"""One media stream of Telnyx: not signed, frames in any order, nothing shorter than 20 ms taken."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from calliope_sandbox.person import FRAME_BYTES, FRAME_MS
from calliope_sandbox.vendors import telnyx_words as words
from calliope_sandbox.vendors.carrier_stream import CarrierStream


@dataclass(slots=True, eq=False, kw_only=True)
class TelnyxStream(CarrierStream):
    """See `CarrierStream`. `wishes` are those of the command; `restless`: every second frame overtakes another."""

    payload: Mapping[str, Any]
    wishes: Mapping[str, Any]
    on_digit: Callable[[str], None]
    restless: bool = False
    sid: str = field(default_factory=lambda: str(uuid.uuid4()))
    _overtaken: str | None = None

    def headers(self) -> dict[str, str]:
        """See `CarrierStream`."""
        return {}

    def hello(self) -> list[str]:
        """See `CarrierStream`."""
        return [words.connected(), words.start(self.sid, self.payload)]

    def said(self, sequence: int, chunk: int, payload: str) -> list[str]:
        """See `CarrierStream`."""
        frame = words.media(self.sid, sequence, chunk, chunk * FRAME_MS, payload)
        if not self.restless:
            return [frame]
        before, self._overtaken = self._overtaken, frame if self._overtaken is None else None
        return [] if before is None else [frame, before]

    def pressed(self, sequence: int, digit: str) -> str:
        """See `CarrierStream`. A hook tells the same."""
        self.on_digit(digit)
        return words.dtmf(self.sid, sequence, digit, datetime.now(UTC).isoformat())

    def passed(self, sequence: int, mark: str) -> str:
        """See `CarrierStream`."""
        return words.mark(self.sid, sequence, mark)

    def stopped(self, sequence: int) -> str:
        """See `CarrierStream`."""
        return words.stop(self.sid, sequence, str(self.payload["call_control_id"]))

    def play(self, audio: bytes) -> None:
        """Without `rtp` mode audio is taken for MP3 and nobody hears it; short pieces are played badly."""
        if self.wishes.get("stream_bidirectional_mode", "mp3") != "rtp":
            self.problems.append("100004: audio that is no MP3")
            return
        if len(audio) < FRAME_BYTES:
            self.problems.append(f"100004: {len(audio)} bytes are less than 20 ms")
        self.buffer.add(audio)

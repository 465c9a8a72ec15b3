"""The clocks of a call: since media started, and the audio that came in. Pure arithmetic over the loop's clock."""


class CallClock:
    """Loop seconds in, call milliseconds out."""

    def __init__(self, now: float) -> None:
        self._media_at = now
        self._audio_at: float | None = None
        self.audio_ms = 0.0

    def media_started(self, now: float) -> None:
        """Zero of the call clock."""
        self._media_at = now

    def audio_received(self, audio_bytes: int, now: float) -> None:
        """More caller audio (μ-law 8 kHz)."""
        if self._audio_at is None:
            self._audio_at = now - audio_bytes / 8_000
        self.audio_ms += audio_bytes / 8

    def ms(self, at: float) -> float:
        """Milliseconds since media started, never negative."""
        return round(max(0.0, (at - self._media_at) * 1_000), 2)

    def audio_at(self, position_ms: float) -> float:
        """When, on the loop's clock, the caller's audio was at this position."""
        return (self._media_at if self._audio_at is None else self._audio_at) + position_ms / 1_000

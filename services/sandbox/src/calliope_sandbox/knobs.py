"""How the provider twins behave when nothing goes wrong: their pace and their choice among documented variants."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


class KnobError(ValueError):
    """A knob that does not exist, or a value of the wrong kind."""


@dataclass(frozen=True, slots=True)
class DeepgramKnobs:
    """Streaming recogniser. `final_ms` is what it takes its time for after the pause was heard."""

    rejected_keys: tuple[str, ...] = ("bad",)
    interim_ms: float = 0.0
    final_ms: float = 50.0
    final_jitter_ms: float = 0.0
    final_every_ms: float = 4_000.0
    silence_result_ms: float = 5_000.0
    idle_s: float = 10.0
    finalize_answers: str = "text"  # or empty (the text came just before it), or nothing
    update_ms: float = 250.0  # flux: between updates of a turn
    sure_ms: float = 300.0  # flux: silence that makes its confidence in the end of a turn whole
    keep_speech_final: bool = True
    repeat_speech_started: bool = False
    real_time_cap: float = 0.0  # 1.25 as at the vendor; 0 takes audio as fast as it comes


@dataclass(frozen=True, slots=True)
class LlmKnobs:
    """One language model API. `variants` are those of its wire: `vendors/{openai,anthropic,gemini}_wire.py`."""

    rejected_keys: tuple[str, ...] = ("bad",)
    first_token_ms: float = 40.0
    first_token_jitter_ms: float = 0.0
    per_token_ms: float = 5.0
    variants: tuple[str, ...] = ()
    rate_limit_headers: bool = True
    refused_options: tuple[str, ...] = ()  # parameters that it refuses by name, such as temperature
    reads_old_calls: bool = False  # refuses a conversation whose earlier calls hold no JSON object, as vLLM does


@dataclass(frozen=True, slots=True)
class VoiceKnobs:
    """A voice: how long it thinks, how it cuts. Audio leaves `speed` times faster than it plays."""

    rejected_keys: tuple[str, ...] = ("bad",)
    first_byte_ms: float = 60.0
    first_byte_jitter_ms: float = 0.0
    speed: float = 8.0
    first_chunk_ms: float = 200.0
    chunk_ms: float = 500.0
    char_ms: int = 60


@dataclass(frozen=True, slots=True)
class ElevenlabsKnobs(VoiceKnobs):
    """ElevenLabs' voices, over one socket with contexts."""

    speaking_keys: tuple[str, ...] = ("tts-only",)  # may speak, and may not read voices and models
    max_contexts: int = 5
    inactivity_s: float = 20.0
    voice_char_ms: Mapping[str, int] = field(default_factory=dict)
    refuse_with: str = "handshake"  # or frame: the socket opens and a first frame says why
    speak_unflushed_on_close: bool = False
    null_alignment_every: int = 0
    context_key: str = "contextId"  # or context_id
    durations_key: str = "charDurationsMs"  # or charsDurationsMs


@dataclass(frozen=True, slots=True)
class DeepgramSpeakKnobs(VoiceKnobs):
    """Deepgram's voices. Limits count within `window_s`; `late_chunks` of audio come between Clear and Cleared."""

    flushes: int = 20
    characters: int = 2_400
    window_s: float = 60.0
    lifetime_s: float = 3_600.0
    late_chunks: int = 1
    flushed_when_cleared: bool = False


@dataclass(frozen=True, slots=True)
class InworldKnobs(VoiceKnobs):
    """Inworld's voices. `early_close_is_silent`: a context closed before its first audio is closed without any."""

    max_contexts: int = 5
    inactivity_s: float = 600.0
    header: str = "none"  # or first (of each flush), or every chunk
    timed: bool = True
    trailing_times: bool = False  # times come behind the audio, in messages of their own
    early_close_is_silent: bool = True


@dataclass(frozen=True, slots=True)
class ResembleKnobs(VoiceKnobs):
    """Resemble's voices. Requests are answered one after the other, or `mixed`."""

    refuse_with: str = "handshake"  # or frame: the socket opens and a first message says why
    header: str = "as_asked"  # or plain, or long (times before the samples, size unknown), although none was asked for
    times_from: str = "request"  # or chunk
    timed: bool = True
    mixed: bool = False
    needs_project: bool = False
    answers_close: bool = False


@dataclass(frozen=True, slots=True)
class SloppyKnobs:
    """Misbehaviour as real vendors show it (`sloppiness.py`), of models, tools and carriers.

    Of the requests whose key begins with one of `keys`, or of `everybody`, this `share` misbehaves, in one of `kinds`
    (none: in any). A tool's key is its name, a carrier's is its account.
    """

    share: float = 0.1
    keys: tuple[str, ...] = ("sloppy",)
    everybody: bool = False
    seed: int = 1
    kinds: tuple[str, ...] = ()


@dataclass(slots=True)
class Knobs:
    """The knobs of all twins, changeable while they run; streams that are open keep theirs."""

    deepgram: DeepgramKnobs = field(default_factory=DeepgramKnobs)
    openai: LlmKnobs = field(default_factory=LlmKnobs)
    anthropic: LlmKnobs = field(default_factory=LlmKnobs)
    gemini: LlmKnobs = field(default_factory=LlmKnobs)
    groq: LlmKnobs = field(default_factory=lambda: LlmKnobs(variants=("whole_call", "x_groq")))
    xai: LlmKnobs = field(default_factory=lambda: LlmKnobs(variants=("whole_call", "usage_everywhere")))
    elevenlabs: ElevenlabsKnobs = field(default_factory=ElevenlabsKnobs)
    deepgram_speak: DeepgramSpeakKnobs = field(default_factory=DeepgramSpeakKnobs)
    inworld: InworldKnobs = field(default_factory=InworldKnobs)
    resemble: ResembleKnobs = field(default_factory=ResembleKnobs)
    sloppy: SloppyKnobs = field(default_factory=SloppyKnobs)

    def turn(self, changes: Mapping[str, Any]) -> None:
        """Change some: {vendor: {knob: value}}. All or nothing. Raises: KnobError."""
        turned: dict[str, Any] = {}
        for vendor, values in changes.items():
            if vendor not in _VENDORS:
                raise KnobError(f"no vendor {vendor!r}; known are {', '.join(sorted(_VENDORS))}")
            if not isinstance(values, Mapping):
                raise KnobError(f"{vendor}: an object is needed")
            before = getattr(self, vendor)
            turned[vendor] = replace(before, **{name: _fit(before, vendor, name, values[name]) for name in values})
        for vendor, after in turned.items():
            setattr(self, vendor, after)

    def reset(self) -> None:
        """Back to the defaults."""
        fresh = Knobs()
        for vendor in _VENDORS:
            setattr(self, vendor, getattr(fresh, vendor))


_VENDORS = {one.name for one in fields(Knobs)}


def _fit(knobs: Any, vendor: str, name: str, value: Any) -> Any:
    known = {one.name for one in fields(knobs)}
    if name not in known:
        raise KnobError(f"{vendor}: no knob {name!r}; known are {', '.join(sorted(known))}")
    now = getattr(knobs, name)
    if isinstance(now, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(now, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, type(now)):
        raise KnobError(f"{vendor}.{name}: {type(now).__name__} is needed")
    return value

"""The vendors as data: under which names their accounts come, and which of the worker's variables they become."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_PROVIDERS: Final = "CALLIOPE_PROVIDERS__"
_CARRIERS: Final = "CALLIOPE_CARRIERS__"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor. `needed` are the settings without which it cannot be asked; `usual` names them as the vendor does.

    `shares` is another vendor's prefix whose settings count for this one too.
    """

    name: str
    does: str
    prefix: str
    usual: Mapping[str, tuple[str, ...]]
    needed: tuple[str, ...] = ("API_KEY",)
    shares: str | None = None
    families: tuple[str, ...] = field(default=())
    """How the vendor's own variables begin."""

    @property
    def url(self) -> str:
        """The variable of its address."""
        return f"{self.prefix}URL"

    @property
    def is_model(self) -> bool:
        """Whether another server of language models can answer in its place."""
        return self.does == MODEL


CARRIER: Final = "carrier"
RECOGNISER: Final = "recogniser"
MODEL: Final = "model"
VOICE: Final = "voice"
KINDS: Final = (CARRIER, RECOGNISER, MODEL, VOICE)


def _keyed(name: str, does: str, setting: str, *keys: str, shares: str | None = None) -> Vendor:
    """A vendor that needs one key."""
    families = tuple(key.partition("_")[0] + "_" for key in keys)
    prefix = f"{_PROVIDERS}{setting}__"
    return Vendor(name, does, prefix, {"API_KEY": keys}, shares=shares, families=families)


DEEPGRAM: Final = _keyed("Deepgram", RECOGNISER, "DEEPGRAM", "DEEPGRAM_API_KEY")

# A new vendor is a line here.
VENDORS: Final = (
    Vendor(
        "Twilio",
        CARRIER,
        f"{_CARRIERS}TWILIO__",
        {"ACCOUNT_SID": ("TWILIO_ACCOUNT_SID",), "AUTH_TOKEN": ("TWILIO_AUTH_TOKEN",)},
        needed=("ACCOUNT_SID", "AUTH_TOKEN"),
        families=("TWILIO_",),
    ),
    Vendor(
        "Telnyx",
        CARRIER,
        f"{_CARRIERS}TELNYX__",
        {
            "API_KEY": ("TELNYX_API_KEY",),
            "CONNECTION_ID": ("TELNYX_CONNECTION_ID",),
            "PUBLIC_KEY": ("TELNYX_PUBLIC_KEY",),
        },
        needed=("API_KEY", "CONNECTION_ID", "PUBLIC_KEY"),
        families=("TELNYX_",),
    ),
    DEEPGRAM,
    _keyed("OpenAI", MODEL, "OPENAI", "OPENAI_API_KEY"),
    _keyed("Anthropic", MODEL, "ANTHROPIC", "ANTHROPIC_API_KEY"),
    _keyed("Gemini", MODEL, "GEMINI", "GEMINI_API_KEY", "GOOGLE_API_KEY"),
    _keyed("Groq", MODEL, "GROQ", "GROQ_API_KEY"),
    _keyed("xAI", MODEL, "XAI", "XAI_API_KEY"),
    _keyed("ElevenLabs", VOICE, "ELEVENLABS", "ELEVENLABS_API_KEY", "ELEVEN_API_KEY"),
    _keyed("Deepgram Aura", VOICE, "AURA", "DEEPGRAM_API_KEY", shares=DEEPGRAM.prefix),
    _keyed("Inworld", VOICE, "INWORLD", "INWORLD_API_KEY"),
    _keyed("Resemble", VOICE, "RESEMBLE", "RESEMBLE_API_KEY"),
)

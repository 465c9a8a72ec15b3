"""How an assistant speaks: its voice, and the voices to turn to."""

from enum import StrEnum
from typing import Self

from pydantic import Field, SecretStr, model_validator

from calliope.contracts.base import Request
from calliope.contracts.forms import Boolean, Number


class TtsProvider(StrEnum):
    """Who speaks."""

    ELEVENLABS = "elevenlabs"
    DEEPGRAM = "deepgram"
    INWORLD = "inworld"
    RESEMBLE = "resemble"


class TtsProviderConfig(Request):
    """Options that only one speaking vendor knows."""

    project_uuid: str | None = Field(
        default=None,
        max_length=100,
        description="Resemble only: the project that the voice is used in. Left out: the project of the installation.",
        examples=["0a1b2c3d"],
    )
    language: str | None = Field(
        default=None,
        max_length=20,
        description="Inworld only: the language that is spoken, as a code. Left out: the voice's own.",
        examples=["en"],
    )


class Voice(Request):
    """One voice at one vendor."""

    provider: TtsProvider = Field(default=TtsProvider.ELEVENLABS, description="Vendor of the voice.")
    voice_id: str | None = Field(
        default=None,
        max_length=200,
        description="The vendor's id of the voice, or a nickname such as `rachel` (ElevenLabs) or `thalia` (Deepgram). "
        "Left out: the installation's default voice.",
        examples=["rachel"],
    )
    model_id: str | None = Field(
        default=None,
        max_length=100,
        description="The vendor's voice model. Left out: the installation's default. With Deepgram a voice is its "
        "model: give one of the two.",
        examples=["eleven_flash_v2_5"],
    )
    stability: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="ElevenLabs only: how evenly the voice speaks. Left out: the voice's own setting.",
        examples=[0.5],
    )
    similarity_boost: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="ElevenLabs only: how closely it keeps to the original voice. Left out: the voice's own setting.",
        examples=[0.75],
    )
    style: Number | None = Field(
        default=None,
        ge=0,
        le=1,
        description="ElevenLabs only: how much the speaker's style is exaggerated. Left out: the voice's own setting.",
        examples=[0.0],
    )
    use_speaker_boost: Boolean | None = Field(
        default=None,
        description="ElevenLabs only: more likeness to the speaker, at some cost in latency. Left out: the voice's own "
        "setting.",
    )
    provider_config: TtsProviderConfig = Field(
        default=TtsProviderConfig(), description="Options that only one vendor knows."
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Your key at this vendor. Left out: the key of the installation. Stored sealed, read as a mask.",
        examples=["your-key"],
    )

    @model_validator(mode="after")
    def _vendor_options_fit(self) -> Self:
        only_elevenlabs = {
            name
            for name in ("stability", "similarity_boost", "style", "use_speaker_boost")
            if getattr(self, name) is not None
        }
        if only_elevenlabs and self.provider is not TtsProvider.ELEVENLABS:
            raise ValueError(
                f"{', '.join(sorted(only_elevenlabs))}: only elevenlabs knows this, not {self.provider}; leave it out"
            )
        if self.provider_config.project_uuid is not None and self.provider is not TtsProvider.RESEMBLE:
            raise ValueError(f"provider_config.project_uuid: only resemble knows it, not {self.provider}; leave it out")
        if self.provider_config.language is not None and self.provider is not TtsProvider.INWORLD:
            raise ValueError(f"provider_config.language: only inworld knows it, not {self.provider}; leave it out")
        if self.provider is TtsProvider.DEEPGRAM and self.voice_id is not None and self.model_id is not None:
            raise ValueError("model_id: a voice of deepgram is its model; give one of voice_id and model_id")
        return self


class TtsSettings(Voice):
    """The assistant's voice, and voices to turn to when its vendor fails."""

    fallbacks: tuple[Voice, ...] = Field(
        default=(), max_length=3, description="Voices to turn to, in this order, when the first one fails."
    )

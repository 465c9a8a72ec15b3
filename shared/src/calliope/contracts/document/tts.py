"""How an assistant speaks: its voice, and the voices to turn to."""

from enum import StrEnum
from typing import Self

from pydantic import Field, SecretStr, model_validator

from calliope.contracts.base import Request


class TtsProvider(StrEnum):
    """Who speaks."""

    ELEVENLABS = "elevenlabs"
    DEEPGRAM = "deepgram"
    INWORLD = "inworld"
    RESEMBLE = "resemble"


class TtsProviderConfig(Request):
    """Options that only one speaking vendor knows."""

    project_uuid: str | None = Field(default=None, max_length=100, description="Resemble only.")
    language: str | None = Field(default=None, max_length=20, description="Inworld only, e.g. `en`.")


class Voice(Request):
    """One voice at one vendor."""

    provider: TtsProvider = TtsProvider.ELEVENLABS
    voice_id: str | None = Field(default=None, max_length=200, description="Vendor id or a nickname such as `rachel`.")
    model_id: str | None = Field(default=None, max_length=100, description="e.g. `eleven_flash_v2_5`.")
    stability: float | None = Field(default=None, ge=0, le=1, description="ElevenLabs only.")
    similarity_boost: float | None = Field(default=None, ge=0, le=1, description="ElevenLabs only.")
    style: float | None = Field(default=None, ge=0, le=1, description="ElevenLabs only.")
    use_speaker_boost: bool | None = Field(default=None, description="ElevenLabs only.")
    provider_config: TtsProviderConfig = TtsProviderConfig()
    api_key: SecretStr | None = Field(default=None, description="Default: the key of the installation.")

    @model_validator(mode="after")
    def _vendor_options_fit(self) -> Self:
        only_elevenlabs = {
            name
            for name in ("stability", "similarity_boost", "style", "use_speaker_boost")
            if getattr(self, name) is not None
        }
        if only_elevenlabs and self.provider is not TtsProvider.ELEVENLABS:
            raise ValueError(f"{', '.join(sorted(only_elevenlabs))}: only elevenlabs knows these, not {self.provider}")
        if self.provider_config.project_uuid is not None and self.provider is not TtsProvider.RESEMBLE:
            raise ValueError(f"provider_config.project_uuid: only resemble knows it, not {self.provider}")
        if self.provider_config.language is not None and self.provider is not TtsProvider.INWORLD:
            raise ValueError(f"provider_config.language: only inworld knows it, not {self.provider}")
        if self.provider is TtsProvider.DEEPGRAM and self.voice_id is not None and self.model_id is not None:
            raise ValueError("model_id: a voice of deepgram is its model; give one of voice_id and model_id")
        return self


class TtsSettings(Voice):
    """The assistant's voice, and voices to turn to when its vendor fails."""

    fallbacks: tuple[Voice, ...] = Field(default=(), max_length=3)

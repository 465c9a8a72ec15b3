"""How an assistant hears: the recogniser's options, and which model takes which of them."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from calliope.contracts.base import Request

MAX_KEYTERM_WORDS: Final = 500
MULTI: Final = "multi"
FLUX_MULTI: Final = "flux-general-multi"
_NOVA_ONLY: Final = ("punctuate", "smart_format", "filler_words", "endpointing", "utterance_end_ms")
_FLUX_ONLY: Final = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")


class Keyword(Request):
    """A word to listen for (nova-2 and older)."""

    keyword: str = Field(min_length=1, max_length=100)
    intensifier: float | None = Field(default=None, ge=-10, le=10)


class SttSettings(Request):
    """How the caller is heard (Deepgram). Nova and older models hear pauses, flux models hear turns."""

    model: str = Field(default="nova-3", min_length=1, max_length=100)
    language: str = Field(
        default="en-US",
        max_length=20,
        pattern=r"^[A-Za-z]{2,5}(-[A-Za-z0-9]{2,8})*$",
        description="`multi` hears several; flux-general-multi takes another as a hint, and `multi` when left out.",
    )
    keywords: tuple[Keyword, ...] = Field(default=(), max_length=100)
    keyterms: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = Field(
        default=(), max_length=100
    )
    punctuate: bool = True
    smart_format: bool = False
    numerals: bool = Field(default=False, description="`5` instead of `five`.")
    profanity_filter: bool = False
    filler_words: bool = Field(default=False, description="Also hear `uh` and `um`; English only, not with flux.")
    redact: tuple[Literal["pci", "ssn", "numbers"], ...] = Field(default=(), max_length=3)
    endpointing: int | None = Field(
        default=None, ge=10, le=5_000, description="ms of silence that end an utterance; default 300, 100 with `multi`."
    )
    utterance_end_ms: int = Field(default=1_000, ge=1_000, le=5_000)
    eot_threshold: float | None = Field(default=None, ge=0.5, le=1, description="Flux only: how sure a turn is over.")
    eager_eot_threshold: float | None = Field(
        default=None, ge=0.3, le=0.9, description="Flux only: how sure, to prepare a reply early; absent: never early."
    )
    eot_timeout_ms: int | None = Field(default=None, ge=500, le=60_000, description="Flux only: silence ends a turn.")
    mip_opt_out: bool = Field(default=False, description="Keep the audio out of Deepgram's model improvement.")
    api_key: SecretStr | None = Field(default=None, description="Default: the key of the installation.")

    @property
    def is_flux(self) -> bool:
        """Whether the model judges turns itself."""
        return self.model.startswith("flux")

    @property
    def takes_keyterms(self) -> bool:
        """nova-3 and flux boost `keyterms`; everything older boosts `keywords`. Source: Deepgram's documentation."""
        return self.model.startswith(("nova-3", "flux"))

    @property
    def pause_ms(self) -> int:
        """Silence that ends an utterance. Callers who switch languages are heard better in shorter windows (vendor)."""
        return self.endpointing or (100 if self.language == MULTI else 300)

    @model_validator(mode="before")
    @classmethod
    def _multilingual_flux_hears_all(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("model") == FLUX_MULTI and "language" not in given:
            return {**given, "language": MULTI}
        return given

    @model_validator(mode="after")
    def _boosts_fit_model(self) -> Self:
        if self.keywords and self.takes_keyterms:
            raise ValueError(f"keywords: {self.model} does not know them; use keyterms, or a nova-2 model")
        if self.keyterms and not self.takes_keyterms:
            raise ValueError(f"keyterms: {self.model} does not know them; use keywords, or a nova-3 model")
        if sum(len(term.split()) for term in self.keyterms) > MAX_KEYTERM_WORDS:
            raise ValueError(f"keyterms: at most {MAX_KEYTERM_WORDS} words in all")
        if not self.model.startswith("base") and any((word.intensifier or 0) < 0 for word in self.keywords):
            raise ValueError(f"keywords: only base models suppress words; {self.model} takes intensifiers from 0")
        return self

    @model_validator(mode="after")
    def _language_fits_model(self) -> Self:
        if self.language == MULTI and not self.model.startswith(("nova-2", "nova-3", FLUX_MULTI)):
            raise ValueError(f"language: {self.model} hears one language; multi needs nova-2, nova-3 or {FLUX_MULTI}")
        if self.is_flux and self.model != FLUX_MULTI and not self.language.lower().startswith("en"):
            raise ValueError(f"language: {self.model} hears English only; use {FLUX_MULTI}")
        return self

    @model_validator(mode="after")
    def _options_fit_model(self) -> Self:
        own, others = ("a flux model", _NOVA_ONLY) if self.is_flux else ("a nova or older model", _FLUX_ONLY)
        fields = type(self).model_fields
        if unfit := [name for name in others if getattr(self, name) != fields[name].default]:
            raise ValueError(f"{', '.join(unfit)}: {self.model} is {own} and does not know this")
        if self.is_flux and set(self.redact) - {"numbers"}:
            raise ValueError(f"redact: {self.model} knows only numbers")
        if self.eager_eot_threshold is not None and self.eager_eot_threshold > (self.eot_threshold or 0.7):
            raise ValueError("eager_eot_threshold: must not be above eot_threshold (0.7 when left out)")
        return self

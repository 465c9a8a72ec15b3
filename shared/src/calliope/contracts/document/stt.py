"""How an assistant hears: the recogniser's options, and which model takes which of them."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from calliope.contracts.base import Request
from calliope.contracts.forms import Boolean, Form, Integer, Number
from calliope.contracts.meant import language_meant

MAX_KEYTERM_WORDS: Final = 500
MULTI: Final = "multi"
FLUX_MULTI: Final = "flux-general-multi"
_NOVA_ONLY: Final = ("punctuate", "smart_format", "filler_words", "endpointing", "utterance_end_ms")
_FLUX_ONLY: Final = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")


class Keyword(Request):
    """A word to listen for (nova-2 and older)."""

    keyword: str = Field(min_length=1, max_length=100, description="The word to listen for.", examples=["Calliope"])
    intensifier: Number | None = Field(
        default=None,
        ge=-10,
        le=10,
        description="How strongly it is listened for; each step weighs much. Negative suppresses a word, with `base` "
        "models only. Left out: Deepgram's default.",
        examples=[1.5],
    )


class SttSettings(Request):
    """How the caller is heard (Deepgram). Nova and older models hear pauses, flux models hear turns."""

    model: str = Field(
        default="nova-3",
        min_length=1,
        max_length=100,
        description="Deepgram's model. `nova-3`, `nova-2` and older hear pauses; `flux-general-en` and "
        "`flux-general-multi` judge themselves when a turn is over.",
    )
    language: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z]{2,5}(-[A-Za-z0-9]{2,8})*$", max_length=20),
        Form("a language code (BCP 47)", "en-US", meant=language_meant),
    ] = Field(
        default="en-US",
        description="Language of the caller, as a BCP 47 code. `multi` hears several (nova-2, nova-3, "
        "flux-general-multi); flux-general-multi takes another as a hint, and `multi` when it is left out.",
    )
    keywords: tuple[Keyword, ...] = Field(
        default=(), max_length=100, description="Words to listen for, with nova-2 and older; nova-3 takes `keyterms`."
    )
    keyterms: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = Field(
        default=(),
        max_length=100,
        description="Names and terms to listen for, with nova-3 and flux; at most 500 words in all.",
        examples=[["Dr. Bell", "root canal"]],
    )
    punctuate: Boolean = Field(default=True, description="Write with punctuation and capitals; not with flux.")
    smart_format: Boolean = Field(
        default=False, description="Write dates, amounts, telephone numbers … as figures; not with flux."
    )
    numerals: Boolean = Field(default=False, description="Write numbers as figures: `5` instead of `five`.")
    profanity_filter: Boolean = Field(default=False, description="Leave swear words out, or replace them by asterisks.")
    filler_words: Boolean = Field(default=False, description="Also write `uh` and `um`; English only, not with flux.")
    redact: tuple[Literal["pci", "ssn", "numbers"], ...] = Field(
        default=(),
        max_length=3,
        description="What is hidden in transcripts: card data (`pci`), social security numbers (`ssn`), all `numbers`. "
        "The model does not see it either. Flux knows `numbers` only.",
    )
    endpointing: Integer | None = Field(
        default=None,
        ge=10,
        le=5_000,
        description="Milliseconds of silence that end an utterance; not with flux. Left out: 300, or 100 with `multi`.",
        examples=[300],
    )
    utterance_end_ms: Integer = Field(
        default=1_000,
        ge=1_000,
        le=5_000,
        description="Milliseconds between words that end an utterance where noise hides the silence; not with flux.",
    )
    eot_threshold: Number | None = Field(
        default=None,
        ge=0.5,
        le=1,
        description="Flux only: how sure the model must be that a turn is over. Left out: Deepgram's default.",
        examples=[0.7],
    )
    eager_eot_threshold: Number | None = Field(
        default=None,
        ge=0.3,
        le=0.9,
        description="Flux only: how sure it must be to prepare a reply early, at most `eot_threshold`. Left out: "
        "replies are not prepared early.",
        examples=[0.5],
    )
    eot_timeout_ms: Integer | None = Field(
        default=None,
        ge=500,
        le=60_000,
        description="Flux only: milliseconds of silence that end a turn however unsure. Left out: Deepgram's default.",
        examples=[5000],
    )
    mip_opt_out: Boolean = Field(
        default=False, description="Keep the audio out of Deepgram's model improvement programme."
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Your Deepgram key. Left out: the key of the installation. Stored sealed, read as a mask.",
        examples=["your-deepgram-key"],
    )

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
            raise ValueError(f"{', '.join(unfit)}: {self.model} is {own} and does not know this; leave it out")
        if self.is_flux and set(self.redact) - {"numbers"}:
            raise ValueError(f'redact: {self.model} knows only numbers, such as ["numbers"]')
        if self.eager_eot_threshold is not None and self.eager_eot_threshold > (self.eot_threshold or 0.7):
            raise ValueError("eager_eot_threshold: must not be above eot_threshold (0.7 when left out)")
        return self

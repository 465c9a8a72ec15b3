"""The query of Deepgram's /v2/listen and its Configure message: what they mean and what is refused. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from multidict import MultiMapping

from calliope_sandbox.vendors.deepgram_query import BadQuery, audio_format, keyterms_fit, read_tags

MODELS: Final = {"flux-general-en", "flux-general-multi"}
_KNOWN: Final = {
    "model", "encoding", "sample_rate", "eot_threshold", "eager_eot_threshold", "eot_timeout_ms", "keyterm",
    "language_hint", "numerals", "profanity_filter", "redact", "tag", "mip_opt_out",
}  # fmt: skip
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "eot_threshold": (0.5, 1.0),
    "eager_eot_threshold": (0.3, 0.9),
    "eot_timeout_ms": (500, 60_000),
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a turn is over."""

    eot_threshold: float = 0.7
    eager_eot_threshold: float | None = None
    eot_timeout_ms: float = 5_000.0

    def changed(self, given: Mapping[str, Any]) -> "Thresholds":
        """With these values. Raises: BadQuery."""
        values = {name: _within(name, given[name]) for name in _RANGES if given.get(name) is not None}
        after = replace(self, **values)
        if after.eager_eot_threshold is not None and after.eager_eot_threshold > after.eot_threshold:
            raise BadQuery("eager_eot_threshold must not be above eot_threshold.")
        return after

    def shown(self) -> dict[str, float]:
        """As the vendor repeats them."""
        return {name: value for name in _RANGES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class FluxQuery:
    """A query that was accepted."""

    model: str
    encoding: str
    sample_rate: int
    thresholds: Thresholds
    keyterms: tuple[str, ...]
    language_hints: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def call(self) -> str:
        """The call this stream belongs to, as the client told."""
        return next(iter(self.tags), "")


def parse(query: MultiMapping[str]) -> FluxQuery:
    """Read the query. What only /v1/listen knows is refused, so that no client relies on it. Raises: BadQuery."""
    if unknown := sorted(set(query) - _KNOWN):
        raise BadQuery(f"Unknown query parameters: {', '.join(unknown)}.")
    model = query.get("model", "")
    if model not in MODELS:
        raise BadQuery("No such model; /v2/listen serves flux models.")
    encoding, sample_rate = audio_format(query)
    return FluxQuery(
        model=model,
        encoding=encoding,
        sample_rate=sample_rate,
        thresholds=Thresholds().changed(query),
        keyterms=terms(query.getall("keyterm", [])),
        language_hints=hints(query.getall("language_hint", []), model),
        tags=read_tags(query),
    )


def terms(keyterms: Any) -> tuple[str, ...]:
    """Raises: BadQuery, when they are too many or no texts."""
    if not isinstance(keyterms, list) or not all(isinstance(term, str) for term in keyterms):
        raise BadQuery("keyterms must be a list of texts.")
    if not keyterms_fit(keyterms):
        raise BadQuery("Keyterm limit exceeded. The maximum number of tokens across all keyterms is 500.")
    return tuple(keyterms)


def hints(languages: list[str], model: str) -> tuple[str, ...]:
    """Raises: BadQuery, when the model hears English only."""
    if languages and model != "flux-general-multi":
        raise BadQuery("language_hint is only available with flux-general-multi.")
    return tuple(languages)


def _within(name: str, value: Any) -> float:
    least, most = _RANGES[name]
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BadQuery(f"{name} must be a number.") from None
    if not least <= number <= most:
        raise BadQuery(f"{name} must be between {least:g} and {most:g}.")
    return number

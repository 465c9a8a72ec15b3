"""The query of Deepgram's /v1/listen: what it means and what is refused. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multidict import MultiMapping

_NOVA_2_DOMAINS = [
    "general",
    "meeting",
    "finance",
    "conversationalai",
    "voicemail",
    "video",
    "medical",
    "drivethru",
    "automotive",
    "phonecall",
    "atc",
]
MODELS = {
    "nova-3",
    "nova-3-general",
    "nova-3-medical",
    "nova-2",
    *(f"nova-2-{domain}" for domain in _NOVA_2_DOMAINS),
    *(f"{tier}{domain}" for tier in ("nova", "enhanced", "base") for domain in ("", "-general", "-phonecall")),
}
ENCODINGS = {"linear16", "linear32", "flac", "mulaw", "alaw", "amr-nb", "amr-wb", "opus", "ogg-opus", "speex", "g729"}
HEARD_ENCODINGS = {"mulaw": 1, "linear16": 2}
"""Encodings that this twin decodes, with bytes a sample; the others are accepted by the vendor only."""
_BOOLEANS = [
    "interim_results",
    "vad_events",
    "smart_format",
    "punctuate",
    "numerals",
    "profanity_filter",
    "dictation",
    "diarize",
    "multichannel",
    "filler_words",
    "no_delay",
    "mip_opt_out",
    "detect_entities",
]
_MAX_KEYWORDS = 100
_MAX_KEYTERM_TOKENS = 500
_MAX_TAG = 128
_LEAST_UTTERANCE_END_MS = 1_000


class BadQuery(Exception):  # noqa: N818 - it is an answer, not a fault
    """The vendor answers 400; the text is its reason."""


@dataclass(frozen=True, slots=True)
class ListenQuery:
    """A query that was accepted."""

    model: str
    language: str
    encoding: str
    sample_rate: int
    channels: int
    endpointing_ms: float | None
    utterance_end_ms: float | None
    flags: Mapping[str, bool]
    keyterms: tuple[str, ...]
    tags: tuple[str, ...]
    extra: Mapping[str, str]

    @property
    def nova_3(self) -> bool:
        """Whether the model takes keyterms."""
        return self.model.startswith("nova-3")

    @property
    def call(self) -> str:
        """The call this stream belongs to, as the client told: `extra=call_id:...`, else the first tag."""
        return self.extra.get("call_id") or next(iter(self.tags), "")


def parse(query: MultiMapping[str]) -> ListenQuery:
    """Read the query. Raises: BadQuery."""
    model, language = _model(query)
    flags = {name: _boolean(query, name) for name in _BOOLEANS}
    encoding, sample_rate = audio_format(query)
    return ListenQuery(
        model=model,
        language=language,
        encoding=encoding,
        sample_rate=sample_rate,
        channels=_whole(query, "channels", 1),
        endpointing_ms=_endpointing(query.get("endpointing", "10")),
        utterance_end_ms=_utterance_end(query, interim_results=flags["interim_results"]),
        flags=flags,
        keyterms=_boosted(query, model),
        tags=read_tags(query),
        extra=dict(pair.split(":", 1) for pair in query.getall("extra", []) if ":" in pair),
    )


def keyterms_fit(keyterms: Any) -> bool:
    """Whether the list stays under the vendor's limit."""
    return sum(len(term.split()) for term in keyterms) <= _MAX_KEYTERM_TOKENS


def _model(query: MultiMapping[str]) -> tuple[str, str]:
    model, language = query.get("model", "base"), query.get("language", "en")
    if model.startswith("flux"):
        raise BadQuery("Flux models are served by /v2/listen.")
    no_such = BadQuery("No such model/language/tier combination found.")
    if model not in MODELS:
        raise no_such
    english_only = model.startswith("nova-2-") and model != "nova-2-general"
    if (language == "multi" and not model.startswith(("nova-2", "nova-3"))) or (
        english_only and not language.startswith("en")
    ):
        raise no_such
    return model, language


def audio_format(query: MultiMapping[str]) -> tuple[str, int]:
    """Encoding and samples a second. Raises: BadQuery."""
    encoding = query.get("encoding")
    if encoding is None:
        raise BadQuery("encoding and sample_rate are required for raw audio; this twin hears no containers.")
    if encoding not in ENCODINGS:
        raise BadQuery(f"Invalid encoding: {encoding}.")
    if "sample_rate" not in query:
        raise BadQuery("sample_rate is required when encoding is given.")
    sample_rate = _whole(query, "sample_rate", 0)
    if encoding not in HEARD_ENCODINGS or sample_rate % 8_000 or not 8_000 <= sample_rate <= 48_000:
        raise BadQuery(f"This twin hears {', '.join(HEARD_ENCODINGS)} at multiples of 8000 Hz only.")
    if encoding == "mulaw" and sample_rate != 8_000:
        raise BadQuery("This twin hears mulaw at 8000 Hz only.")
    return encoding, sample_rate


def _boolean(query: MultiMapping[str], name: str) -> bool:
    value = query.get(name, "false")
    if value not in ("true", "false"):
        raise BadQuery(f"Failed to deserialize query parameters: {name}: provided string was not `true` or `false`.")
    return value == "true"


def _whole(query: MultiMapping[str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isdigit():
        raise BadQuery(f"Failed to deserialize query parameters: {name}: invalid digit found in string.")
    return int(value)


def _endpointing(value: str) -> float | None:
    if value in ("true", "false"):
        return 10.0 if value == "true" else None
    if not value.isdigit():
        raise BadQuery("Failed to deserialize query parameters: endpointing: expected a number of ms, true or false.")
    return float(value)


def _utterance_end(query: MultiMapping[str], *, interim_results: bool) -> float | None:
    if "utterance_end_ms" not in query:
        return None
    value = _whole(query, "utterance_end_ms", 0)
    if value < _LEAST_UTTERANCE_END_MS:
        raise BadQuery("utterance_end_ms must be at least 1000.")
    if not interim_results:
        raise BadQuery("utterance_end_ms requires interim_results=true.")
    return float(value)


def _boosted(query: MultiMapping[str], model: str) -> tuple[str, ...]:
    keywords, keyterms = query.getall("keywords", []), tuple(query.getall("keyterm", []))
    if keywords and model.startswith("nova-3"):
        raise BadQuery("Keywords are not supported with nova-3; use keyterm.")
    if len(keywords) > _MAX_KEYWORDS:
        raise BadQuery("Too many keywords; the limit is 100.")
    for keyword in keywords:
        _word, colon, boost = keyword.partition(":")
        if colon and not boost.lstrip("-").replace(".", "", 1).isdigit():
            raise BadQuery(f"Invalid keyword intensifier: {keyword}.")
    if keyterms and not model.startswith("nova-3"):
        raise BadQuery("Keyterm prompting is only available with nova-3 models.")
    if not keyterms_fit(keyterms):
        raise BadQuery("Keyterm limit exceeded. The maximum number of tokens across all keyterms is 500.")
    return keyterms


def read_tags(query: MultiMapping[str]) -> tuple[str, ...]:
    """Raises: BadQuery, when one is too long."""
    tags = tuple(query.getall("tag", []))
    if any(len(tag) > _MAX_TAG for tag in tags):
        raise BadQuery("A tag may have 128 characters at most.")
    return tags

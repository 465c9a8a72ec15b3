"""What a document that is accepted will most likely not do as its author means it. Pure."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from calliope.contracts.document.llm import LlmProvider
from calliope.contracts.document.model_names import LANGUAGE_MODELS, RECOGNISERS, VOICE_MODELS, ModelNames
from calliope.contracts.document.tts import TtsProvider
from calliope.contracts.errors import FieldProblem

_RECOGNISER = "deepgram"


def warnings_of(document: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
    """Warnings about a complete document, as JSON; what secrets hold is not looked at."""
    return (*_models(document), *_never_used(document))


def _models(document: Mapping[str, Any]) -> Iterator[FieldProblem]:
    config, fallbacks = document["llm_provider_config"], document["llm_fallback_providers"]["fallbacks"]
    yield from _language_model("llm_provider_config.model", document["llm_provider"], config)
    for index, fallback in enumerate(fallbacks):
        path = f"llm_fallback_providers.fallbacks.{index}.model"
        yield from _language_model(path, fallback["provider"], fallback)
    model = document["stt_settings"]["model"]
    yield from _named("stt_settings.model", _RECOGNISER, model, RECOGNISERS)
    voice = document["tts_settings"]
    for path, one in (
        ("tts_settings.model_id", voice),
        *((f"tts_settings.fallbacks.{index}.model_id", one) for index, one in enumerate(voice["fallbacks"])),
    ):
        yield from _named(path, one["provider"], one["model_id"], VOICE_MODELS[TtsProvider(one["provider"])])


def _language_model(path: str, provider: str, config: Mapping[str, Any]) -> Iterator[FieldProblem]:
    names = LANGUAGE_MODELS.get(LlmProvider(provider))
    if names is None or config["base_url"] is not None:
        return  # a server of the developer's own names its models as it likes
    model = config["model"]
    others = [other.value for other, theirs in LANGUAGE_MODELS.items() if model and theirs.forms(model)]
    owner = others[0] if len(others) == 1 and others[0] != provider else None
    yield from _named(path, provider, model, names, owner=owner)


def _named(
    path: str, provider: str, name: str | None, names: ModelNames, *, owner: str | None = None
) -> Iterator[FieldProblem]:
    if name is None or names.knows(name):
        return
    corrected = names.corrected(name) if names.forms(name) else None
    nearest = [corrected] if corrected else difflib.get_close_matches(name.lower(), names.examples, n=1, cutoff=0.5)
    said = f"it looks like a model of {owner}" if owner else f"nearest: {nearest[0]}" if nearest else ""
    said = said or f"such as {names.examples[0]}"
    hint = f"{said}; POST …/check asks the vendor"
    yield FieldProblem(path=path, message=f"{name!r} is not known to Calliope as a model of {provider}", hint=hint)


def _never_used(document: Mapping[str, Any]) -> Iterator[FieldProblem]:
    chain, transfer = document["llm_fallback_providers"], document["tools_settings"]["transfer_call"]
    if chain["fallbacks"] and not chain["enabled"]:
        yield _off("llm_fallback_providers.enabled", "the fallbacks below are never asked")
    if transfer["transfer_numbers"] and not transfer["enabled"]:
        yield _off("tools_settings.transfer_call.enabled", "nobody is transferred to the numbers that are listed")
    if document["idle_message"] is not None and document["idle_timeout"] is None:
        yield FieldProblem(
            path="idle_timeout",
            message="is not set, so idle_message is never said",
            hint="set it to the seconds of silence after which it is said, such as 10",
        )


def _off(path: str, consequence: str) -> FieldProblem:
    return FieldProblem(path=path, message=f"is false, so {consequence}", hint="set it to true, or leave them out")

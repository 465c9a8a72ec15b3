"""How a document says how the caller is heard: what fits which model."""

from typing import Any

import pytest
from pydantic import ValidationError

from calliope.contracts.document.spec import AssistantSpec
from calliope.contracts.document.stt import SttSettings
from calliope.validation.problems import field_problems


def settings(**given: Any) -> SttSettings:
    return SttSettings.model_validate(given)


@pytest.mark.parametrize(
    "family", ["nova-2", "nova-2-phonecall", "nova-2-medical", "nova", "enhanced", "base-phonecall"]
)
def test_keywords_are_for_every_model_before_nova_3(family: str) -> None:
    assert settings(model=family, keywords=[{"keyword": "Acme", "intensifier": 2}]).keywords[0].keyword == "Acme"


@pytest.mark.parametrize("model", ["nova-3", "nova-3-medical", "flux-general-en", "flux-general-multi"])
def test_keyterms_are_for_nova_3_and_flux(model: str) -> None:
    assert settings(model=model, keyterms=["Acme Ltd"]).takes_keyterms


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"model": "nova-2", "keywords": [{"keyword": "x", "intensifier": -1}]}, "keywords"),
        ({"keyterms": [" ".join("abcdef")] * 100}, "keyterms"),
        ({"model": "enhanced", "language": "multi"}, "language"),
        ({"model": "flux-general-en", "language": "de"}, "language"),
        ({"model": "flux-general-en", "language": "multi"}, "language"),
        ({"model": "flux-general-en", "punctuate": False}, "punctuate"),
        ({"model": "flux-general-en", "smart_format": True}, "smart_format"),
        ({"model": "flux-general-en", "filler_words": True}, "filler_words"),
        ({"model": "flux-general-en", "endpointing": 300}, "endpointing"),
        ({"model": "flux-general-en", "utterance_end_ms": 1_500}, "utterance_end_ms"),
        ({"model": "flux-general-en", "redact": ["pci"]}, "redact"),
        ({"model": "flux-general-en", "eager_eot_threshold": 0.8}, "eager_eot_threshold"),
        ({"eot_threshold": 0.8}, "eot_threshold"),
        ({"eager_eot_threshold": 0.4}, "eager_eot_threshold"),
        ({"eot_timeout_ms": 3_000}, "eot_timeout_ms"),
        ({"interim_results": False}, "interim_results"),
        ({"audio_denoising": True}, "audio_denoising"),
    ],
)
def test_what_a_model_does_not_know_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    document = {"name": "Ann", "llm_provider_config": {"api_key": "k"}, "stt_settings": given}
    with pytest.raises(ValidationError) as caught:
        AssistantSpec.model_validate(document)
    assert f"stt_settings.{field}" in {problem.path for problem in field_problems(caught.value, AssistantSpec)}


def test_callers_who_switch_languages_are_heard_in_shorter_windows() -> None:
    assert settings().pause_ms == 300
    assert settings(language="multi").pause_ms == 100
    assert settings(language="multi", endpointing=400).pause_ms == 400


def test_a_multilingual_flux_hears_every_language_unless_told() -> None:
    assert settings(model="flux-general-multi").language == "multi"
    assert settings(model="flux-general-multi", language="de").language == "de"


@pytest.mark.parametrize("model", ["nova-3", "flux-general-en", "flux-general-multi"])
def test_a_stored_document_is_still_accepted(model: str) -> None:
    once = settings(model=model)
    assert SttSettings.model_validate(once.model_dump(mode="json")) == once

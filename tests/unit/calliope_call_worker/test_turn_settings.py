"""How patient a call is, by its document."""

from typing import Any

import pytest

from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker.dialogue import turn_settings
from calliope_call_worker.settings import CallSettings


@pytest.mark.parametrize(
    ("stt", "ceiling_s"),
    [
        ({"model": "nova-3"}, 3.0),
        ({"model": "flux-general-en"}, 5.5),
        ({"model": "flux-general-en", "eot_timeout_ms": 8_000}, 8.5),
        ({"model": "flux-general-en", "eot_timeout_ms": 500}, 3.0),
    ],
)
def test_who_judges_turns_itself_is_given_the_time_that_it_asked_for(stt: dict[str, Any], ceiling_s: float) -> None:
    spec = AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, "stt_settings": stt})
    assert turn_settings(spec, CallSettings()).interim_ceiling_s == ceiling_s

"""`MODEL=… SLOPPY=…`: another emulator answers a played call, and its vendors misbehave by a seed."""

import argparse

import pytest

from calliope.contracts.document.spec import AssistantSpec
from calliope_local.rehearsal import MODELS, USUAL, Rehearsal
from calliope_local.scenario import Scenario

ASSISTANT = {"name": "Anna", "llm_provider": "openai", "llm_provider_config": {"api_key": "mine", "temperature": 0.1}}
SANDBOX = "http://127.0.0.1:8090"


def parsed(*arguments: str) -> Rehearsal:
    parser = argparse.ArgumentParser()
    Rehearsal.add_to(parser)
    return Rehearsal.of(parser.parse_args(arguments))


@pytest.mark.parametrize("model", MODELS)
def test_the_assistant_gets_the_model_that_was_chosen_and_keeps_its_key(model: str) -> None:
    assistant = parsed("--model", model).applied(Scenario(ASSISTANT), SANDBOX).assistant
    spec = AssistantSpec.model_validate(assistant)
    assert (spec.llm_provider, spec.name) == (model, f"Anna ({model})")
    assert assistant["llm_provider_config"]["api_key"] == "mine"
    assert ("base_url" in assistant["llm_provider_config"]) == (model == "custom")


def test_nothing_is_changed_unasked() -> None:
    scenario = Scenario(ASSISTANT)
    assert parsed() == USUAL
    assert USUAL.applied(scenario, SANDBOX) is scenario
    assert USUAL.told(SANDBOX) is None


def test_a_seed_is_a_whole_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed("--sloppy", "7").seed == 7
    with pytest.raises(SystemExit):
        parsed("--sloppy", "much")
    assert "must be a whole number, such as 7" in capsys.readouterr().err

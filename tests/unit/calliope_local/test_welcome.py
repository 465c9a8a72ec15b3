"""What `make up` says: that models are scripted while they are, and the way to a call."""

from calliope_local.env_file import EnvFile
from calliope_local.local_models import ModelServer
from calliope_local.outside import decide
from calliope_local.welcome import REAL, SCRIPTED, welcome

ADDRESSES = {"gateway": "http://g", "sandbox": "http://s", "api_key": "cal_live_1", "twilio_auth_token": "secret"}


def told(file: EnvFile | None = None, models: ModelServer | None = None) -> str:
    choices = decide(file or EnvFile(), models=models).choices
    return welcome(ADDRESSES, choices, folder=".calliope", local=".calliope/local.json")


def test_a_newcomer_is_told_that_models_are_scripted_and_how_they_are_not() -> None:
    text = told()

    assert f"\n{SCRIPTED}\n{REAL}\n" in text
    assert "make assistant FILE=examples/reception.json NUMBER=+15550002222" in text
    assert "make call NUMBER=+15550002222" in text
    assert "secret" not in text


def test_nothing_is_said_of_scripts_when_a_model_is_real() -> None:
    assert SCRIPTED not in told(EnvFile(values={"OPENAI_API_KEY": "sk-1"}))

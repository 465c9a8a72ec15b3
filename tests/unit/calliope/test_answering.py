"""Whether the calls of a number would be answered, told from its assistant's document."""

from typing import Any

import pytest

from calliope.contracts.document.answering import unanswered
from calliope.contracts.document.spec import AssistantSpec

TWILIO = {"account_sid": "AC" + "0" * 32, "auth_token": "t"}
TELNYX = {"api_key": "KEY1", "connection_id": "7"}
UNLESS = "unless the installation has"


def a_document(**changes: Any) -> dict[str, Any]:
    spec = AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}, **changes})
    return spec.model_dump(mode="json")


@pytest.mark.parametrize(
    ("carrier", "document", "paths"),
    [
        ("twilio", {}, ["twilio_config"]),
        ("telnyx", {"twilio_config": TWILIO}, ["telnyx_config"]),
        ("twilio", {"twilio_config": TWILIO}, []),
        ("telnyx", {"telnyx_config": TELNYX}, ["telnyx_config.public_key"]),
        ("telnyx", {"telnyx_config": TELNYX | {"public_key": "a2V5"}}, []),
        ("twilio", {"is_active": False}, ["twilio_config", "is_active"]),
    ],
)
def test_what_keeps_calls_from_being_answered_is_named(
    carrier: str, document: dict[str, Any], paths: list[str]
) -> None:
    found = unanswered(carrier, a_document(**document))
    assert [problem.path for problem in found] == paths
    assert all(problem.hint for problem in found)
    assert all(UNLESS in problem.message for problem in found if problem.path != "is_active")


def test_who_knows_the_installations_accounts_gets_no_unless() -> None:
    assert unanswered("twilio", a_document(), installation={"twilio"}) == ()
    (problem,) = unanswered("twilio", a_document(), installation={"telnyx"})
    assert UNLESS not in problem.message

"""What a plan tells others about its call."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest
from pydantic import SecretStr

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.calls import Direction
from calliope.contracts.document.spec import AssistantSpec
from calliope.errors import PermanentError
from calliope.secrets import Opener
from calliope_call_worker.accounts import NoAccountError, account_for
from calliope_call_worker.opened_documents import open_spec
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.providers.llm.base import CallFacts
from calliope_call_worker.settings import CarriersSettings, TelnyxSettings, TwilioSettings

OURS, THEIRS = "+15550100", "+15550199"


def a_plan(direction: Direction, from_number: str, to_number: str) -> CallPlan:
    return CallPlan(
        call_id="call_1",
        organization_id="org_1",
        assistant_id="asst_1",
        assistant_revision=1,
        spec=AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}}),
        direction=direction,
        from_number=from_number,
        to_number=to_number,
        carrier=cast("Any", None),
        account=cast("Any", None),
        carrier_call_id="CA1",
        token="t",
        began=datetime(2026, 1, 31, tzinfo=UTC),
        time_zone="UTC",
    )


@pytest.mark.parametrize(
    ("direction", "from_number", "to_number"),
    [(Direction.INBOUND, THEIRS, OURS), (Direction.OUTBOUND, OURS, THEIRS)],
)
def test_a_model_is_told_whose_number_is_whose(direction: Direction, from_number: str, to_number: str) -> None:
    plan = a_plan(direction, from_number, to_number)
    assert plan.facts == CallFacts("CA1", assistant_number=OURS, caller_number=THEIRS)


@pytest.mark.parametrize(
    ("direction", "from_number", "to_number", "shown"),
    [
        (Direction.INBOUND, "+15550100199", "+15550100100", None),
        (Direction.INBOUND, "client:bob", "+15550100100", "+15550100100"),
        (Direction.INBOUND, "sip:+15550100199@example.com", "+15550100100", "+15550100100"),
        (Direction.INBOUND, "anonymous", "+15550100100", "+15550100100"),
        (Direction.INBOUND, "+266696687", "+15550100100", "+15550100100"),
        (Direction.INBOUND, "+7378742833", "+15550100100", "+15550100100"),
        (Direction.INBOUND, "", "+15550100100", "+15550100100"),
        (Direction.INBOUND, "client:bob", "sip:desk@example.com", None),
        (Direction.OUTBOUND, "+15550100100", "+15550100199", "+15550100100"),
        (Direction.OUTBOUND, "+15550100100", "client:bob", "+15550100100"),
    ],
)
def test_who_is_connected_without_a_number_of_their_own_is_shown_with_ours(
    direction: Direction, from_number: str, to_number: str, shown: str | None
) -> None:
    assert a_plan(direction, from_number, to_number).shown_number == shown


@pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
def test_an_account_whose_secret_is_set_to_nothing_is_none(carrier: str) -> None:
    """An empty key would let anybody sign."""
    nothing = SecretStr("")
    settings = CarriersSettings(
        twilio=TwilioSettings(account_sid="AC1", auth_token=nothing),
        telnyx=TelnyxSettings(connection_id="1", api_key=nothing, public_key=""),
    )
    with pytest.raises(NoAccountError):
        account_for(
            carrier, AssistantSpec.model_validate({"name": "Ann", "llm_provider_config": {"api_key": "k"}}), settings
        )


async def test_a_stored_document_that_newer_rules_refuse_is_refused_without_its_values() -> None:
    """It may have been stored before a rule was: the caller is turned away, and nobody reads the secret beside it."""
    document = {"name": "Ann", "llm_provider_config": {"api_key": "sk-secret"}, "idle_timeout": -7}
    pinned = PinnedAssistant(id="asst_1", organization_id="org_1", revision=3, document=document)

    with pytest.raises(PermanentError, match=r"revision 3 of asst_1 .*idle_timeout") as caught:
        await open_spec(pinned, Opener([]))

    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None

"""What a call is started with, made of a hook that is trusted, its account and its document. No I/O."""

import secrets
from datetime import UTC, datetime

from calliope.contracts.base import Event
from calliope.contracts.calls import CallStarted, Direction
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.providers.telephony.base import Carrier, CarrierAccount, VoiceHook


def new_plan(
    carrier: Carrier,
    hook: VoiceHook,
    account: CarrierAccount,
    spec: AssistantSpec,
    *,
    call_id: str,
    organization_id: str,
    assistant_id: str,
    assistant_revision: int,
    time_zone: str,
) -> CallPlan:
    """A call that begins now. `time_zone`: of assistants that name none."""
    return CallPlan(
        call_id=call_id,
        organization_id=organization_id,
        assistant_id=assistant_id,
        assistant_revision=assistant_revision,
        spec=spec,
        direction=hook.direction,
        from_number=hook.from_number,
        to_number=hook.to_number,
        carrier=carrier,
        account=account,
        carrier_call_id=hook.carrier_call_id,
        token=new_token(),
        began=datetime.now(UTC),
        time_zone=spec.time_zone or time_zone,
    ).with_variables()


def plan_of(
    carrier: Carrier, account: CarrierAccount, spec: AssistantSpec, first: Event, *, revision: int, time_zone: str
) -> CallPlan:
    """A call that has begun, by its first fact; `revision` is the one of `spec`."""
    started = CallStarted.model_validate(first.data)
    return CallPlan(
        call_id=first.entity_id,
        organization_id=first.organization,
        assistant_id=started.assistant_id,
        assistant_revision=revision,
        spec=spec,
        direction=Direction.OUTBOUND if started.direction == Direction.OUTBOUND else Direction.INBOUND,
        from_number=started.from_number,
        to_number=started.to_number,
        carrier=carrier,
        account=account,
        carrier_call_id=started.carrier_call_id,
        token=new_token(),
        began=started.accepted_at or first.time,
        time_zone=spec.time_zone or time_zone,
    ).with_variables()


def new_token() -> str:
    """Opens the call's media socket, once."""
    return secrets.token_urlsafe(24)

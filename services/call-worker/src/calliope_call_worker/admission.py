"""Admission: what the call of a hook is planned with, and whether the hook is genuine. No I/O."""

import secrets
import time
from datetime import UTC, datetime

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.calls import CallStarted, CarrierRequest
from calliope.ids import derived_id
from calliope.secrets import Opener
from calliope_call_worker.plan import CallPlan, account_for, open_spec
from calliope_call_worker.providers.telephony.base import Carrier, CarrierAccount, VoiceHook
from calliope_call_worker.refusal_words import Refused, other_account, unsigned
from calliope_call_worker.settings import WorkerSettings


class Admission:
    """Plans calls of hooks that are not trusted yet, and says which are."""

    def __init__(self, settings: WorkerSettings, opener: Opener) -> None:
        self._settings = settings
        self._opener = opener

    def plan(
        self,
        carrier: Carrier,
        hook: VoiceHook,
        pinned: PinnedAssistant,
        first: CallStarted | None = None,
        *,
        began: datetime | None = None,
    ) -> CallPlan:
        """A new call, or with its `first` fact, and when that was, one that has begun. Raises: PermanentError."""
        spec = open_spec(pinned, self._opener)
        return CallPlan(
            call_id=call_id_of(pinned.organization_id, carrier, hook),
            organization_id=pinned.organization_id,
            assistant_id=pinned.id,
            assistant_revision=pinned.revision,
            spec=spec,
            direction=hook.direction if first is None else first.direction,
            from_number=hook.from_number if first is None else first.from_number,
            to_number=hook.to_number if first is None else first.to_number,
            carrier=carrier,
            account=account_for(carrier.name, spec, self._settings.carriers),
            carrier_call_id=hook.carrier_call_id,
            token=secrets.token_urlsafe(24),
            began=began or datetime.now(UTC),
            time_zone=spec.time_zone or self._settings.call.time_zone,
        ).with_variables()

    def distrusts(
        self, carrier: Carrier, request: CarrierRequest, hook: VoiceHook, account: CarrierAccount
    ) -> Refused | None:
        """Why not; None when this very account signed the hook and is named by it."""
        if not carrier.verify(request, account, self._settings.public_url, time.time()):
            url = self._settings.public_url.rstrip("/") + request.path_and_query.partition("?")[0]
            return unsigned(carrier.name, hook, account.account_id, url, has_key=account.public_key is not None)
        if hook.account_id != account.account_id:
            return other_account(carrier.name, hook, account.account_id)
        return None


def call_id_of(organization_id: str, carrier: Carrier, hook: VoiceHook) -> str:
    """A carrier's id alone is not enough: a tenant who signs with its own account could name another's call."""
    return derived_id("call", organization_id, carrier.name, hook.carrier_call_id)

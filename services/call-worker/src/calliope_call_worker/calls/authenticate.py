"""Who sends a hook: an account that the call's assistant has at the carrier, and nothing else of its document."""

import time
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from calliope.caches import BoundedCache
from calliope.contracts.assistants import NumberRoute
from calliope.contracts.base import Event
from calliope.contracts.calls import CallStarted, CarrierRequest, Direction
from calliope.errors import CommandError, PermanentError, TransientError
from calliope.ids import derived_id
from calliope_call_worker.accounts import CONFIGS, CarrierAccounts, own_account
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import NumberResolver
from calliope_call_worker.providers.telephony.base import Carrier, CarrierAccount, VoiceHook
from calliope_call_worker.refusal_words import Refused, no_account, other_account, unsigned, wrong_carrier
from calliope_call_worker.settings import WorkerSettings

CACHE_BYTES: Final = 2 * 1024 * 1024


class Sender(Enum):
    """What is known of who sends a hook, before anybody is asked."""

    PROVEN = auto()
    """An account that is known here signed it."""
    UNKNOWN = auto()
    """Others have to be asked whose number or call it is about."""


@dataclass(frozen=True, slots=True)
class BegunCall:
    """A call that has begun, as far as its hooks are concerned; `account` is known where the call runs here."""

    call_id: str
    organization_id: str
    assistant_id: str
    assistant_revision: int
    carrier: str
    carrier_call_id: str
    our_number: str
    account: CarrierAccount | None = None


def running_call(plan: CallPlan) -> BegunCall:
    """A call that runs here."""
    return BegunCall(
        call_id=plan.call_id,
        organization_id=plan.organization_id,
        assistant_id=plan.assistant_id,
        assistant_revision=plan.assistant_revision,
        carrier=plan.carrier.name,
        carrier_call_id=plan.carrier_call_id,
        our_number=plan.facts.assistant_number,
        account=plan.account,
    )


def begun_call(first: Event) -> BegunCall:
    """A call by its first fact."""
    started = CallStarted.model_validate(first.data)
    return BegunCall(
        call_id=first.entity_id,
        organization_id=first.organization,
        assistant_id=started.assistant_id,
        assistant_revision=started.assistant_revision,
        carrier=started.carrier,
        carrier_call_id=started.carrier_call_id,
        our_number=started.to_number if started.direction is Direction.INBOUND else started.from_number,
    )


class HookAuthenticator:
    """Finds accounts, and says whether they signed."""

    def __init__(
        self, settings: WorkerSettings, accounts: CarrierAccounts, numbers: NumberResolver, documents: CallDocuments
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._numbers = numbers
        self._documents = documents
        self._by_revision: BoundedCache[tuple[str, str, str, int], CarrierAccount] = BoundedCache(CACHE_BYTES)

    def account_of(self, carrier: Carrier, route: NumberRoute) -> CarrierAccount | Refused:
        """The account that hooks about a number are signed with, or why there is none."""
        if route.carrier != carrier.name:
            return wrong_carrier(carrier.name, route.carrier)
        try:
            return self._of_route(route)
        except PermanentError as exc:
            return no_account(carrier.name, exc)

    def installation_account(self, carrier: Carrier) -> CarrierAccount | None:
        """The account of calls to numbers that are nobody's."""
        return own_account(carrier.name, self._settings.carriers)

    async def signed_by(
        self, carrier: Carrier, request: CarrierRequest, hook: VoiceHook, call: BegunCall
    ) -> CarrierAccount | Refused | None:
        """The account that signed a hook of this call, or why none did; None: it has no account any more.

        A carrier signs with what it has: a token that was changed during the call counts, and so does the old one.
        Raises: PermanentError, CommandError, TransientError, when the account it was taken with cannot be had.
        """
        distrust = None
        for find in (_known, self._newest, self._taken_with):
            account = await find(call)
            if account is None:
                continue
            distrust = self.distrusts(carrier, request, hook, account)
            if distrust is None:
                return account
        return distrust

    async def accounts_of(self, call: BegunCall) -> list[CarrierAccount]:
        """What commands about this call can be given with, the newest first. Raises: as `signed_by`."""
        found = [await self._newest(call), await self._taken_with(call)]
        return list(dict.fromkeys(account for account in found if account is not None))

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

    async def _newest(self, call: BegunCall) -> CarrierAccount | None:
        """That of its number now, if it still leads to the assistant."""
        try:
            known = self._numbers.known(call.our_number)
            route = await self._numbers.route(call.our_number) if known is None else known.route
        except (CommandError, TransientError):
            return None
        owner = (call.organization_id, call.assistant_id, call.carrier)
        if route is None or (route.organization_id, route.assistant_id, route.carrier) != owner:
            return None
        try:
            return self._of_route(route)
        except PermanentError:
            return None

    async def _taken_with(self, call: BegunCall) -> CarrierAccount | None:
        """That of the revision that the call was taken with."""
        key = (call.carrier, call.organization_id, call.assistant_id, call.assistant_revision)
        account = self._by_revision.get(key)
        if account is None:
            pinned = await self._documents.pinned(*key[1:])
            if pinned is None:
                return None
            config = pinned.document.get(CONFIGS[call.carrier])
            account = self._accounts.of(
                call.carrier, config, organization_id=call.organization_id, assistant_id=call.assistant_id
            )
            if pinned.revision == call.assistant_revision:
                self._by_revision.put(key, account, sum(map(len, key[:3])) + len(account.secret))
        return account

    def _of_route(self, route: NumberRoute) -> CarrierAccount:
        return self._accounts.of(
            route.carrier, route.account, organization_id=route.organization_id, assistant_id=route.assistant_id
        )


async def _known(call: BegunCall) -> CarrierAccount | None:
    return call.account


def call_id_of(organization_id: str, carrier: Carrier, hook: VoiceHook) -> str:
    """A carrier's id alone is not enough: a tenant who signs with its own account could name another's call."""
    return derived_id("call", organization_id, carrier.name, hook.carrier_call_id)

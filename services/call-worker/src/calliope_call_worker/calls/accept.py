"""Use case: a carrier asks about a new call, and this worker takes it, or says why not."""

import structlog

from calliope.contracts.assistants import NumberRoute
from calliope.contracts.calls import CarrierRequest, CarrierResponse, Refusal
from calliope.errors import PermanentError, TransientError
from calliope_call_worker.calls.attempts import Attempts
from calliope_call_worker.calls.authenticate import HookAuthenticator, Sender, call_id_of
from calliope_call_worker.calls.claim import CallClaims
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.calls.plans import new_plan
from calliope_call_worker.calls.start import CallStarter
from calliope_call_worker.errors import ASK_SOON_S, OwnershipError
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.ports import NumberResolver
from calliope_call_worker.providers.telephony.base import FORBIDDEN, Carrier, CarrierAccount, VoiceHook
from calliope_call_worker.refusal_words import FULL, INACTIVE, Refused, bad_document
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import CallSettings

log = structlog.get_logger(__name__)


class CallAcceptance:
    """Verify, claim, start, answer: each once, whatever a carrier repeats."""

    def __init__(
        self,
        *,
        settings: CallSettings,
        authenticator: HookAuthenticator,
        numbers: NumberResolver,
        documents: CallDocuments,
        claims: CallClaims,
        starter: CallStarter,
        orders: CarrierOrders,
        live: LiveCalls,
        refusals: Refusals,
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._numbers = numbers
        self._documents = documents
        self._claims = claims
        self._starter = starter
        self._orders = orders
        self._live = live
        self._refusals = refusals
        self._attempts: Attempts[CarrierResponse] = Attempts()

    def sender(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> Sender | CarrierResponse:
        """Who sends it, or the refusal, by what was known a second ago: of many strangers few are asked about."""
        known = self._numbers.known(hook.our_number)
        if known is None:
            return Sender.UNKNOWN
        if known.route is None:
            return self._nobodys(carrier, hook, request)
        account = self._account(carrier, hook, request, known.route)
        return account if isinstance(account, CarrierResponse) else Sender.PROVEN

    async def accept(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        """The answer to the carrier.

        Raises: TransientError, when another worker should be asked: this one is full, or the call is elsewhere.
        """
        verified = await self._verified(carrier, hook, request)
        if isinstance(verified, CarrierResponse):
            return verified
        route, account, call_id = verified
        return await self._attempts.once(call_id, lambda: self._take(carrier, hook, route, account, call_id))

    async def decline(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        """Refuse a call as busy, unless some worker has it: the refusal is the first fact, or there is one already.

        Raises: TransientError, when that cannot be written.
        """
        verified = await self._verified(carrier, hook, request)
        if isinstance(verified, CarrierResponse):
            return verified
        route, account, call_id = verified
        if not await self._refusals.claim(carrier.name, hook, route, FULL, call_id=call_id):
            return carrier.leave().response
        return self._orders.give(carrier.name, account, hook.carrier_call_id, carrier.refuse("busy"))

    async def _verified(
        self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest
    ) -> tuple[NumberRoute, CarrierAccount, str] | CarrierResponse:
        """Where the call goes, by whose account, and its id; or the answer that is clear: it runs here, is refused."""
        route = await self._numbers.route(hook.our_number)
        if route is None:
            return self._nobodys(carrier, hook, request)
        account = self._account(carrier, hook, request, route)
        if isinstance(account, CarrierResponse):
            return account
        if not route.is_active:
            return self._refuse(carrier, hook, route, account, INACTIVE)
        call_id = call_id_of(route.organization_id, carrier, hook)
        if (running := self._live.get(call_id)) is not None:
            return self._starter.answer(running.plan)
        return route, account, call_id

    def _account(
        self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest, route: NumberRoute
    ) -> CarrierAccount | CarrierResponse:
        """The account that signed a hook about this number, or the refusal."""
        account = self._authenticator.account_of(carrier, route)
        if isinstance(account, Refused):
            self._refusals.note(carrier.name, hook, route, account)
            return self._turn_away(carrier, hook, request)
        distrust = self._authenticator.distrusts(carrier, request, hook, account)
        if distrust is not None:
            self._refusals.distrusted(carrier.name, distrust.code, told=False)
            self._refusals.note(carrier.name, hook, route, distrust)
            return FORBIDDEN
        return account

    async def _take(
        self, carrier: Carrier, hook: VoiceHook, route: NumberRoute, account: CarrierAccount, call_id: str
    ) -> CarrierResponse:
        if self._live.full:
            # Others may have one; the gateway looks for them.
            raise TransientError("no free slot", retry_after_s=ASK_SOON_S)
        try:
            document = await self._documents.for_new_call(route)
        except PermanentError as exc:
            return self._refuse(carrier, hook, route, account, bad_document(exc))
        if document is None:
            self._refusals.count(carrier.name, Refusal.UNKNOWN_NUMBER)
            return self._orders.give(carrier.name, account, hook.carrier_call_id, carrier.refuse("rejected"))
        spec, revision = document
        plan = new_plan(
            carrier,
            hook,
            account,
            spec,
            call_id=call_id,
            organization_id=route.organization_id,
            assistant_id=route.assistant_id,
            assistant_revision=revision,
            time_zone=self._settings.time_zone,
        )
        try:
            with self._claims.slot(call_id):
                journal = await self._claims.begin(plan)
                self._numbers.keep(route)
                return await self._starter.start(plan, journal)
        except OwnershipError as exc:
            log.info("call.elsewhere", reason="another worker has it", call_id=call_id)
            if not carrier.reads_answers:
                return carrier.leave().response
            raise TransientError("another worker has the call; its answer counts", retry_after_s=ASK_SOON_S) from exc

    def _refuse(
        self, carrier: Carrier, hook: VoiceHook, route: NumberRoute, account: CarrierAccount, why: Refused
    ) -> CarrierResponse:
        self._refusals.note(carrier.name, hook, route, why)
        return self._orders.give(carrier.name, account, hook.carrier_call_id, carrier.refuse("rejected"))

    def _nobodys(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        self._refusals.count(carrier.name, Refusal.UNKNOWN_NUMBER)
        return self._turn_away(carrier, hook, request)

    def _turn_away(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        """Refuse; a carrier that is told by REST can be told only with an account, here the installation's."""
        answer = carrier.refuse("rejected")
        account = self._authenticator.installation_account(carrier)
        if answer.action is None or account is None:
            return answer.response
        distrust = self._authenticator.distrusts(carrier, request, hook, account)
        if distrust is not None:
            self._refusals.distrusted(carrier.name, distrust.code)
            return answer.response
        return self._orders.give(carrier.name, account, hook.carrier_call_id, answer)

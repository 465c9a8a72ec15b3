"""Edge of calls: parses a carrier's hook and has it answered. Nobody else reads carrier requests."""

from collections.abc import Awaitable, Callable, Mapping

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.errors import PermanentError
from calliope.messaging.direct_responder import Pending
from calliope_call_worker.calls.accept import CallAcceptance
from calliope_call_worker.calls.authenticate import HookAuthenticator, Sender
from calliope_call_worker.calls.claim import CallClaims
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.calls.resume import CallResumption
from calliope_call_worker.calls.start import CallStarter, StartCall
from calliope_call_worker.orders import CarrierOrders, Spawn
from calliope_call_worker.ports import Journals, Leases, NumberResolver, OpenCalls, Playbacks
from calliope_call_worker.providers.telephony.base import Carrier, HookKind, VoiceHook
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import WorkerSettings

Answer = Callable[[Carrier, VoiceHook, CarrierRequest], Awaitable[CarrierResponse]]


class CarrierHooks:
    """Hooks of every carrier."""

    def __init__(
        self,
        carriers: Mapping[str, Carrier],
        acceptance: CallAcceptance,
        resumption: CallResumption,
        refusals: Refusals,
    ) -> None:
        self._carriers = carriers
        self._acceptance = acceptance
        self._resumption = resumption
        self._refusals = refusals

    def answer(self, request: CarrierRequest) -> CarrierResponse | Pending[CarrierResponse]:
        """Answer a hook: a new call, or news of one that has begun.

        Whoever is known to be a stranger is refused without waiting for anything. Pending work raises TransientError,
        when another worker should be asked.
        """
        return self._looked_at(request, self._acceptance.accept, self._resumption.hear)

    def decline(self, request: CarrierRequest) -> CarrierResponse | Pending[CarrierResponse]:
        """Answer a hook that no worker with a free slot took: news as ever, calls that need a slot with a refusal.

        Pending work raises TransientError, when it is not known whether another worker has the call.
        """
        return self._looked_at(request, self._acceptance.decline, self._resumption.decline)

    async def take_up(self, carrier: str, call_id: str) -> None:
        """Go on with a call that rings and nobody holds, or end it; one whose carrier waits for an answer gets one.

        Raises: TransientError, when another worker does, or no slot is free; PermanentError.
        """
        if not self._carriers[carrier].reads_answers:
            await self._resumption.take_up(self._carriers[carrier], call_id)

    def _looked_at(
        self, request: CarrierRequest, on_call: Answer, on_news: Answer
    ) -> CarrierResponse | Pending[CarrierResponse]:
        carrier = self._carriers.get(request.carrier)
        if carrier is None:
            return CarrierResponse(status=404, content_type="text/plain", body=f"no carrier {request.carrier}")
        try:
            hook = carrier.read_voice_hook(request)
        except ValueError as exc:
            return CarrierResponse(status=400, content_type="text/plain", body=str(exc))
        if hook.kind is HookKind.OTHER:
            return carrier.noted().response
        is_call = hook.kind is HookKind.CALL
        try:
            sender = (self._acceptance if is_call else self._resumption).sender(carrier, hook, request)
        except PermanentError as exc:
            return self._failed(carrier, exc)
        if isinstance(sender, CarrierResponse):
            return sender
        on_hook = on_call if is_call else on_news
        return Pending(lambda: self._answered(carrier, hook, request, on_hook), sender is Sender.PROVEN)

    async def _answered(
        self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest, on_hook: Answer
    ) -> CarrierResponse:
        try:
            return await on_hook(carrier, hook, request)
        except PermanentError as exc:
            return self._failed(carrier, exc)

    def _failed(self, carrier: Carrier, error: PermanentError) -> CarrierResponse:
        self._refusals.failed(carrier.name, error)
        return carrier.refuse("rejected").response


def carrier_hooks(
    *,
    settings: WorkerSettings,
    worker_id: str,
    carriers: Mapping[str, Carrier],
    orders: CarrierOrders,
    numbers: NumberResolver,
    documents: CallDocuments,
    authenticator: HookAuthenticator,
    journals: Journals,
    playbacks: Playbacks,
    leases: Leases,
    open_calls: OpenCalls,
    live: LiveCalls,
    refusals: Refusals,
    spawn: Spawn,
    start: StartCall,
    media_url: Callable[[], str],
) -> CarrierHooks:
    """The hooks of one worker, whose use cases share its claims."""
    claims = CallClaims(worker_id, live, journals, leases, open_calls)
    starter = CallStarter(settings, orders, claims, start, media_url)
    acceptance = CallAcceptance(
        settings=settings.call,
        authenticator=authenticator,
        numbers=numbers,
        documents=documents,
        claims=claims,
        starter=starter,
        orders=orders,
        live=live,
        refusals=refusals,
    )
    resumption = CallResumption(
        settings=settings.call,
        authenticator=authenticator,
        numbers=numbers,
        documents=documents,
        journals=journals,
        playbacks=playbacks,
        claims=claims,
        starter=starter,
        orders=orders,
        live=live,
        refusals=refusals,
        spawn=spawn,
    )
    return CarrierHooks(carriers, acceptance, resumption, refusals)

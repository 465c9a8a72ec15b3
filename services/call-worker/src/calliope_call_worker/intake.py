"""Edge of calls: a carrier's hook becomes a call on this worker, or a clear no. Nobody else reads carrier requests."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog

from calliope.contracts.assistants import PinnedAssistant, ResolvedNumber
from calliope.contracts.base import Event
from calliope.contracts.calls import (
    CallEnded,
    CallStarted,
    CarrierRequest,
    CarrierResponse,
    EndReason,
    ProviderFailed,
    Refusal,
    Resumed,
)
from calliope.errors import PermanentError, TransientError
from calliope.secrets import Opener
from calliope_call_worker import phrases
from calliope_call_worker.admission import Admission, call_id_of
from calliope_call_worker.continuation import continuation, ended, outdated, resumed_since
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.orders import CarrierOrders, last_words
from calliope_call_worker.plan import CallPlan, own_account
from calliope_call_worker.ports import Directory, Journal, Journals, Leases, OpenCalls
from calliope_call_worker.providers.failures import StageError
from calliope_call_worker.providers.telephony.base import (
    RESUME,
    Carrier,
    CarrierAccount,
    CarrierAnswer,
    HookKind,
    MediaAnswer,
    VoiceHook,
)
from calliope_call_worker.refusal_words import FULL, INACTIVE, Refused, not_planned, wrong_carrier
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCall, LiveCalls
from calliope_call_worker.settings import WorkerSettings

log = structlog.get_logger(__name__)

StartCall = Callable[[CallPlan, Journal], Awaitable[None]]
FORBIDDEN: Final = CarrierResponse(status=403, content_type="text/plain", body="the signature is not valid")


class Intake:
    """Accepts calls."""

    def __init__(
        self,
        *,
        settings: WorkerSettings,
        worker_id: str,
        carriers: Mapping[str, Carrier],
        orders: CarrierOrders,
        directory: Directory,
        journals: Journals,
        leases: Leases,
        open_calls: OpenCalls,
        opener: Opener,
        live: LiveCalls,
        refusals: Refusals,
        start: StartCall,
        media_url: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._carriers = carriers
        self._orders = orders
        self._directory = directory
        self._journals = journals
        self._leases = leases
        self._open_calls = open_calls
        self._admission = Admission(settings, opener)
        self._live = live
        self._refusals = refusals
        self._start = start
        self._media_url = media_url
        self._beginning: dict[str, asyncio.Event] = {}

    async def accept(self, request: CarrierRequest) -> CarrierResponse:
        """Answer a hook: a new call, or news of one that has begun."""
        carrier = self._carriers.get(request.carrier)
        if carrier is None:
            return CarrierResponse(status=404, content_type="text/plain", body=f"no carrier {request.carrier}")
        try:
            hook = carrier.read_voice_hook(request)
        except ValueError as exc:
            return CarrierResponse(status=400, content_type="text/plain", body=str(exc))
        if hook.kind is HookKind.OTHER:
            return carrier.noted().response
        try:
            if hook.kind is HookKind.CALL:
                return await self._accept_new(carrier, hook, request)
            return await self._go_on(carrier, hook, request)
        except PermanentError as exc:
            self._refusals.failed(carrier.name, exc)
            return carrier.refuse("rejected").response

    async def _accept_new(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        resolved = await self._directory.resolve(hook.our_number)
        if resolved is None:
            self._refusals.count(carrier.name, Refusal.UNKNOWN_NUMBER)
            return self._nobody(carrier, hook, request)
        plan = self._planned(carrier, hook, resolved)
        if isinstance(plan, Refused):
            self._refusals.note(carrier.name, hook, resolved.assistant, plan)
            return self._nobody(carrier, hook, request)
        distrust = self._admission.distrusts(carrier, request, hook, plan.account)
        if distrust is not None:
            self._refusals.distrusted(carrier.name, distrust.code, told=False)
            self._refusals.note(carrier.name, hook, resolved.assistant, distrust)
            return FORBIDDEN
        if not plan.spec.is_active:
            self._refusals.note(carrier.name, hook, resolved.assistant, INACTIVE)
            return self._orders.follow(plan, carrier.refuse("rejected"))
        if (twin := self._beginning.get(plan.call_id)) is not None:
            await twin.wait()  # bounded: whoever begins it waits for the bus no longer than a first fact may take
        known = self._live.get(plan.call_id)
        if known is not None:
            return self._media_answer(known.plan)
        with self._begins(plan.call_id):
            return await self._take(carrier, plan, hook, resolved.assistant)

    def _planned(self, carrier: Carrier, hook: VoiceHook, resolved: ResolvedNumber) -> CallPlan | Refused:
        if resolved.carrier != carrier.name:
            return wrong_carrier(carrier.name, resolved.carrier)
        try:
            return self._admission.plan(carrier, hook, resolved.assistant)
        except PermanentError as exc:
            return not_planned(carrier.name, exc)

    @contextmanager
    def _begins(self, call_id: str) -> Iterator[None]:
        """The same hook, twice at once, is one call: the second waits for what comes of the first."""
        begun = self._beginning[call_id] = asyncio.Event()
        try:
            yield
        finally:
            del self._beginning[call_id]
            begun.set()

    async def _take(
        self, carrier: Carrier, plan: CallPlan, hook: VoiceHook, pinned: PinnedAssistant
    ) -> CarrierResponse:
        if not self._live.reserve(plan.call_id):
            if self._orders.commands(carrier.name):
                if self._live.full:
                    self._refusals.note(carrier.name, hook, pinned, FULL)
                return self._orders.follow(plan, carrier.refuse("busy"))
            raise TransientError("no free slot", retry_after_s=1.0)  # the gateway says so, unless another has the call
        try:
            await self._open_calls.note(plan.call_id)
            journal = await self._journals.create(plan.organization_id, plan.call_id, _started(plan, self._worker_id))
            await self._leases.take(plan.call_id, plan.organization_id)
            return await self._begin(plan, journal)
        except OwnershipError as exc:
            self._live.release(plan.call_id)
            log.info("call.elsewhere", reason="another worker has it", call_id=plan.call_id)
            if self._orders.commands(carrier.name):
                return self._orders.follow(plan, carrier.leave())
            raise TransientError("another worker has the call; its answer counts", retry_after_s=1.0) from exc
        except BaseException:
            self._live.release(plan.call_id)
            self._leases.drop(plan.call_id)
            raise

    def _nobody(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        """Refuse; a carrier that is told by REST can be told only with an account, here the installation's."""
        answer = carrier.refuse("rejected")
        account = own_account(carrier.name, self._settings.carriers)
        if answer.action is None or account is None or not self._trusts(carrier, request, hook, account):
            return answer.response
        return self._orders.give(carrier.name, account, hook.carrier_call_id, answer)

    def _trusts(self, carrier: Carrier, request: CarrierRequest, hook: VoiceHook, account: CarrierAccount) -> bool:
        distrust = self._admission.distrusts(carrier, request, hook, account)
        if distrust is not None:
            self._refusals.distrusted(carrier.name, distrust.code)
        return distrust is None

    async def _begin(self, plan: CallPlan, journal: Journal) -> CarrierResponse:
        """Start the call; without the providers it needs, the carrier's own voice says so, and the record why."""
        try:
            await self._start(plan, journal)
        except StageError as exc:
            failed = ProviderFailed(
                stage=exc.stage,
                provider=exc.provider,
                reason=exc.reason,
                detail=exc.detail,
                action="the call was ended",
            )
            journal.append(failed)
            journal.append(CallEnded(reason=EndReason.PROVIDER_FAILED, duration_ms=0, detail=str(exc)[:500]))
            self._live.release(plan.call_id)
            await self._leases.release(plan.call_id)
            line = phrases.last_resort(plan.spec, self._settings.call.last_resort)
            words = plan.carrier.say_and_end(line, call_id=plan.call_id, answered=plan.continuation is not None)
            return self._orders.follow(plan, words)
        return self._media_answer(plan)

    async def _go_on(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        """News of a call that has begun, here or elsewhere."""
        facts, _ = await self._journals.read(await self._begun(carrier, hook))
        if not facts:  # never begun, also one that was refused: of its end there is nothing to say
            return carrier.noted().response if hook.kind is HookKind.CALL_ENDED else carrier.end().response
        first = CallStarted.model_validate(facts[0].data)
        pinned = await self._directory.pin(facts[0].organization, first.assistant_id)
        if pinned is None:
            return carrier.noted().response if hook.kind is HookKind.CALL_ENDED else carrier.end().response
        plan = self._admission.plan(carrier, hook, pinned, first, began=first.accepted_at or facts[0].time)
        if first.carrier_call_id != hook.carrier_call_id or not self._trusts(carrier, request, hook, plan.account):
            return FORBIDDEN
        if hook.kind is HookKind.FOLLOW_UP:
            return self._orders.follow(plan, CarrierAnswer(carrier.noted().response, hook.then))
        if hook.kind is HookKind.CALL_ENDED:
            own = self._live.get(plan.call_id)
            if own is not None and not own.ending:
                own.line_ended(hook.ended, hook.detail)
            return carrier.noted().response
        lives = not _over(self._live.get(plan.call_id), facts)
        if lives and (outdated(facts, hook.at) or not await self._orders.still_up(plan)):
            return carrier.leave().response
        return await self._resume(plan, hook, since=hook.at or request.asked_at)

    async def _begun(self, carrier: Carrier, hook: VoiceHook) -> str:
        """The id of the call that a hook is about: as we had told the carrier, else as it must be of this number."""
        resolved = None if hook.call_id else await self._directory.resolve(hook.our_number)
        return call_id_of(resolved.assistant.organization_id, carrier, hook) if resolved else hook.call_id

    async def _resume(self, plan: CallPlan, hook: VoiceHook, since: datetime | None) -> CarrierResponse:
        """A media stream ended: the call is over, was transferred, or lost its worker and goes on here.

        `since`: when that came to be known. Several workers, or one of them twice, may be asked; the first wins.
        """
        facts, position = await self._journals.read(plan.call_id)
        own = self._live.get(plan.call_id)
        if _over(own, facts):
            return self._orders.follow(plan, last_words(plan, hook, facts, self._settings.call))
        if resumed_since(facts, since):
            if own is None:
                raise TransientError("another worker goes on with the call", retry_after_s=1.0)
            by_command = self._orders.commands(plan.carrier.name)
            return plan.carrier.leave().response if by_command else self._media_answer(own.plan)
        if own is not None:
            await own.abandon()
        if not self._live.reserve(plan.call_id):
            raise TransientError("no free slot", retry_after_s=1.0)  # the gateway lets the carrier ask again
        try:
            previous = next((fact.data for fact in reversed(facts) if fact.name in {"started", "resumed"}), {})
            resumed = Resumed(
                worker_id=self._worker_id,
                previous_worker_id=str(previous.get("worker_id", "")),
                reason=f"media ended after {facts[-1].name}",
            )
            journal = await self._journals.reopen(facts, position, resumed)
            await self._leases.take(plan.call_id, plan.organization_id)
            log.info("call.resumed", call_id=plan.call_id, facts=len(facts))
            return await self._begin(replace(plan, continuation=continuation(facts, time.time())), journal)
        except OwnershipError as exc:
            self._live.release(plan.call_id)
            raise TransientError("another worker goes on with the call", retry_after_s=1.0) from exc
        except BaseException:
            self._live.release(plan.call_id)
            self._leases.drop(plan.call_id)
            raise

    def _media_answer(self, plan: CallPlan) -> CarrierResponse:
        answer = MediaAnswer(
            media_url=f"{self._media_url()}/{plan.carrier.name}/{plan.call_id}",
            token=plan.token,
            call_id=plan.call_id,
            after_url=f"{self._settings.public_url}/telephony/{plan.carrier.name}{RESUME}{plan.call_id}",
            resumed=plan.continuation is not None,
        )
        return self._orders.follow(plan, plan.carrier.answer_with_media(answer))


def _over(own: LiveCall | None, facts: tuple[Event, ...]) -> bool:
    return (own is not None and own.ending) or ended(facts)


def _started(plan: CallPlan, worker_id: str) -> CallStarted:
    return CallStarted(
        direction=plan.direction,
        from_number=plan.from_number,
        to_number=plan.to_number,
        assistant_id=plan.assistant_id,
        assistant_revision=plan.assistant_revision,
        carrier=plan.carrier.name,
        carrier_call_id=plan.carrier_call_id,
        worker_id=worker_id,
        accepted_at=plan.began,
    )

"""Use case: a carrier tells of a call that has begun, here or elsewhere; one that lost its worker goes on here."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from calliope.contracts.base import Event
from calliope.contracts.calls import CarrierRequest, CarrierResponse, EndReason
from calliope.errors import TransientError
from calliope_call_worker import phrases
from calliope_call_worker.calls.attempts import Attempts
from calliope_call_worker.calls.authenticate import (
    BegunCall,
    HookAuthenticator,
    Sender,
    begun_call,
    call_id_of,
    running_call,
)
from calliope_call_worker.calls.claim import CallClaims
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.calls.plans import new_token, plan_of
from calliope_call_worker.calls.start import CallStarter
from calliope_call_worker.continuation import (
    begun_transfer,
    continuation,
    ended,
    goes_on_elsewhere,
    is_transferred,
    media_is_hopeless,
    outdated,
    resumed_since,
    still_rings,
    waits_for_media,
)
from calliope_call_worker.errors import ASK_SOON_S, OwnershipError
from calliope_call_worker.orders import CarrierOrders, Spawn, last_words
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.playback import begun_reply, owners
from calliope_call_worker.ports import Journals, NumberResolver, Playbacks
from calliope_call_worker.providers.telephony.base import (
    FORBIDDEN,
    Carrier,
    CarrierAccount,
    CarrierAnswer,
    HookKind,
    VoiceHook,
)
from calliope_call_worker.refusal_words import Refused
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCall, LiveCalls
from calliope_call_worker.settings import CallSettings

log = structlog.get_logger(__name__)

SLOT_TRIES: Final = 40
SLOT_EVERY_S: Final = 0.5
"""For so long in all a caller waits in silence for a worker, as with a carrier that asks again."""
NO_SLOT: Final = "its worker ended without a word, and no other one had a free slot to go on with it"
RANG: Final = "its worker ended while it rang, and so did the call"
TRANSFERRED: Final = "its worker ended while the caller was being connected"


@dataclass(frozen=True, slots=True)
class LostCall:
    """A call that lost its worker: its facts, the position of the last, and when its media is known to have ended."""

    plan: CallPlan
    facts: tuple[Event, ...]
    position: int
    media_ended_at: datetime | None


OnLost = Callable[[LostCall], Awaitable[CarrierResponse]]
"""What is done with it."""


class CallResumption:
    """Verify, then act; the journal is read only for a call that may go on here."""

    def __init__(
        self,
        *,
        settings: CallSettings,
        authenticator: HookAuthenticator,
        numbers: NumberResolver,
        documents: CallDocuments,
        journals: Journals,
        playbacks: Playbacks,
        claims: CallClaims,
        starter: CallStarter,
        orders: CarrierOrders,
        live: LiveCalls,
        refusals: Refusals,
        spawn: Spawn,
    ) -> None:
        self._settings = settings
        self._authenticator = authenticator
        self._numbers = numbers
        self._documents = documents
        self._journals = journals
        self._playbacks = playbacks
        self._claims = claims
        self._starter = starter
        self._orders = orders
        self._live = live
        self._refusals = refusals
        self._spawn = spawn
        self._attempts: Attempts[CarrierResponse] = Attempts()
        self._waiting: set[str] = set()

    def sender(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> Sender:
        """Who sends it: known are the accounts of calls that run here."""
        own = self._live.get(hook.call_id)
        if own is None or self._authenticator.distrusts(carrier, request, hook, own.plan.account) is not None:
            return Sender.UNKNOWN
        return Sender.PROVEN

    async def hear(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        """The answer to the carrier. Raises: TransientError, when another worker should be asked; PermanentError."""
        return await self._heard(carrier, hook, request, self._go_on)

    async def decline(self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest) -> CarrierResponse:
        """As `hear`, when no worker with a free slot could: a call that needs one ends with the last resort.

        A carrier that asks again was waited for; with the others a slot is waited for here, while the caller is.
        Raises: TransientError, when another worker goes on with the call; PermanentError.
        """
        return await self._heard(carrier, hook, request, self._close if carrier.reads_answers else self._wait)

    async def take_up(self, carrier: Carrier, call_id: str) -> None:
        """Answer a call that its worker took and did not live to answer, as far as anybody knows; or end it.

        Raises: TransientError, when another worker does, or no slot is free; PermanentError.
        """
        facts, position = await self._journals.recent(call_id)
        if not still_rings(facts):
            return
        call = begun_call(facts[0])
        for account in (await self._authenticator.accounts_of(call))[:1]:
            plan = await self._plan(carrier, call, account, facts, None)
            if plan is not None and await self._orders.still_up(plan, None):
                await self._go_on(LostCall(plan, facts, position, None), rings=True)
            elif plan is not None:
                await self._end(facts, position, EndReason.CALLER_HUNG_UP, RANG)

    async def _heard(
        self, carrier: Carrier, hook: VoiceHook, request: CarrierRequest, on_lost: OnLost
    ) -> CarrierResponse:
        call = await self._begun(carrier, hook)
        if call is None:
            return _nothing_known(carrier, hook)
        if (call.carrier, call.carrier_call_id) != (carrier.name, hook.carrier_call_id):
            return FORBIDDEN
        account = await self._authenticator.signed_by(carrier, request, hook, call)
        if isinstance(account, Refused):
            self._refusals.distrusted(carrier.name, account.code)
            return FORBIDDEN
        if account is None:
            return _nothing_known(carrier, hook)
        if hook.kind is HookKind.FOLLOW_UP:
            answer = CarrierAnswer(carrier.noted().response, hook.then)
            return self._orders.give(carrier.name, account, hook.carrier_call_id, answer, call_id=call.call_id)
        if hook.kind is HookKind.CALL_ENDED:
            await self._line_ended(hook, call)
            return carrier.noted().response
        since = hook.at or request.asked_at
        return await self._attempts.once(
            f"{call.call_id} {since}", lambda: self._media_ended(carrier, hook, call, account, since, on_lost)
        )

    async def _line_ended(self, hook: VoiceHook, call: BegunCall) -> None:
        """Who has the call hears it from its media, too; but not who goes on with it and has no media yet.

        Raises: TransientError, when that is another worker.
        """
        own = self._live.get(call.call_id)
        if own is None and waits_for_media((await self._journals.recent(call.call_id))[0], time.time()):
            raise TransientError("another worker waits for its media", retry_after_s=ASK_SOON_S)
        if own is not None and not own.ending:
            own.line_ended(hook.ended, hook.detail)

    async def _begun(self, carrier: Carrier, hook: VoiceHook) -> BegunCall | None:
        """The call that a hook is about: as we had told the carrier, else as it must be of this number."""
        call_id = hook.call_id
        if not call_id:
            known = self._numbers.known(hook.our_number)
            route = await self._numbers.route(hook.our_number) if known is None else known.route
            call_id = "" if route is None else call_id_of(route.organization_id, carrier, hook)
        if not call_id:
            return None
        if (own := self._live.get(call_id)) is not None:
            return running_call(own.plan)
        first = await self._journals.first(call_id)
        return begun_call(first) if first is not None and first.name == "started" else None

    async def _media_ended(
        self,
        carrier: Carrier,
        hook: VoiceHook,
        call: BegunCall,
        account: CarrierAccount,
        since: datetime | None,
        on_lost: OnLost,
    ) -> CarrierResponse:
        """The call is over, was transferred, or lost its worker and goes on here.

        `since`: when that came to be known. Several workers may be asked, or one of them twice; the first wins.
        """
        facts, position = await self._journals.recent(call.call_id)
        own = self._live.get(call.call_id)
        if own is not None and not self._claims.holds(facts):
            await own.abandon()  # another worker took it while this one was frozen; what it thinks counts for nothing
            own = None
        plan = await self._plan(carrier, call, account, facts, own)
        if plan is None:
            return carrier.end().response
        if _over(own, facts):
            return self._orders.follow(plan, last_words(plan, hook, facts, self._settings))
        if hook.kind is HookKind.TRANSFER_ENDED and is_transferred(facts):
            return await self._transferred(plan, hook, facts, position, own)
        if outdated(facts, hook.at) or not await self._orders.still_up(plan, hook.at):
            return carrier.leave().response
        if own is not None and resumed_since(facts, since) is not None:
            return self._starter.answer(own.plan) if carrier.reads_answers else carrier.leave().response
        if goes_on_elsewhere(facts, since, time.time()):
            raise TransientError("another worker goes on with the call", retry_after_s=ASK_SOON_S)
        if own is not None:
            await own.abandon()
            facts, position = await self._journals.recent(call.call_id)  # with what it had still to write
        if (why := media_is_hopeless(facts, time.time())) is not None:
            return await self._give_up(plan, facts, position, EndReason.CARRIER_FAILED, why)
        if is_transferred(facts):
            return await self._transfer(plan, facts, position)
        return await on_lost(LostCall(plan, facts, position, hook.media_ended_at or since))

    async def _plan(
        self,
        carrier: Carrier,
        call: BegunCall,
        account: CarrierAccount,
        facts: tuple[Event, ...],
        own: LiveCall | None,
    ) -> CallPlan | None:
        """With the revision that the call was taken with, whatever became of the assistant since.

        Its token is new: it opens another media stream, and carriers take a command of the same token for a repeated
        one.
        """
        if own is not None:
            return replace(own.plan, account=account, token=new_token(), continuation=None)
        pinned = await self._documents.pinned(call.organization_id, call.assistant_id, call.assistant_revision)
        if pinned is None:
            return None
        spec = await self._documents.opened(pinned)
        return plan_of(carrier, account, spec, facts[0], revision=pinned.revision, time_zone=self._settings.time_zone)

    async def _go_on(self, lost: LostCall, *, rings: bool = False) -> CarrierResponse:
        """With all that is known of it; of a call that `rings` that is nothing."""
        plan, facts = lost.plan, lost.facts
        try:
            with self._claims.slot(plan.call_id):
                now = datetime.now(UTC)
                ended_at = min(now, lost.media_ended_at or now)
                journal = await self._claims.go_on(plan, facts, lost.position, ended_at)
                log.info("call.resumed", call_id=plan.call_id, facts=facts[-1].sequence)
                if rings:
                    return await self._starter.start(plan, journal)
                kept = await self._playbacks.find(plan.call_id, owners(facts))
                begun = begun_reply(kept, facts, ended_at.timestamp() * 1_000)
                most = self._settings.history_characters
                past = continuation(facts, time.time(), history_characters=most, begun=begun)
                past = replace(past, media_ended_at=ended_at)
                return await self._starter.start(replace(plan, continuation=past), journal)
        except OwnershipError as exc:
            raise TransientError("another worker goes on with the call", retry_after_s=ASK_SOON_S) from exc

    async def _wait(self, lost: LostCall) -> CarrierResponse:
        """The carrier keeps the line up and asks no more: go on as soon as there is a slot, here or elsewhere."""
        plan = lost.plan
        if plan.call_id not in self._waiting:
            self._waiting.add(plan.call_id)
            self._spawn(self._waited(lost), "call.wait_for_slot")
        return plan.carrier.noted().response

    async def _waited(self, lost: LostCall) -> None:
        try:
            for _ in range(SLOT_TRIES):
                if not self._live.full:
                    await self._go_on(lost)
                    return
                await asyncio.sleep(SLOT_EVERY_S)
            await self._close(lost)
        except TransientError as exc:
            log.info("call.not_waited_for", call_id=lost.plan.call_id, reason=str(exc))
        finally:
            self._waiting.discard(lost.plan.call_id)

    async def _transfer(self, plan: CallPlan, facts: tuple[Event, ...], position: int) -> CarrierResponse:
        """Whether the carrier had been told of it when the worker died is not known: it is told, and acts once."""
        await self._end(facts, position, EndReason.TRANSFERRED, TRANSFERRED)
        return self._starter.transfer(plan, *begun_transfer(facts))

    async def _transferred(
        self, plan: CallPlan, hook: VoiceHook, facts: tuple[Event, ...], position: int, own: LiveCall | None
    ) -> CarrierResponse:
        """The caller was connected, or nobody answered: either ends the call, though its worker could not say so."""
        if own is not None:
            own.line_ended(EndReason.TRANSFERRED, "")
        else:
            await self._end(facts, position, EndReason.TRANSFERRED, TRANSFERRED)
        return self._orders.follow(plan, last_words(plan, hook, facts, self._settings))

    async def _close(self, lost: LostCall) -> CarrierResponse:
        """No worker has a free slot for it."""
        return await self._give_up(lost.plan, lost.facts, lost.position, EndReason.WORKER_LOST, NO_SLOT)

    async def _give_up(
        self, plan: CallPlan, facts: tuple[Event, ...], position: int, reason: EndReason, why: str
    ) -> CarrierResponse:
        """End a call that nobody can go on with, in its record and with the carrier's own voice."""
        await self._end(facts, position, reason, why)
        log.warning("call.lost", call_id=plan.call_id, facts=facts[-1].sequence, reason=why)
        line = phrases.last_resort(plan.spec, self._settings.last_resort)
        return self._orders.follow(plan, plan.carrier.say_and_end(line, call_id=plan.call_id, answered=True))

    async def _end(self, facts: tuple[Event, ...], position: int, reason: EndReason, why: str) -> None:
        try:
            await self._claims.close(facts, position, reason, why)
        except OwnershipError as exc:
            raise TransientError("another worker goes on with the call", retry_after_s=ASK_SOON_S) from exc


def _nothing_known(carrier: Carrier, hook: VoiceHook) -> CarrierResponse:
    """Never begun, also one that was refused, or whose assistant is gone: of its end there is nothing to say."""
    return carrier.noted().response if hook.kind is HookKind.CALL_ENDED else carrier.end().response


def _over(own: LiveCall | None, facts: tuple[Event, ...]) -> bool:
    return (own is not None and own.ending) or ended(facts)

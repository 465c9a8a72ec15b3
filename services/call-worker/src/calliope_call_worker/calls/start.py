"""Starts a call that is claimed and tells the carrier where its media goes."""

from collections.abc import Awaitable, Callable

from calliope.contracts.calls import CallEnded, CarrierResponse, EndReason, ProviderFailed
from calliope.contracts.carriers import LANGUAGE
from calliope_call_worker import phrases
from calliope_call_worker.calls.claim import CallClaims
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.failures import StageError
from calliope_call_worker.providers.telephony.base import RESUME, MediaAnswer, TransferRequest
from calliope_call_worker.settings import WorkerSettings

StartCall = Callable[[CallPlan, Journal], Awaitable[None]]
"""Runs a call. Raises: StageError, when a provider that it needs cannot be had."""


class CallStarter:
    """The last two steps of both ways in."""

    def __init__(
        self,
        settings: WorkerSettings,
        orders: CarrierOrders,
        claims: CallClaims,
        start: StartCall,
        media_url: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._orders = orders
        self._claims = claims
        self._start = start
        self._media_url = media_url

    async def start(self, plan: CallPlan, journal: Journal) -> CarrierResponse:
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
            await self._claims.give_up(plan.call_id)
            line = phrases.last_resort(plan.spec, self._settings.call.last_resort)
            words = plan.carrier.say_and_end(line, call_id=plan.call_id, answered=plan.continuation is not None)
            return self._orders.follow(plan, words)
        return self.answer(plan)

    def answer(self, plan: CallPlan) -> CarrierResponse:
        """Where the media of a call that runs here goes; the same every time."""
        answer = MediaAnswer(
            media_url=f"{self._media_url()}/{plan.carrier.name}/{plan.call_id}",
            token=plan.token,
            call_id=plan.call_id,
            after_url=after_url(plan, self._settings.public_url),
            resumed=plan.continuation is not None,
        )
        return self._orders.follow(plan, plan.carrier.answer_with_media(answer))

    def transfer(self, plan: CallPlan, to_number: str, key: str) -> CarrierResponse:
        """Have the carrier connect the caller to somebody else, unless it was told so before."""
        after = after_url(plan, self._settings.public_url)
        wanted = TransferRequest(plan.carrier_call_id, to_number, after, plan.shown_number, key)
        return self._orders.follow(plan, plan.carrier.answer_with_transfer(wanted))


def after_url(plan: CallPlan, public_url: str) -> str:
    """What the carrier asks when the call's media, or its transfer, ended; with what is said if no worker is there."""
    locale = phrases.last_resort_locale(plan.spec)
    return f"{public_url}/telephony/{plan.carrier.name}{RESUME}{plan.call_id}?{LANGUAGE}={locale}"

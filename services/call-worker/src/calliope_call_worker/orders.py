"""Orders: what carriers that read no answers are told over REST after a hook, in the background and once."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from calliope.contracts.base import Event
from calliope.contracts.calls import CallEnded, CarrierResponse, EndReason
from calliope.errors import TransientError
from calliope_call_worker import phrases
from calliope_call_worker.continuation import is_transferred
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.telephony.base import (
    CarrierAccount,
    CarrierAction,
    CarrierAnswer,
    CarrierCommands,
    HookKind,
    VoiceHook,
)
from calliope_call_worker.settings import CallSettings

log = structlog.get_logger(__name__)

Spawn = Callable[[Coroutine[Any, Any, Any], str], Any]
OnFailure = Callable[[str, ProviderError, str], None]
"""Told the call's id, what failed, and what that means."""
OnOver = Callable[[str], None]
"""Told the id of a call that the carrier says is over: the news of its end came before its beginning, or never."""


class CarrierOrders:
    """`commands` holds the carriers that act on commands; the others act on the answer itself."""

    def __init__(
        self,
        commands: Mapping[str, CarrierCommands],
        spawn: Spawn,
        on_failure: OnFailure | None = None,
        on_over: OnOver | None = None,
    ) -> None:
        self._commands = commands
        self._spawn = spawn
        self._on_failure = on_failure
        self._on_over = on_over

    def follow(self, plan: CallPlan, answer: CarrierAnswer) -> CarrierResponse:
        """The answer to a hook of this call; its action is on its way."""
        return self.give(plan.carrier.name, plan.account, plan.carrier_call_id, answer, call_id=plan.call_id)

    def give(
        self,
        carrier: str,
        account: CarrierAccount,
        carrier_call_id: str,
        answer: CarrierAnswer,
        *,
        call_id: str | None = None,
    ) -> CarrierResponse:
        """As `follow`, for a call that has no plan. Hooks are answered within two seconds, so nothing waits here."""
        if answer.action is not None:
            self._spawn(self._perform(carrier, account, carrier_call_id, answer.action, call_id), "carrier.order")
        return answer.response

    async def still_up(self, plan: CallPlan, media_ended_at: datetime | None) -> bool:
        """Whether the call outlived its media; a carrier that asks what comes next has it on the line.

        Raises: TransientError.
        """
        commands = self._commands.get(plan.carrier.name)
        if commands is None:
            return True
        try:
            return await commands.still_up(plan.account, plan.carrier_call_id, media_ended_at)
        except ProviderError as exc:
            raise TransientError(f"not known whether the call is up: {exc.failure}", retry_after_s=1.0) from exc

    async def _perform(
        self, carrier: str, account: CarrierAccount, carrier_call_id: str, action: CarrierAction, call_id: str | None
    ) -> None:
        """A call whose answer fails gets no media, and ends so; its problems say why."""
        try:
            if not await self._commands[carrier].perform(account, carrier_call_id, action) and call_id is not None:
                log.info("carrier.call_over", carrier=carrier, order=action.name, call_id=call_id)
                if self._on_over is not None:
                    self._on_over(call_id)
        except ProviderError as exc:
            log.warning("carrier.order_failed", carrier=carrier, order=action.name, error=str(exc))
            if call_id is not None and self._on_failure is not None:
                self._on_failure(call_id, exc, f"the command {action.name!r} was not carried out")


def last_words(plan: CallPlan, hook: VoiceHook, facts: Sequence[Event], settings: CallSettings) -> CarrierAnswer:
    """What becomes of the line of a call that is over: what the carrier itself says when we no longer can."""
    ended = next((CallEnded.model_validate(fact.data) for fact in facts if fact.name == "ended"), None)
    if ended is not None and ended.reason is EndReason.PROVIDER_FAILED:
        return plan.carrier.say_and_end(
            phrases.last_resort(plan.spec, settings.last_resort), call_id=plan.call_id, answered=True
        )
    if hook.transfer_failed:
        return plan.carrier.say_and_end(
            phrases.transfer_failed(plan.spec, settings.transfer_failed), call_id=plan.call_id, answered=True
        )
    if hook.kind is HookKind.MEDIA_ENDED and is_transferred(facts):
        return plan.carrier.leave()  # the caller talks to someone else now
    return plan.carrier.end()

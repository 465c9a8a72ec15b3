"""Calls that were not taken: what is recorded of them, and how much of it.

A hook without a right signature may be a stranger's. It never touches the id of a real call, and of one number only so
many a minute are recorded; the rest is counted. What concerns no organization is only counted.
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from calliope.contracts.assistants import NumberRoute
from calliope.contracts.calls import CallRefused, Refusal
from calliope.errors import PermanentError, TransientError
from calliope.ids import derived_id
from calliope.observability import metrics
from calliope.rate import RateLimit
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.ports import Journals
from calliope_call_worker.providers.telephony.base import VoiceHook
from calliope_call_worker.refusal_words import Refused

log = structlog.get_logger(__name__)

MAX_AT_ONCE: Final = 50
"""Records on their way to the bus; what comes above is counted only."""
_SHOWN: Final = 128
_REFUSED: Final = metrics.counter(
    "calliope_calls_refused_total",
    "Calls that were not taken, and whether that was recorded.",
    "carrier",
    "code",
    "recorded",
)
_HOOKS: Final = metrics.counter(
    "calliope_carrier_hooks_refused_total",
    "Hooks of new and known calls that the account did not sign, or that name another.",
    "carrier",
    "code",
)

Spawn = Callable[[Coroutine[Any, Any, Any], str], Any]


class Refusals:
    """Records and counts them. Nothing here keeps a carrier waiting."""

    def __init__(self, journals: Journals, spawn: Spawn, *, worker_id: str, unsigned_per_minute: int) -> None:
        self._journals = journals
        self._spawn = spawn
        self._worker_id = worker_id
        self._unsigned = RateLimit(rate_per_s=unsigned_per_minute / 60, burst=unsigned_per_minute)
        self._under_way = 0
        self._untold = 0
        self._hooks_untold = 0

    def note(self, carrier: str, hook: VoiceHook, route: NumberRoute, refused: Refused) -> None:
        """A call to a number of a known organization: recorded, unless too many hooks without a signature were."""
        recorded = self._under_way < MAX_AT_ONCE and (refused.genuine or self._may(hook.our_number))
        self._count(carrier, refused.code, recorded=recorded, told=recorded)
        if recorded:
            self._under_way += 1
            fact = self._fact(carrier, hook, route, refused)
            self._spawn(self._record(route.organization_id, fact), "call.refusal")

    async def claim(self, carrier: str, hook: VoiceHook, route: NumberRoute, refused: Refused, *, call_id: str) -> bool:
        """Record a genuine call under its own id, so that nobody takes it any more. False: somebody has it already.

        Raises: TransientError, when the bus does not take it.
        """
        try:
            await self._journals.create(route.organization_id, call_id, self._fact(carrier, hook, route, refused))
        except OwnershipError:
            return False
        self._count(carrier, refused.code, recorded=True, told=True)
        return True

    def count(self, carrier: str, code: Refusal) -> None:
        """A call that concerns no organization that is known."""
        self._count(carrier, code, recorded=False, told=self._may(f"{code} {carrier}"))

    def distrusted(self, carrier: str, code: Refusal, *, told: bool = True) -> None:
        """A hook that the account did not sign. `told` is False when `note` tells of it."""
        _HOOKS.labels(carrier, code.value).inc()
        if told:
            self._tell_hook("refused", carrier, code.value)

    def failed(self, carrier: str, error: PermanentError) -> None:
        """A hook that cannot be followed for good; whether it is signed may not be known."""
        self._tell_hook("failed", carrier, str(error))

    def _tell_hook(self, what: str, carrier: str, reason: str) -> None:
        if not self._may(f"hook {what} {carrier}"):
            self._hooks_untold += 1
            return
        log.warning(f"carrier_hook.{what}", carrier=carrier, reason=reason, hooks_untold=self._hooks_untold)
        self._hooks_untold = 0

    def _may(self, what: str) -> bool:
        return self._unsigned.wait_s(what, time.monotonic()) == 0

    def _count(self, carrier: str, code: Refusal, *, recorded: bool, told: bool) -> None:
        """Log lines are bounded too; the next one says how many were left out."""
        _REFUSED.labels(carrier, code.value, "yes" if recorded else "no").inc()
        if not told:
            self._untold += 1
            return
        log.warning("call.refused", code=code.value, carrier=carrier, recorded=recorded, refused_untold=self._untold)
        self._untold = 0

    def _fact(self, carrier: str, hook: VoiceHook, route: NumberRoute, refused: Refused) -> CallRefused:
        return CallRefused(
            code=refused.code.value,
            detail=refused.detail[:500],
            genuine=refused.genuine,
            direction=hook.direction,
            from_number=hook.from_number[:_SHOWN],
            to_number=hook.to_number[:_SHOWN],
            assistant_id=route.assistant_id,
            assistant_revision=route.revision,
            carrier=carrier,
            carrier_call_id=hook.carrier_call_id[:_SHOWN],
            worker_id=self._worker_id,
        )

    async def _record(self, organization_id: str, fact: CallRefused) -> None:
        call_id = refused_id(organization_id, fact)
        try:
            await self._journals.create(organization_id, call_id, fact)
        except OwnershipError:
            log.debug("call.refused_again", call_id=call_id)  # the carrier asked twice about the same call
        except TransientError as exc:
            log.warning("call.refusal_not_recorded", code=fact.code, reason=str(exc))
        finally:
            self._under_way -= 1


def refused_id(organization_id: str, fact: CallRefused) -> str:
    """An id of its own: the same call, asked about again with the right signature, is still a new one. No token of an
    organization holds a `/`, so this is the id of no real call, whatever a stranger names."""
    return derived_id("call", f"refused/{organization_id}", fact.carrier, fact.carrier_call_id, fact.code)

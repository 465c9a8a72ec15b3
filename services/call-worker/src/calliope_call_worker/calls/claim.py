"""Makes a call this worker's: a slot here, the next fact in its journal, and the lease that tells the others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from calliope.contracts.base import Event
from calliope.contracts.calls import CallEnded, CallStarted, EndReason, Resumed
from calliope.errors import TransientError
from calliope_call_worker.continuation import continuation
from calliope_call_worker.errors import ASK_SOON_S
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal, Journals, Leases, OpenCalls
from calliope_call_worker.registry import LiveCalls


class CallClaims:
    """Claims of one worker. The journal decides: whoever writes the next fact has the call."""

    def __init__(
        self, worker_id: str, live: LiveCalls, journals: Journals, leases: Leases, open_calls: OpenCalls
    ) -> None:
        self._worker_id = worker_id
        self._live = live
        self._journals = journals
        self._leases = leases
        self._open_calls = open_calls

    @contextmanager
    def slot(self, call_id: str) -> Iterator[None]:
        """A slot for a call that is about to start; free again when the block fails. Raises: TransientError."""
        if not self._live.reserve(call_id):
            raise TransientError("no free slot", retry_after_s=ASK_SOON_S)  # others may have one
        try:
            yield
        except BaseException:
            self._live.release(call_id)
            self._leases.drop(call_id)
            raise

    async def begin(self, plan: CallPlan) -> Journal:
        """A call that nobody has. Raises: OwnershipError, when somebody does; TransientError."""
        await self._open_calls.note(plan.call_id)
        journal = await self._journals.create(plan.organization_id, plan.call_id, _started(plan, self._worker_id))
        await self._leases.take(plan.call_id, plan.organization_id)
        return journal

    async def go_on(self, plan: CallPlan, facts: tuple[Event, ...], position: int, media_ended_at: datetime) -> Journal:
        """A call that lost its worker. Raises: OwnershipError, when somebody wrote since; TransientError."""
        previous = next((fact.data for fact in reversed(facts) if fact.name in {"started", "resumed"}), {})
        last = next((fact.name for fact in reversed(facts) if fact.name != "provider_failed"), "started")
        resumed = Resumed(
            worker_id=self._worker_id,
            previous_worker_id=str(previous.get("worker_id", "")),
            reason=f"media ended after {last}" if last != "started" else "nobody held it while it rang",
            media_ended_at=media_ended_at,
        )
        journal = await self._journals.reopen(facts, position, resumed)
        await self._leases.take(plan.call_id, plan.organization_id)
        return journal

    async def close(self, facts: tuple[Event, ...], position: int, reason: EndReason, why: str) -> None:
        """End a call that nobody goes on with. Raises: OwnershipError, when somebody wrote since; TransientError."""
        await self._journals.reopen(facts, position, lost(facts, why, reason))
        await self._open_calls.forget(facts[0].entity_id)

    def holds(self, facts: Sequence[Event]) -> bool:
        """Whether it was this worker that took the call last, as its facts say."""
        taken = next((fact for fact in reversed(facts) if fact.name in {"started", "resumed"}), None)
        return taken is not None and taken.data.get("worker_id") == self._worker_id

    async def give_up(self, call_id: str) -> None:
        """A call that could not start."""
        self._live.release(call_id)
        await self._leases.release(call_id)


def lost(facts: Sequence[Event], why: str, reason: EndReason = EndReason.WORKER_LOST) -> CallEnded:
    """The end of a call that no worker has any more: it lasted until its last fact, as far as anybody knows."""
    answered = next((fact.time for fact in facts if fact.name == "answered"), facts[-1].time)
    return CallEnded(
        reason=reason,
        duration_ms=max(0.0, (facts[-1].time - answered).total_seconds() * 1_000),
        detail=why,
        turns=continuation(facts, facts[-1].time.timestamp()).turns,
        ended_at=facts[-1].time,
    )


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

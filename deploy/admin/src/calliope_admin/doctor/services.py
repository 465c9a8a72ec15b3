"""Asks each service something harmless: does it answer, is its store there, what does its clock say."""

from typing import Final

from calliope.contracts.assistants import Nothing, PhoneNumberRef
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.contracts.webhooks import ListDeliveries
from calliope.contracts.workers import WorkerDescription, WorkerState
from calliope.messaging.broker import Bus
from calliope.messaging.probe import Answer, anybody, everybody
from calliope_admin.doctor.clocks import clock_finding
from calliope_admin.doctor.findings import About, Finding, State, noted, well, wrong

ANSWER_S: Final = 8.0
"""Above the time after which a service gives its store up."""
GATHER_S: Final = 1.0
NOBODY: Final = "org_doctor"
"""An organization that has nothing; reading its things asks the store and shows nobody's."""


async def assistants(bus: Bus) -> Answer:
    """Who answers a number that cannot exist: asks the store."""
    return await anybody(bus, Command.PHONE_NUMBERS_RESOLVE, PhoneNumberRef(number="+10"), within_s=ANSWER_S)


async def webhooks(bus: Bus) -> Answer:
    """Deliveries of nobody: asks the store."""
    payload = ListDeliveries(limit=1)
    return await anybody(bus, Command.DELIVERIES_LIST, payload, within_s=ANSWER_S, organization=NOBODY)


async def workers(bus: Bus) -> tuple[list[Finding], list[WorkerDescription]]:
    """Every call-worker, and what it says of itself."""
    answers = await everybody(bus, Command.WORKERS_DESCRIBE, Nothing(), within_s=GATHER_S)
    found = [WorkerDescription.model_validate(each.result) for each in answers if each.problem is None]
    return _workers_judged(found) + _clocks("call-worker", answers), found


def away(assistants_answer: Answer, webhooks_answer: Answer) -> dict[str, str]:
    """What of others each service waits for now, in words: it holds the messages that need it."""
    found: dict[str, str] = {}
    if not assistants_answer.is_there:
        there = assistants_answer.clock_ahead_s is not None
        found["webhooks"] = "the store of assistants" if there else "the assistants service"
        if there:
            found["assistants"] = "its store"
    if not webhooks_answer.is_there and webhooks_answer.clock_ahead_s is not None:
        found["webhooks"] = "its store"
    return found


def _workers_judged(found: list[WorkerDescription]) -> list[Finding]:
    if not found:
        words = f"No call-worker answers within {GATHER_S:g} s: calls hear that everybody is busy."
        return [wrong(About.CALLS, words, "start one: `python -m calliope_call_worker`")]
    free, slots = sum(each.free for each in found), sum(each.slots for each in found)
    what = "call-worker answers" if len(found) == 1 else "call-workers answer"
    words = f"{len(found)} {what}: {free} of {slots} calls could be taken now."
    told = [each for each in (_worker_judged(each, others=bool(free)) for each in found) if each is not None]
    if free:
        return [well(About.CALLS, words), *told]
    return [wrong(About.CALLS, words, "start more call-workers, or raise CALLIOPE_SLOTS"), *told]


def _worker_judged(worker: WorkerDescription, *, others: bool) -> Finding | None:
    """Why a worker takes no calls; nothing has to be done while others take them."""
    if worker.accepting:
        return None
    full = worker.calls >= worker.slots
    match worker.state:
        case WorkerState.DRAINING:
            words = f"{worker.worker_id} is about to end, with {worker.calls} calls; others get what is left of them."
            advice = "nothing while others take calls; if it stays, see its log, or end it: another worker goes on"
        case WorkerState.RELEASING:
            words, advice = (
                f"{worker.worker_id} hands a call over and takes none for a moment.",
                "nothing, it takes 3 s",
            )
        case _ if full:
            words = f"{worker.worker_id} is full: {worker.calls} of {worker.slots} slots."
            advice = "nothing while others have room; before they are full too, start more call-workers"
        case _:
            words, advice = f"{worker.worker_id} takes no calls.", "see its log, and /readyz/accepting"
    return noted(About.CALLS, words, advice) if others else wrong(About.CALLS, words, advice)


def judged(service: str, answer: Answer) -> list[Finding]:
    """Whether a service answers, and its store is there."""
    clocks = _clocks(service, [answer])
    if answer.is_there:
        return [well(About.SERVICES, f"{service} answers, and its store is there."), *clocks]
    problem = answer.problem
    if answer.clock_ahead_s is None:  # no process of ours has answered
        words = f"{service} does not answer ({problem.message if problem else 'nothing came'})."
        return [wrong(About.SERVICES, words, f"start it: `python -m calliope_{service}`; its log says why it ended")]
    words = f"{service} answers that it cannot work ({problem.message if problem else ''})."
    store = problem is not None and problem.code in {ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT}
    advice = "see to its store: is it running, is CALLIOPE_MONGO__URL right?" if store else f"see the log of {service}"
    return [wrong(About.SERVICES, words, advice), *clocks]


def _clocks(service: str, answers: list[Answer]) -> list[Finding]:
    """Only clocks that differ are told; that all agree is no news of each."""
    every = [clock_finding(service, each.clock_ahead_s) for each in answers if each.clock_ahead_s is not None]
    return [each for each in every if each.state is State.WRONG]

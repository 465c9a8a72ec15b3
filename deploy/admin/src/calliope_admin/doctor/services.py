"""Asks each service something harmless: does it answer, is its store there, what does its clock say."""

from typing import Final

from calliope.contracts.assistants import Nothing, PhoneNumberRef
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command
from calliope.contracts.webhooks import ListDeliveries
from calliope.contracts.workers import WorkerDescription
from calliope.messaging.broker import Bus
from calliope.messaging.probe import Answer, anybody, everybody
from calliope_admin.doctor.clocks import clock_finding
from calliope_admin.doctor.findings import About, Finding, State, well, wrong

ANSWER_S: Final = 8.0
"""Above the time after which a service gives its store up."""
GATHER_S: Final = 1.0
NOBODY: Final = "org_doctor"
"""An organization that has nothing; reading its things asks the store and shows nobody's."""


async def assistants(bus: Bus) -> list[Finding]:
    """Who answers a number that cannot exist: asks the store."""
    answer = await anybody(bus, Command.PHONE_NUMBERS_RESOLVE, PhoneNumberRef(number="+10"), within_s=ANSWER_S)
    return _judged("assistants", answer)


async def webhooks(bus: Bus) -> list[Finding]:
    """Deliveries of nobody: asks the store."""
    payload = ListDeliveries(limit=1)
    answer = await anybody(bus, Command.DELIVERIES_LIST, payload, within_s=ANSWER_S, organization=NOBODY)
    return _judged("webhooks", answer)


async def workers(bus: Bus) -> tuple[list[Finding], list[WorkerDescription]]:
    """Every call-worker, and what it says of itself."""
    answers = await everybody(bus, Command.WORKERS_DESCRIBE, Nothing(), within_s=GATHER_S)
    found = [WorkerDescription.model_validate(each.result) for each in answers if each.problem is None]
    return _workers_judged(found) + _clocks("call-worker", answers), found


def _workers_judged(found: list[WorkerDescription]) -> list[Finding]:
    if not found:
        words = f"No call-worker answers within {GATHER_S:g} s: calls hear that everybody is busy."
        return [wrong(About.CALLS, words, "start one: `python -m calliope_call_worker`")]
    free, slots = sum(each.free for each in found), sum(each.slots for each in found)
    what = "call-worker answers" if len(found) == 1 else "call-workers answer"
    words = f"{len(found)} {what}: {free} of {slots} calls could be taken now."
    if free:
        return [well(About.CALLS, words)]
    return [wrong(About.CALLS, words, "start more call-workers, or raise CALLIOPE_SLOTS")]


def _judged(service: str, answer: Answer) -> list[Finding]:
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

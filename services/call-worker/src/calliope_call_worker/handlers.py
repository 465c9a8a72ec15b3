"""NATS edge of the call-worker: carrier requests, read by one worker with a free slot; checks, read by any; what
each worker is, and what operators do with calls.
"""

from collections.abc import Callable

from calliope.contracts.assistants import AssistantRef, Nothing
from calliope.contracts.base import CommandMessage
from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.checks import AssistantCheck
from calliope.contracts.errors import ErrorCode
from calliope.contracts.live_calls import ClosedCall, HeldCall, LiveCallRef
from calliope.contracts.subjects import Command
from calliope.contracts.workers import WorkerDescription
from calliope.errors import CommandError
from calliope.messaging.broker import Bus
from calliope.messaging.commands import Responder, responder
from calliope.messaging.direct_responder import DirectResponder, Spawn
from calliope.runtime.loop_share import LoopShare
from calliope_call_worker.calls.hooks import CarrierHooks
from calliope_call_worker.calls.operate import OperatedCalls
from calliope_call_worker.checks.check import AssistantChecks

SERVICE = "call-worker"
HookResponder = DirectResponder[CarrierRequest, CarrierResponse]


def answer_carriers(bus: Bus, hooks: CarrierHooks, share: LoopShare, spawn: Spawn) -> HookResponder:
    """Answer voice hooks; pausing it takes this worker out of the queue of those with a free slot."""
    return DirectResponder(
        bus, Command.CALLS_ACCEPT, CarrierRequest, hooks.answer, service=SERVICE, share=share, spawn=spawn
    )


def decline_calls(bus: Bus, hooks: CarrierHooks, share: LoopShare, spawn: Spawn) -> HookResponder:
    """Answer voice hooks that nobody with a free slot took; whether there is one here does not matter."""
    return DirectResponder(
        bus, Command.CALLS_DECLINE, CarrierRequest, hooks.decline, service=SERVICE, share=share, spawn=spawn
    )


def answer_checks(bus: Bus, checks: AssistantChecks) -> Responder:
    """Ask the vendors of an assistant; whether there is a free slot does not matter."""
    check = responder(bus, Command.VENDORS_CHECK, service=SERVICE)

    @check
    async def check_assistant(command: CommandMessage[AssistantRef]) -> AssistantCheck:
        if command.organization is None:
            raise CommandError(ErrorCode.INVALID, "whose assistant? the command names no organization")
        return await checks.check(command.organization, command.payload.assistant_id)

    return check


def answer_operators(bus: Bus, worker_id: str, calls: OperatedCalls) -> None:
    """Look at, end and hand over calls: who has the call acts, and every worker answers for itself.

    Closing one that no worker has is done by any of them.
    """
    own = f"{SERVICE}-{worker_id}"

    @responder(bus, Command.CALLS_DESCRIBE, service=own)
    async def describe_call(command: CommandMessage[LiveCallRef]) -> HeldCall:
        return calls.describe(command.payload.call_id)

    @responder(bus, Command.CALLS_END, service=own)
    async def end_call(command: CommandMessage[LiveCallRef]) -> HeldCall:
        return await calls.end(command.payload.call_id)

    @responder(bus, Command.CALLS_RELEASE, service=own)
    async def release_call(command: CommandMessage[LiveCallRef]) -> HeldCall:
        return await calls.release(command.payload.call_id)

    @responder(bus, Command.CALLS_CLOSE, service=SERVICE)
    async def close_call(command: CommandMessage[LiveCallRef]) -> ClosedCall:
        return await calls.close(command.payload.call_id)


def describe_worker(bus: Bus, worker_id: str, describe: Callable[[], WorkerDescription]) -> None:
    """Say what this worker is; each has a queue group of its own, so that all of them answer."""

    @responder(bus, Command.WORKERS_DESCRIBE, service=f"{SERVICE}-{worker_id}")
    async def described(command: CommandMessage[Nothing]) -> WorkerDescription:
        return describe()

"""NATS edge of the call-worker: carrier requests, read by one worker with a free slot."""

from calliope.contracts.base import CommandMessage
from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.subjects import Command
from calliope.messaging.broker import Bus
from calliope.messaging.commands import Responder, responder
from calliope_call_worker.intake import Intake

SERVICE = "call-worker"


def answer_carriers(bus: Bus, intake: Intake) -> Responder:
    """Answer voice hooks; pausing it takes this worker out of the queue of those with a free slot."""
    accept = responder(bus, Command.CALLS_ACCEPT, service=SERVICE)

    @accept
    async def accept_call(command: CommandMessage[CarrierRequest]) -> CarrierResponse:
        return await intake.accept(command.payload)

    return accept

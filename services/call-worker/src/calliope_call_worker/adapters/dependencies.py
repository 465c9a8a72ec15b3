"""What work after a call needs besides its messages: the streams that it reads and writes, and the assistants."""

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from calliope.contracts import subjects
from calliope.errors import CommandError, TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.streams import EVENTS, PINS
from calliope_call_worker.errors import ASSISTANTS, JOURNALS
from calliope_call_worker.ports import Directory

_NOBODY = "none"
"""No organization and no assistant has this id: asking for it costs one look into the store."""


def watch_dependencies(bus: Bus, directory: Directory) -> None:
    """Have messages whose work met one of these away wait for it, without a delivery being counted."""

    async def journals() -> None:
        for stream, subject in ((EVENTS.name, subjects.ALL_EVENTS), (PINS.name, PINS.subjects[0])):
            try:
                await bus.jetstream.get_last_msg(stream, subject)
            except NotFoundError:
                continue
            except (NatsError, OSError) as exc:
                raise TransientError(f"{stream} cannot be read") from exc

    async def assistants() -> None:
        try:
            await directory.pin(_NOBODY, _NOBODY)
        except CommandError as exc:
            raise TransientError(f"assistants did not answer: {exc.code}") from exc

    bus.dependencies.add(JOURNALS, journals)
    bus.dependencies.add(ASSISTANTS, assistants)

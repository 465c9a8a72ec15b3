"""What the work after a call waits for is named by whoever cannot reach it, and noticed when it is back."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nats.errors import ConnectionClosedError
from nats.js.errors import NotFoundError

from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError, TransientError
from calliope_call_worker.adapters.dependencies import watch_dependencies
from calliope_call_worker.adapters.journal_reader import JournalReader
from calliope_call_worker.adapters.pins import NatsPins
from calliope_call_worker.errors import ASSISTANTS, JOURNALS

Check = Callable[[], Awaitable[object]]


class Gone:
    """A bus, and the owner of assistants, that answer nothing, or that have nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.jetstream = self.dependencies = self
        self.checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        self.checks[name] = check

    async def fail(self, *_: Any, **__: Any) -> Any:
        raise self.error

    get_msg = get_last_msg = key_value = fail

    async def pin(self, *_: str) -> None:
        if not isinstance(self.error, NotFoundError):
            raise CommandError(ErrorCode.UNAVAILABLE, "nobody answers")


READS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "the first fact": lambda bus: JournalReader(bus).first("call_1"),
    "all facts": lambda bus: JournalReader(bus).whole("call_1"),
    "the latest": lambda bus: JournalReader(bus).recent("call_1"),
    "one by one": lambda bus: JournalReader(bus).scan("call_1", lambda _: None),
    "its assistant": lambda bus: NatsPins(bus).find("org_1", "asst_1", 1),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("error", [ConnectionClosedError(), TimeoutError()], ids=["away", "silent"])
async def test_journals_that_cannot_be_read_are_named(read: str, error: Exception) -> None:
    with pytest.raises(TransientError) as told:
        await READS[read](Gone(error))
    assert told.value.dependency == JOURNALS


@pytest.mark.parametrize("name", [JOURNALS, ASSISTANTS])
async def test_what_is_away_is_noticed_and_so_is_its_return(name: str) -> None:
    bus: Any = Gone(ConnectionClosedError())
    watch_dependencies(bus, bus)
    with pytest.raises(TransientError):
        await bus.checks[name]()
    bus.error = NotFoundError()
    await bus.checks[name]()

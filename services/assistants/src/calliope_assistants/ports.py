"""What the use cases need of the store: rows, guarded writes, commands that were done, and events waiting to go out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from calliope.contracts.base import Event
from calliope.contracts.call_records import CallSummary, ListCalls
from calliope_assistants.recorded import Recorded
from calliope_assistants.webhook_keys import WebhookKeys

COMMANDS_KNOWN: Final = timedelta(hours=24)
"""How long a repeated command is recognised."""
COMMANDS_PER_ROW: Final = 32
"""A command whose worker died between write and answer is recognised until so many others have changed its row."""

Commands = Mapping[str, datetime]
"""The latest commands that changed a row, by their hashed keys, and when: written with the row, in one act."""


def has_done(commands: Commands, command: str | None, now: datetime) -> bool:
    """Whether a command has had its effect on a row."""
    done_at = None if command is None else commands.get(command)
    return done_at is not None and now - done_at < COMMANDS_KNOWN


def with_command(commands: Commands, command: str | None, now: datetime) -> Commands:
    """The commands of a row after one more."""
    if command is None:
        return commands
    latest = sorted(commands.items(), key=lambda item: item[1])[1 - COMMANDS_PER_ROW :]
    return {known: at for known, at in latest if now - at < COMMANDS_KNOWN} | {command: now}


@dataclass(frozen=True, slots=True)
class AssistantRow:
    """A stored assistant. `document` has its secrets sealed; `sequence` counts its events."""

    id: str
    organization_id: str
    name_key: str
    revision: int
    sequence: int
    created_at: datetime
    updated_at: datetime
    document: dict[str, Any]
    webhook: WebhookKeys | None = None
    commands: Commands = field(default_factory=dict)
    deleted: bool = False

    def changed(self, now: datetime, command: str | None, **changes: Any) -> "AssistantRow":
        """The next revision, made by a command, with one more event."""
        commands = with_command(self.commands, command, now)
        return replace(
            self,
            revision=self.revision + 1,
            sequence=self.sequence + 1,
            updated_at=now,
            commands=commands,
            **changes,
        )


@dataclass(frozen=True, slots=True)
class NumberRow:
    """A telephone number; `assistant_id` None: nobody answers it any more.

    Its events are counted for each organization that ever held it: none sees those of another.
    """

    number: str
    organization_id: str
    assistant_id: str | None
    carrier: str
    revision: int
    sequences: Mapping[str, int]
    updated_at: datetime
    commands: Commands = field(default_factory=dict)


class NameTakenError(Exception):
    """Another assistant of the organization has this name."""


class Assistants(Protocol):
    """The assistants of one organization; there is no way to reach another's.

    Writes raise TransientError when nothing was written, TimeoutError when nobody knows.
    """

    async def get(self, assistant_id: str, *, also_deleted: bool = False) -> AssistantRow | None:
        """By id. Raises: TransientError."""

    async def page(self, limit: int, before: str | None) -> Sequence[AssistantRow]:
        """Newest first, those whose `pages.position` is below `before`."""

    async def insert(self, row: AssistantRow, event: Event) -> bool:
        """Store a new one with its event; False, when the id is there already. Raises: NameTakenError."""

    async def update(self, row: AssistantRow, event: Event) -> bool:
        """Store the next revision with its event; False, when somebody wrote before. Raises: NameTakenError."""


class Numbers(Protocol):
    """Numbers are unique over all organizations, so their rows are reached by number. Raises as `Assistants`."""

    async def get(self, number: str) -> NumberRow | None:
        """Whoever holds it."""

    async def page(
        self, organization_id: str, assistant_id: str | None, limit: int, after: str | None
    ) -> Sequence[NumberRow]:
        """Those that assistants (or one of them) answer, in the order of their digits, beyond `after`."""

    async def put(self, row: NumberRow, event: Event, *, if_revision: int) -> bool:
        """Store the next revision (0: a new row) with its event; False, when somebody wrote before."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a command id before: the mark of its request, and its reply unless it is still being worked on."""

    request_hash: str
    reply: dict[str, Any] | None


def may_be_the_same(one: str, other: str) -> bool:
    """Whether two marks of requests (`Done.request_hash`) can be of one request.

    A mark is a hash of all that was asked, or `v2:<hash of all but secrets>:<API key>:<hash of secrets under it>`. What
    cannot be compared is believed: whoever repeats an idempotency key across versions or API keys means the same.
    """
    parts, others = one.split(":"), other.split(":")
    if len(parts) != len(others):
        return True
    if len(parts) == 1:
        return one == other
    return parts[:2] == others[:2] and (parts[2] != others[2] or parts[3] == others[3])


class CommandLog(Protocol):
    """Commands by idempotency key, for `COMMANDS_KNOWN`. Raises: TransientError."""

    async def begin(self, key: str, request_hash: str, now: datetime, lease_s: float) -> Done | None:
        """None: the key is ours to work on (new, given up, or its worker died). Else what is known."""

    async def finish(self, key: str, reply: dict[str, Any]) -> None:
        """Keep the reply."""

    async def release(self, key: str) -> None:
        """Its outcome is unknown; whoever repeats it may begin at once."""

    async def forget(self, key: str) -> None:
        """It had no effect; the key may be used again."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """What is summed up of a call (see `summaries`), and of which of its events."""

    summed: Mapping[str, Any]
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class ListedCall:
    """A call in a list, and its `pages.position`."""

    position: str
    summary: CallSummary


@dataclass(frozen=True, slots=True)
class CallList:
    """Calls, newest first. `next` is the position to go on below; None: there are no others."""

    calls: Sequence[ListedCall]
    next: str | None


class CallEvents(Protocol):
    """The events of calls, each kept once, whatever order they come in; and what lists show, made of them.

    Raises TransientError when the store is away or too slow; nothing is lost by doing it again.
    """

    async def add(self, events: Sequence[Event]) -> None:
        """Keep events of any calls. When it returns, all are stored and summed up."""

    async def get(self, organization_id: str, call_id: str) -> CallRow | None:
        """A call; None when there is none of this organization."""

    async def events(
        self, organization_id: str, call_id: str, sequences: Iterable[int], *, names: Sequence[str] | None = None
    ) -> Sequence[Event]:
        """Events of a call in order: those of these sequences that are there, or only kinds of them, by name."""

    async def page(self, organization_id: str, wanted: ListCalls, *, before: str | None) -> CallList:
        """At most `wanted.limit` calls, newest first, whose position is below `before`.

        There may be fewer although more follow: a list that no index covers looks at a bounded number of calls.
        """

    async def summarize(self, limit: int) -> int:
        """Make rows of another version anew, at most so many; how many there were."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row with events that were written and not yet published, oldest first."""

    collection: str
    id: str
    events: tuple[Event, ...] = field(default=())
    was_refused: bool = False
    """Whether its first event was refused before."""
    is_readable: bool = True


class Outbox(Protocol):
    """Events that were stored with their documents."""

    async def waiting(self, limit: int, now: datetime) -> Sequence[Waiting]:
        """Rows with unpublished events, oldest first; without those that wait behind a refused one until later."""

    async def published(self, waiting: Waiting, event: Event, now: datetime) -> None:
        """Move one event from its row to the log of sent events."""

    async def put_off(self, waiting: Waiting, until: datetime) -> None:
        """None of the row's events before a moment: the first of them cannot be published now."""

    async def take_up(self, event: Event) -> None:
        """The row of a refused event may be tried at once."""

    async def refused(self) -> int:
        """How many rows wait behind a refused event."""

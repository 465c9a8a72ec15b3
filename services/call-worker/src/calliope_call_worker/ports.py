"""What calls need of the rest of the house."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from calliope.contracts.assistants import NumberRoute, PhoneNumber, PinnedAssistant
from calliope.contracts.base import Event, Message
from calliope.contracts.document.spec import AssistantSpec
from calliope_call_worker.playback import Playback
from calliope_call_worker.providers.probe import Probe


@dataclass(frozen=True, slots=True)
class KnownRoute:
    """A route as it was a moment ago; `route` is None for a number that was nobody's."""

    route: NumberRoute | None


class NumberResolver(Protocol):
    """Knows which assistant answers a number."""

    def known(self, number: str) -> KnownRoute | None:
        """What was asked for within the last second: enough to say no to a stranger without asking for each."""

    async def route(self, number: str) -> NumberRoute | None:
        """Where calls to the number go, as of now, also to an assistant that is not active; None: it is nobody's.

        While that cannot be asked, as it was known last. Raises: CommandError, TransientError, when it never was.
        """

    def keep(self, route: NumberRoute) -> None:
        """Have workers that start while nobody can be asked know it too. Returns at once."""


class Directory(Protocol):
    """Knows the assistants."""

    async def pin(self, organization_id: str, assistant_id: str) -> PinnedAssistant | None:
        """An assistant by id, as of now. Raises: CommandError, when it cannot be known now."""


class AssignedNumbers(Protocol):
    """Knows which numbers lead to an assistant."""

    async def of(self, organization_id: str, assistant_id: str) -> Sequence[PhoneNumber]:
        """All of them. Raises: CommandError, when it cannot be known now."""


class Probes(Protocol):
    """Knows whom a document makes calls depend on."""

    def of(self, spec: AssistantSpec, numbers: Sequence[PhoneNumber]) -> Sequence[Probe]:
        """A question to each vendor. `numbers` are those that the assistant answers."""


class Pins(Protocol):
    """Keeps the revisions that calls were taken with, for all workers."""

    def kept(self, organization_id: str, assistant_id: str, revision: int) -> bool:
        """Whether this worker knows that the revision is kept and stays so for as long as calls may need it."""

    async def keep(self, pinned: PinnedAssistant) -> None:
        """Store a revision; returns soon, also when it could not be stored."""

    async def find(self, organization_id: str, assistant_id: str, revision: int) -> PinnedAssistant | None:
        """That revision, if it is kept. Raises: TransientError."""


class Journal(Protocol):
    """The facts of one call, in order; who cannot write them does not own the call."""

    on_lost: Callable[[], None] | None
    """Told when another worker writes this call: stop at once."""

    @property
    def waiting(self) -> int:
        """Facts that are not stored yet."""

    @property
    def sequence(self) -> int:
        """Number of the last fact that was appended."""

    def append(self, fact: Message) -> None:
        """Write one fact; returns at once, order is kept. The bus may be away for a while.

        Raises: JournalFullError, when too much waits.
        """

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is stored. False, when it is not by then (it stays on its way)."""

    @property
    def lost(self) -> bool:
        """Whether somebody else has the call, so that nothing may be done for it here any more."""

    async def look_whose(self, within_s: float) -> None:
        """Find out whether the call still is ours, before something that cannot be undone. `lost` says it then.

        A bus that does not say so in time has not lost it.
        """


class Journals(Protocol):
    """Opens journals."""

    async def create(self, organization_id: str, call_id: str, first: Message) -> Journal:
        """A new call's journal with its first fact stored. Raises: OwnershipError, when the call has one already."""

    async def first(self, call_id: str) -> Event | None:
        """The first fact of a call of any organization; None, when it has none. Raises: TransientError."""

    async def read(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """All facts of a call of any organization, and the position of the last. Raises: TransientError."""

    async def scan(self, call_id: str, take: Callable[[Event], None]) -> int:
        """Give all facts of a call to `take`, one by one in their order, and keep none; the position of the last.

        Raises: TransientError, also after some were given.
        """

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """As `read`, of a long call only the first facts and the latest: what going on with it needs.

        Of two facts side by side the later `sequence` may be higher by more than one. Raises: TransientError.
        """

    async def reopen(self, facts: tuple[Event, ...], last: int, first: Message) -> Journal:
        """Go on after these facts with `first`. Raises: OwnershipError, when somebody wrote since."""


class Recorder(Protocol):
    """Keeps what turn taking of one call saw and decided, to replay it offline."""

    def record(self, line: Mapping[str, Any]) -> None:
        """Keep one more line of `pipeline.replay`. Returns at once and never fails; the call is what matters."""


class Recordings(Protocol):
    """Opens recordings."""

    def open(self, call_id: str) -> Recorder | None:
        """The recording of a call; None, when this installation keeps none."""


class Playbacks(Protocol):
    """Keeps, of each call, how far the reply that is being said has come."""

    async def keep(self, call_id: str, owner: int, playback: Playback) -> None:
        """Replace what this owner keeps of the call. Returns soon, and never fails: it is of use for seconds only.

        `owner` is the sequence of the fact with which a worker took the call: who lost it overwrites nothing.
        """

    async def find(self, call_id: str, owners: Sequence[int]) -> Playback | None:
        """What the first of these owners that kept anything kept last; None, also when it cannot be read in time."""


class OpenCalls(Protocol):
    """Remembers which calls began, so that one whose worker dies is not forgotten."""

    async def note(self, call_id: str) -> None:
        """It is about to begin. Returns soon, also when it could not be noted."""

    async def without_owner(self) -> set[str]:
        """Calls that nobody holds: lost, between two workers, or ended. Raises: TransientError."""

    async def is_held(self, call_id: str) -> bool:
        """Whether a worker holds it now. Raises: TransientError."""

    async def claim(self, call_id: str, what: str) -> bool:
        """Be the one, of all workers, who does this for the call; False: somebody did, or it was forgotten.

        Raises: TransientError.
        """

    async def forget(self, call_id: str) -> None:
        """It has ended; so the journal says."""


class Leases(Protocol):
    """Tells the others that this worker holds a call and is alive."""

    async def take(self, call_id: str, organization_id: str) -> None:
        """Hold it from now on and renew it every second; the journal is what keeps a second owner out."""

    async def release(self, call_id: str) -> None:
        """The call is over."""

    def drop(self, call_id: str) -> None:
        """Somebody else goes on with the call, or will: it is not renewed from here any more."""

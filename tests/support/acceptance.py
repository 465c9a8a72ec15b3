"""Carrier hooks of one worker among fakes: who answers numbers, which revisions are kept, whose account signs."""

from collections.abc import Callable, Mapping
from typing import Any

from calliope.contracts.assistants import NumberRoute, PinnedAssistant
from calliope.contracts.calls import CarrierResponse
from calliope.messaging.direct_responder import Pending
from calliope.secrets import Opener
from calliope_call_worker.accounts import CONFIGS, CarrierAccounts
from calliope_call_worker.calls.authenticate import HookAuthenticator
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.calls.hooks import CarrierHooks, carrier_hooks
from calliope_call_worker.opened_documents import OpenedDocuments
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.ports import KnownRoute, Playbacks
from calliope_call_worker.providers.telephony.base import Carrier
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import WorkerSettings
from support.whole_call import TwinPlaybacks


class FakeAssistants:
    """See `NumberResolver`, `Directory`, `Pins`. Numbers lead to assistants as they are now; calls pin revisions."""

    def __init__(self, numbers: Mapping[str, PinnedAssistant], *, carrier: str = "twilio") -> None:
        self.numbers = dict(numbers)
        self.carrier = carrier
        self.known_now: dict[str, KnownRoute] = {}
        self.routes_asked_for = 0
        self.asked_for: list[str] = []
        """Documents that were asked for, by assistant."""

    async def route(self, number: str) -> NumberRoute | None:
        self.routes_asked_for += 1
        pinned = self.numbers.get(number)
        if pinned is None:
            return None
        return NumberRoute(
            number=number,
            carrier=self.carrier,
            organization_id=pinned.organization_id,
            assistant_id=pinned.id,
            revision=pinned.revision,
            is_active=pinned.document.get("is_active", True),
            account=pinned.document.get(CONFIGS[self.carrier]),
        )

    def known(self, number: str) -> KnownRoute | None:
        return self.known_now.get(number)

    def keep(self, _: NumberRoute) -> None:
        """See `NumberResolver`."""

    async def pin(self, organization_id: str, assistant_id: str) -> PinnedAssistant | None:
        self.asked_for.append(assistant_id)
        held = (pinned for pinned in self.numbers.values() if pinned.organization_id == organization_id)
        return next((pinned for pinned in held if pinned.id == assistant_id), None)


class FakePins:
    """See `Pins`."""

    def __init__(self) -> None:
        self.revisions: dict[tuple[str, str, int], PinnedAssistant] = {}
        self.read: list[str] = []

    def kept(self, organization_id: str, assistant_id: str, revision: int) -> bool:
        return (organization_id, assistant_id, revision) in self.revisions

    async def keep(self, pinned: PinnedAssistant) -> None:
        self.revisions[pinned.organization_id, pinned.id, pinned.revision] = pinned

    async def find(self, organization_id: str, assistant_id: str, revision: int) -> PinnedAssistant | None:
        self.read.append(assistant_id)
        return self.revisions.get((organization_id, assistant_id, revision))


async def done(answer: CarrierResponse | Pending[CarrierResponse]) -> CarrierResponse:
    """What a hook is answered in the end."""
    return await answer.work() if isinstance(answer, Pending) else answer


def hooks_among(
    around: Any,
    *,
    assistants: FakeAssistants,
    pins: FakePins | None = None,
    settings: WorkerSettings,
    carriers: Mapping[str, Carrier],
    orders: CarrierOrders,
    live: LiveCalls,
    refusals: Refusals,
    start: Callable[..., Any],
    spawn: Callable[..., Any] | None = None,
    worker_id: str = "w1",
    playbacks: Playbacks | None = None,
) -> CarrierHooks:
    """`around` is journals, leases and open calls."""
    opener = Opener([])
    documents = CallDocuments(assistants, pins or FakePins(), OpenedDocuments(opener))
    accounts = CarrierAccounts(settings.carriers, opener)
    return carrier_hooks(
        settings=settings,
        worker_id=worker_id,
        carriers=carriers,
        orders=orders,
        numbers=assistants,
        documents=documents,
        authenticator=HookAuthenticator(settings, accounts, assistants, documents),
        journals=around,
        playbacks=playbacks or TwinPlaybacks(),
        leases=around,
        open_calls=around,
        live=live,
        refusals=refusals,
        spawn=spawn or around,
        start=start,
        media_url=lambda: "wss://worker/media",
    )

"""A call keeps the revision that it was taken with, whatever becomes of its assistant and of the carrier's token."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.base import Event, Message
from calliope.contracts.calls import EVENT_NAMES, CallAnswered, CallEnded, CarrierRequest, EndReason
from calliope.secrets import Opener
from calliope_call_worker.accounts import CarrierAccounts
from calliope_call_worker.calls.authenticate import HookAuthenticator, begun_call
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.lost_calls import LostCalls
from calliope_call_worker.opened_documents import OpenedDocuments
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal, Journals, OpenCalls
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierAccount, CarrierApi
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import WorkerSettings
from support.acceptance import FakeAssistants, FakePins, done, hooks_among
from support.whole_call import TwinJournal, TwinPlaybacks

pytestmark = pytest.mark.promise("P4")
SID, OLD, NEW, STRANGE = "AC" + "2" * 32, "0" * 32, "1" * 32, "f" * 32
OURS, CALLER = "+15550000001", "+15550001111"
LONG_AGO = datetime(2026, 1, 31, tzinfo=UTC).timestamp()


def at(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def a_revision(number: int, token: str = OLD, **document: Any) -> PinnedAssistant:
    written = {
        "name": "Ann",
        "llm_provider_config": {"api_key": "k"},
        "llm_settings": {"system_prompt": f"prompt {number}"},
        "stt_settings": {"language": "de"},
        "twilio_config": {"account_sid": SID, "auth_token": token},
    }
    return PinnedAssistant(id="asst_1", organization_id="org_1", revision=number, document=written | document)


class World:
    """One worker at a time; all of them share the bus, which is the journals and the kept revisions."""

    def __init__(self) -> None:
        self.assistants = FakeAssistants({OURS: a_revision(1)})
        self.pins = FakePins()
        self.facts: list[Event] = []
        self.begun: list[CallPlan] = []
        self.hung_up_with: list[str] = []
        self.known_to_the_carrier = {OLD, NEW}
        self.journals_read = 0
        self.playbacks = TwinPlaybacks()

    async def rings(self) -> CallPlan:
        assert await self.hears("/telephony/twilio/voice", OLD) == 200
        return self.begun[-1]

    async def loses_its_worker(self, token: str, *, nobody_has_a_slot: bool = False) -> int:
        self.happened(CallAnswered(stream_id="MZ1"))
        path = f"/telephony/twilio/resume/{self.begun[0].call_id}?language=de-DE"
        return await self.hears(path, token, nobody_has_a_slot=nobody_has_a_slot)

    async def hears(
        self, path: str, token: str, *, nobody_has_a_slot: bool = False, asked_at: float | None = None, **fields: str
    ) -> int:
        """The status of what another worker answers; `asked_at` is Unix time."""
        around: Any = self
        hooks = hooks_among(
            around,
            assistants=self.assistants,
            pins=self.pins,
            settings=WorkerSettings(),
            carriers={"twilio": Twilio()},
            orders=CarrierOrders({}, around),
            live=LiveCalls(1, lambda: None),
            refusals=around,
            start=self.start,
            playbacks=self.playbacks,
        )
        form = {"CallSid": "CA1", "AccountSid": SID, "From": CALLER, "To": OURS} | fields
        signed = f"http://127.0.0.1:8080{path}" + "".join(name + form[name] for name in sorted(form))
        signature = base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()
        hook = CarrierRequest(
            carrier="twilio",
            method="POST",
            path_and_query=path,
            headers=(("X-Twilio-Signature", signature),),
            body=base64.b64encode(urlencode(form).encode()),
            asked_at=None if asked_at is None else at(asked_at),
        )
        answer = await done((hooks.decline if nobody_has_a_slot else hooks.answer)(hook))
        self.answered = answer.body
        return answer.status

    def happened(self, fact: Message, call_id: str = "", *, at_s: float = LONG_AGO) -> None:
        event = Event(
            id=f"evt_{len(self.facts)}",
            type=f"calliope.call.{EVENT_NAMES[type(fact)]}.v1",
            source="/test",
            subject=f"call/{call_id or self.facts[0].entity_id}",
            time=at(at_s),
            organization="org_1",
            sequence=len(self.facts) + 1,
            data=fact.model_dump(mode="json"),
        )
        self.facts.append(event)

    # As journals, leases, open calls, refusals, the carrier's REST

    async def create(self, _: str, call_id: str, first: Message) -> Journal:
        self.happened(first, call_id)
        return cast("Journal", TwinJournal())

    async def first(self, _: str) -> Event:
        return self.facts[0]

    async def read(self, _: str) -> tuple[tuple[Event, ...], int]:
        self.journals_read += 1
        return tuple(self.facts), len(self.facts)

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        return await self.read(call_id)

    async def reopen(self, _: tuple[Event, ...], __: int, fact: Message) -> Journal:
        self.happened(fact)
        return cast("Journal", TwinJournal())

    async def note(self, _: str) -> None: ...

    async def forget(self, _: str) -> None: ...

    async def take(self, *_: str) -> None: ...

    def drop(self, _: str) -> None: ...

    def distrusted(self, *_: Any) -> None: ...

    async def start(self, plan: CallPlan, _: Journal) -> None:
        self.begun.append(plan)

    async def hang_up(self, account: CarrierAccount, _: str) -> None:
        if account.secret not in self.known_to_the_carrier:
            raise ProviderError("twilio", Failure.KEY, "401")
        self.hung_up_with.append(account.secret)


async def test_a_changed_assistant_changes_no_call_that_runs() -> None:
    world = World()
    first = await world.rings()
    world.assistants.numbers[OURS] = a_revision(2)
    assert await world.loses_its_worker(OLD) == 200

    second = world.begun[1]
    assert second.continuation is not None
    assert second.system_prompt == first.system_prompt
    assert second.assistant_revision == 1
    assert world.assistants.asked_for == ["asst_1"]  # by the first worker, to take the call


async def test_a_deleted_assistant_cuts_nobody_off() -> None:
    world = World()
    await world.rings()
    world.assistants.numbers.clear()
    assert await world.loses_its_worker(OLD) == 200
    assert [plan.assistant_revision for plan in world.begun] == [1, 1]


@pytest.mark.parametrize("token", [OLD, NEW])
async def test_a_carrier_signs_with_the_old_or_the_new_token_while_a_call_runs(token: str) -> None:
    world = World()
    await world.rings()
    world.assistants.numbers[OURS] = a_revision(2, NEW)
    assert await world.loses_its_worker(token) == 200
    assert world.begun[1].account.secret == token


@pytest.mark.parametrize("path", ["/telephony/twilio/voice", "/telephony/twilio/resume/{}"])
async def test_news_of_a_call_are_believed_with_either_token_and_with_no_other(path: str) -> None:
    world = World()
    path = path.format((await world.rings()).call_id)
    world.assistants.numbers[OURS] = a_revision(2, NEW)
    for token, status in ((OLD, 200), (NEW, 200), (STRANGE, 403)):
        assert await world.hears(path, token, CallStatus="completed") == status
    world.assistants.numbers.clear()
    if path.endswith("voice"):
        return  # whose call it is, only the number tells
    assert await world.hears(path, OLD, CallStatus="completed") == 200


async def test_a_stranger_reads_neither_document_nor_journal_of_a_call() -> None:
    world = World()
    await world.rings()
    assert await world.loses_its_worker(STRANGE) == 403
    assert (len(world.begun), world.journals_read, world.assistants.asked_for) == (1, 0, ["asst_1"])


async def test_without_a_slot_anywhere_the_last_resort_is_the_pinned_assistants() -> None:
    world = World()
    world.assistants.numbers[OURS] = a_revision(1, messages={"last_resort": "Bitte {{call.direction}}."})
    await world.rings()
    world.assistants.numbers[OURS] = a_revision(2)
    assert await world.loses_its_worker(OLD, nobody_has_a_slot=True) == 200
    assert '<Say language="de-DE">Bitte inbound.</Say><Hangup/>' in world.answered
    end = CallEnded.model_validate(world.facts[-1].data)
    assert (end.reason, "free slot" in end.detail) == (EndReason.WORKER_LOST, True)


@pytest.mark.parametrize(("known", "used"), [({OLD}, OLD), ({NEW}, NEW), ({OLD, NEW}, NEW)])
async def test_a_lost_call_is_hung_up_with_the_token_that_the_carrier_knows(known: set[str], used: str) -> None:
    world = World()
    await world.rings()
    world.assistants.numbers[OURS] = a_revision(2, NEW)
    world.known_to_the_carrier = known
    settings, opener = WorkerSettings(), Opener([])
    documents = CallDocuments(world.assistants, world.pins, OpenedDocuments(opener))
    authenticator = HookAuthenticator(settings, CarrierAccounts(settings.carriers, opener), world.assistants, documents)
    lost_calls = LostCalls(
        settings=settings,
        open_calls=cast("OpenCalls", world),
        journals=cast("Journals", world),
        authenticator=authenticator,
        apis={"twilio": cast("CarrierApi", world)},
    )
    await lost_calls.close_all([begun_call(world.facts[0]).call_id])
    assert world.hung_up_with == [used]

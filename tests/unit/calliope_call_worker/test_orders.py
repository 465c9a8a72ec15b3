"""What a worker orders after hooks of a carrier that reads no answers, and what it had better not order."""

import base64
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.base import Event, Message
from calliope.contracts.calls import (
    EVENT_NAMES,
    CallAnswered,
    CallEnded,
    CallRefused,
    CarrierRequest,
    EndReason,
    Stage,
    TransferStarted,
)
from calliope.errors import TransientError
from calliope_call_worker.calls import resume
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.failures import StageError
from calliope_call_worker.providers.telephony.base import CarrierAccount, CarrierAction
from calliope_call_worker.providers.telephony.telnyx import Telnyx
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import CallSettings, CarriersSettings, TelnyxSettings, WorkerSettings
from support.acceptance import FakeAssistants, FakePins, done, hooks_among
from support.whole_call import TwinJournal

OURS, CALLER = "+15550002222", "+15550001111"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FORGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
OURSELVES = TelnyxSettings(
    connection_id="7",
    api_key=SecretStr("KEY1"),
    public_key=base64.b64encode(KEY.public_key().public_bytes_raw()).decode(),
)
ASSISTANT = PinnedAssistant(
    id="asst_1",
    organization_id="org_1",
    revision=1,
    document={"name": "Ann", "llm_provider_config": {"api_key": "k"}},
)


def an_event(name: str, key: Ed25519PrivateKey = KEY, **payload: Any) -> CarrierRequest:
    leg = {"call_control_id": "v3:a", "connection_id": "7", "from": CALLER, "to": OURS, "direction": "incoming"}
    data = {"event_type": name, "occurred_at": datetime.now(UTC).isoformat(), "payload": leg | payload}
    body, at = orjson.dumps({"data": data}), str(int(time.time()))
    signature = base64.b64encode(key.sign(f"{at}|".encode() + body)).decode()
    return CarrierRequest(
        carrier="telnyx",
        method="POST",
        path_and_query="/telephony/telnyx/voice",
        headers=(("telnyx-signature-ed25519", signature), ("telnyx-timestamp", at)),
        body=base64.b64encode(body),
    )


@dataclass(slots=True)
class Bench:
    """Hooks among fakes; it is itself its journals, leases, open calls, and the carrier's REST."""

    settings: WorkerSettings = field(
        default_factory=lambda: WorkerSettings(carriers=CarriersSettings(telnyx=OURSELVES))
    )
    slots: int = 1
    assistant: PinnedAssistant = ASSISTANT
    elsewhere: bool = False
    up: bool = True
    start_fails: StageError | None = None
    order_fails: ProviderError | None = None
    call_over: bool = False
    ended: list[str] = field(default_factory=list)
    failed: list[tuple[str, Failure, str]] = field(default_factory=list)
    refused: list[CallRefused] = field(default_factory=list)
    facts: tuple[Event, ...] = ()
    closed: list[CallEnded] = field(default_factory=list)
    pins: FakePins = field(default_factory=FakePins)
    ordered: list[CarrierAction] = field(default_factory=list)
    started: list[CallPlan] = field(default_factory=list)
    _tasks: list[Coroutine[Any, Any, Any]] = field(default_factory=list)

    async def hears(self, request: CarrierRequest, *, nobody_has_a_slot: bool = False) -> int:
        """The status of the answer; orders that follow are given before it returns."""
        hooks = hooks_among(
            self,
            assistants=self.assistants,
            pins=self.pins,
            settings=self.settings,
            carriers={"telnyx": Telnyx()},
            orders=CarrierOrders(
                {"telnyx": self}, lambda work, _: self._tasks.append(work), self.order_failed, self.ended.append
            ),
            live=LiveCalls(self.slots, lambda: None),
            refusals=Refusals(self, lambda work, _: self._tasks.append(work), worker_id="w1", unsigned_per_minute=5),
            spawn=lambda work, _: self._tasks.append(work),
            start=self.start,
        )
        answer = await done((hooks.decline if nobody_has_a_slot else hooks.answer)(request))
        while self._tasks:
            await self._tasks.pop()
        return answer.status

    def happened(self, *facts: Message, accepted_at: datetime | None = None) -> None:
        """The call has begun somewhere, and then this."""
        first: dict[str, Any] = {
            "direction": "inbound", "from_number": CALLER, "to_number": OURS, "assistant_id": "asst_1",
            "assistant_revision": 1, "carrier": "telnyx", "carrier_call_id": "v3:a", "worker_id": "w0",
        }  # fmt: skip
        if accepted_at is not None:
            first |= {"accepted_at": accepted_at.isoformat()}
        named = [("started", first), *((EVENT_NAMES[type(fact)], fact.model_dump(mode="json")) for fact in facts)]
        self.facts = tuple(
            Event(
                id=f"evt_{number}",
                type=f"calliope.call.{name}.v1",
                source="/test",
                subject="call/call_1",
                time=datetime(2026, 1, 2, tzinfo=UTC),
                organization="org_1",
                sequence=number,
                data=data,
            )
            for number, (name, data) in enumerate(named, 1)
        )

    async def start(self, plan: CallPlan, journal: Journal) -> None:
        """See `calls.start.StartCall`."""
        if self.start_fails is not None:
            raise self.start_fails
        self.started.append(plan)

    @property
    def assistants(self) -> FakeAssistants:
        """Who answers our number now."""
        return FakeAssistants({OURS: self.assistant}, carrier="telnyx")

    async def create(self, organization_id: str, call_id: str, first: Message) -> Journal:
        """See `Journals`."""
        if self.elsewhere:
            raise OwnershipError("another worker has it")
        if isinstance(first, CallRefused):
            self.refused.append(first)
        return cast("Journal", TwinJournal())

    async def first(self, call_id: str) -> Event | None:
        """See `Journals`."""
        return self.facts[0] if self.facts else None

    async def read(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """See `Journals`."""
        return self.facts, len(self.facts)

    async def scan(self, call_id: str, take: Callable[[Event], None]) -> int:
        """See `Journals`."""
        for fact in self.facts:
            take(fact)
        return len(self.facts)

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """See `Journals`."""
        return await self.read(call_id)

    async def reopen(self, facts: Sequence[Event], last: int, first: Message) -> Journal:
        """See `Journals`."""
        if isinstance(first, CallEnded):
            self.closed.append(first)
        return cast("Journal", TwinJournal())

    async def note(self, call_id: str) -> None:
        """See `OpenCalls`."""

    async def without_owner(self) -> set[str]:
        """See `OpenCalls`."""
        return set()

    async def is_held(self, call_id: str) -> bool:
        """See `OpenCalls`."""
        return False

    async def forget(self, call_id: str) -> None:
        """See `OpenCalls`."""

    async def take(self, call_id: str, organization_id: str) -> None:
        """See `Leases`."""

    async def release(self, call_id: str) -> None:
        """See `Leases`."""

    def drop(self, call_id: str) -> None:
        """See `Leases`."""

    async def perform(self, account: CarrierAccount, carrier_call_id: str, action: CarrierAction) -> bool:
        """See `CarrierCommands`."""
        assert (account.secret, carrier_call_id) == ("KEY1", "v3:a")
        if self.order_fails is not None:
            raise self.order_fails
        self.ordered.append(action)
        return not self.call_over

    def order_failed(self, call_id: str, error: ProviderError, action: str) -> None:
        """See `orders.OnFailure`."""
        self.failed.append((call_id, error.failure, action))

    async def still_up(self, account: CarrierAccount, carrier_call_id: str, media_ended_at: datetime | None) -> bool:
        """See `CarrierCommands`."""
        return self.up

    @property
    def names(self) -> list[str]:
        """Of the orders."""
        return [action.name for action in self.ordered]


async def test_a_new_call_is_answered_with_media_of_this_worker() -> None:
    bench = Bench()
    assert await bench.hears(an_event("call.initiated")) == 200
    (plan,) = bench.started
    assert bench.ordered[0].body["stream_url"] == f"wss://worker/media/telnyx/{plan.call_id}/{plan.token}"


async def test_a_command_that_the_carrier_refuses_is_a_problem_of_its_call() -> None:
    bench = Bench(order_fails=ProviderError("telnyx", Failure.KEY, "refused with 401"))
    await bench.hears(an_event("call.initiated"))
    (plan,) = bench.started
    assert bench.failed == [(plan.call_id, Failure.KEY, "the command 'answer' was not carried out")]


async def test_a_call_whose_end_was_told_before_its_beginning_ends_when_it_is_answered() -> None:
    bench = Bench(call_over=True)
    assert await bench.hears(an_event("call.hangup", hangup_cause="originator_cancel")) == 200
    assert (bench.names, bench.ended) == ([], [])
    await bench.hears(an_event("call.initiated"))
    (plan,) = bench.started
    assert (bench.names, bench.ended, bench.failed) == (["answer"], [plan.call_id], [])


async def test_a_repeated_hook_never_refuses_the_call_that_another_worker_answers() -> None:
    bench = Bench(elsewhere=True)
    assert (await bench.hears(an_event("call.initiated")), bench.names) == (200, [])


async def test_a_full_worker_leaves_the_call_to_others() -> None:
    bench = Bench(slots=0)
    with pytest.raises(TransientError, match="no free slot"):
        await bench.hears(an_event("call.initiated"))
    assert (bench.names, bench.refused) == ([], [])


async def test_when_nobody_has_a_slot_the_caller_hears_busy_and_the_record_says_why() -> None:
    bench = Bench(slots=0)
    assert (await bench.hears(an_event("call.initiated"), nobody_has_a_slot=True), bench.names) == (200, ["reject"])
    assert bench.ordered[0].body == {"cause": "USER_BUSY"}
    assert [(refused.code, refused.genuine) for refused in bench.refused] == [("full", True)]


async def test_a_call_that_some_worker_has_is_never_turned_away() -> None:
    bench = Bench(slots=0, elsewhere=True)
    assert (await bench.hears(an_event("call.initiated"), nobody_has_a_slot=True), bench.names) == (200, [])
    assert bench.refused == []


async def test_news_are_taken_by_a_full_worker_too() -> None:
    bench = Bench(slots=0)
    bench.happened(CallAnswered(stream_id="s"), CallEnded(reason=EndReason.ASSISTANT_ENDED, duration_ms=1))
    await bench.hears(an_event("streaming.stopped"), nobody_has_a_slot=True)
    assert bench.names == ["hangup"]


@pytest.mark.promise("P4")
@pytest.mark.parametrize(("slots", "orders"), [(0, ["speak"]), (1, ["streaming_start"])])
async def test_a_call_that_lost_its_worker_gets_the_next_free_slot_or_the_last_resort(
    slots: int, orders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "SLOT_EVERY_S", 0.0)
    bench = Bench(slots=slots, assistant=in_german())
    bench.happened(CallAnswered(stream_id="s"))
    assert (await bench.hears(an_event("streaming.stopped"), nobody_has_a_slot=True), bench.names) == (200, orders)
    assert [end.reason for end in bench.closed] == [EndReason.WORKER_LOST] * (1 - slots)
    if not slots:
        assert bench.ordered[0].body["language"] == "de-DE"
        assert bench.ordered[0].body["payload"].startswith("Es tut uns leid")


def in_german() -> PinnedAssistant:
    return ASSISTANT.model_copy(update={"document": ASSISTANT.document | {"stt_settings": {"language": "de"}}})


async def test_an_assistant_that_is_switched_off_rejects_with_its_own_account() -> None:
    bench = Bench(assistant=ASSISTANT.model_copy(update={"document": ASSISTANT.document | {"is_active": False}}))
    assert (await bench.hears(an_event("call.initiated")), bench.names) == (200, ["reject"])
    assert [(refused.code, refused.genuine) for refused in bench.refused] == [("inactive", True)]


@pytest.mark.parametrize(
    ("telnyx", "code", "words"),
    [
        (TelnyxSettings(), "no_account", "set telnyx_config of the assistant"),
        (OURSELVES.model_copy(update={"public_key": None}), "signature", "no public key"),
        (OURSELVES.model_copy(update={"connection_id": "8"}), "other_account", "set telnyx_config.connection_id"),
    ],
)
async def test_a_call_that_an_account_does_not_fit_is_refused_with_words(
    telnyx: TelnyxSettings, code: str, words: str
) -> None:
    bench = Bench(settings=WorkerSettings(carriers=CarriersSettings(telnyx=telnyx)))
    await bench.hears(an_event("call.initiated"))
    (refused,) = bench.refused
    assert (refused.code, refused.genuine, bench.started) == (code, code == "other_account", [])
    assert words in refused.detail


@pytest.mark.parametrize(("key", "orders"), [(KEY, ["reject"]), (FORGER, [])])
async def test_a_number_that_nobody_answers_is_refused_when_the_hook_is_genuine(
    key: Ed25519PrivateKey, orders: list[str]
) -> None:
    bench = Bench()
    assert (await bench.hears(an_event("call.initiated", key, to="+15550009999")), bench.names) == (200, orders)


@pytest.mark.parametrize("event", ["call.initiated", "call.hangup", "streaming.stopped"])
async def test_a_forged_hook_orders_nothing(event: str) -> None:
    bench = Bench()
    bench.happened(CallAnswered(stream_id="s"))
    assert (await bench.hears(an_event(event, FORGER)), bench.names, bench.started) == (403, [], [])


async def test_a_call_that_has_no_voice_at_all_ends_with_the_carriers_own_step_by_step() -> None:
    bench = Bench(start_fails=StageError(Stage.TTS, ProviderError("elevenlabs", Failure.KEY, "no key")))
    await bench.hears(an_event("call.initiated"))
    bench.happened(CallEnded(reason=EndReason.PROVIDER_FAILED, duration_ms=0))
    await bench.hears(an_event("call.answered", client_state=bench.ordered[-1].body["client_state"]))
    await bench.hears(an_event("call.speak.ended", client_state=bench.ordered[-1].body["client_state"]))

    assert bench.names == ["answer", "speak", "hangup"]
    said = bench.ordered[1].body
    assert (said["payload"], said["language"]) == (
        "We are sorry, we have a technical problem. Please call again later.",
        "en-US",
    )


@pytest.mark.parametrize(
    ("document", "installation", "said"),
    [
        ({"stt_settings": {"language": "es-MX"}}, None, ("Lo sentimos, tenemos", "es-MX")),
        ({"stt_settings": {"language": "es"}}, "Llame mañana.", ("Llame mañana.", "es-ES")),
        ({"stt_settings": {"language": "sv"}}, None, ("We are sorry, we have", "en-US")),
        ({"stt_settings": {"language": "sv"}, "messages": {"last_resort": "Ring {{call.direction}}."}}, "Ring.",
         ("Ring inbound.", "sv-SE")),
    ],
)  # fmt: skip
async def test_the_last_resort_is_said_in_the_assistants_language(
    document: dict[str, Any], installation: str | None, said: tuple[str, str]
) -> None:
    settings = WorkerSettings(carriers=CarriersSettings(telnyx=OURSELVES), call=CallSettings(last_resort=installation))
    bench = Bench(settings=settings, assistant=ASSISTANT.model_copy(update={"document": ASSISTANT.document | document}))
    bench.happened(CallAnswered(stream_id="s"), CallEnded(reason=EndReason.PROVIDER_FAILED, duration_ms=1))
    await bench.hears(an_event("streaming.stopped"))
    (spoken,) = bench.ordered
    assert (spoken.body["payload"].startswith(said[0]), spoken.body["language"]) == (True, said[1])


@pytest.mark.parametrize(
    ("document", "said"),
    [({}, "Es tut uns leid, niemand"), ({"messages": {"transfer_failed": "Niemand da."}}, "Niemand da.")],
)
async def test_a_transfer_that_nobody_took_is_told_in_the_assistants_language(
    document: dict[str, Any], said: str
) -> None:
    document |= ASSISTANT.document | {"stt_settings": {"language": "de"}}
    bench = Bench(assistant=ASSISTANT.model_copy(update={"document": document}))
    bench.happened(
        CallAnswered(stream_id="s"),
        TransferStarted(to_number=CALLER),
        CallEnded(reason=EndReason.TRANSFERRED, duration_ms=1),
    )
    dialled = base64.b64encode(orjson.dumps({"transfer_of": "v3:a", "call_id": "call_1"})).decode()
    leg: dict[str, Any] = {
        "call_control_id": "v3:b",
        "direction": "outgoing",
        "client_state": dialled,
        "hangup_cause": "timeout",
    }
    await bench.hears(an_event("call.hangup", **leg))
    (spoken,) = bench.ordered
    assert (spoken.body["payload"].startswith(said), spoken.body["language"]) == (True, "de-DE")


async def test_another_worker_tells_the_model_the_same_as_the_first() -> None:
    document = {"time_zone": "Asia/Tokyo", "variables": {"house": "Bell"}} | ASSISTANT.document
    document |= {"llm_settings": {"system_prompt": "{{house}}, {{now}}, {{caller.number}}"}}
    bench = Bench(slots=2, assistant=ASSISTANT.model_copy(update={"document": document}))
    await bench.hears(an_event("call.initiated"))
    first = bench.started[0]
    bench.happened(CallAnswered(stream_id="s"), accepted_at=first.began)
    await bench.hears(an_event("streaming.stopped"))

    assert [plan.continuation is None for plan in bench.started] == [True, False]
    assert bench.started[1].system_prompt == first.system_prompt
    assert first.system_prompt.startswith("Bell, ")
    assert f", {CALLER}\n" in first.system_prompt


@pytest.mark.parametrize(
    ("facts", "up", "orders"),
    [
        ([], True, ["streaming_start"]),
        ([], False, []),
        ([CallEnded(reason=EndReason.ASSISTANT_ENDED, duration_ms=1)], True, ["hangup"]),
        ([CallEnded(reason=EndReason.PROVIDER_FAILED, duration_ms=1)], True, ["speak"]),
        ([TransferStarted(to_number=CALLER), CallEnded(reason=EndReason.TRANSFERRED, duration_ms=1)], True, []),
    ],
)
async def test_when_media_ended_the_call_goes_on_here_only_if_it_still_lives(
    facts: list[Message], up: bool, orders: list[str]
) -> None:
    bench = Bench(up=up)
    bench.happened(CallAnswered(stream_id="s"), *facts)
    assert (await bench.hears(an_event("streaming.stopped")), bench.names) == (200, orders)
    assert len(bench.started) == orders.count("streaming_start")

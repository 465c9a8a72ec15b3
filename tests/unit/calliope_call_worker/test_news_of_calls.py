"""News at the voice address: the end of a call that runs here, and nothing at all of one that never began."""

import base64
import hashlib
import hmac
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from structlog.testing import capture_logs

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.base import Event, Message
from calliope.contracts.calls import (
    EVENT_NAMES,
    CallAnswered,
    CallEnded,
    CallRefused,
    CallStarted,
    CarrierRequest,
    Direction,
    EndReason,
    FailureReason,
    HandedOver,
    ProviderFailed,
    Resumed,
    Stage,
    TransferStarted,
)
from calliope.errors import TransientError
from calliope.observability.metrics import REGISTRY
from calliope_call_worker.errors import ASK_SOON_S
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.providers.telephony.base import CarrierAction
from calliope_call_worker.providers.telephony.telnyx import Telnyx
from calliope_call_worker.providers.telephony.telnyx_api import state
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import CarriersSettings, TelnyxSettings, WorkerSettings
from support.acceptance import FakeAssistants, FakePins, done, hooks_among

SID, TOKEN = "AC" + "2" * 32, "0" * 32
KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OURS, CALLER = "+15550100170", "+15550100177"
NOTED = (200, '<?xml version="1.0" encoding="UTF-8"?><Response></Response>')
CARRIERS = pytest.mark.parametrize("carrier", ["twilio", "telnyx"])
DOCUMENT: Final = {
    "name": "Ann",
    "llm_provider_config": {"api_key": "k"},
    "twilio_config": {"account_sid": SID, "auth_token": TOKEN},
    "telnyx_config": {
        "connection_id": "7",
        "api_key": "KEY1",
        "public_key": base64.b64encode(KEY.public_key().public_bytes_raw()).decode(),
    },
}

INSTALLATION: Final = TelnyxSettings(
    connection_id="8",
    api_key=SecretStr("KEY2"),
    public_key=base64.b64encode(
        Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    ).decode(),
)
"""Signed nothing here: a hook to a number of nobody is a stranger's."""


PROBLEM: Final = ProviderFailed(
    stage=Stage.CARRIER, provider="telnyx", reason=FailureReason.DEADLINE, detail="", action="the command failed"
)


class Running:
    """A call that runs here, and how the carrier said that it ended."""

    ending = False
    waiting_facts = 0

    def __init__(self, plan: CallPlan) -> None:
        self.plan = plan
        self.ends: list[tuple[EndReason, str]] = []

    def line_ended(self, reason: EndReason, detail: str) -> None:
        self.ends.append((reason, detail))
        self.ending = True

    def end(self, reason: EndReason, detail: str) -> None:
        self.line_ended(reason, detail)

    async def released(self) -> None:
        """At once."""

    async def hand_over(self, within_s: float) -> None:
        await self.abandon()

    async def abandon(self) -> None:
        raise AssertionError("nobody goes on with it")


class Frozen(Running):
    """A call that another worker has by now, while this one thinks that it is at its end."""

    ending = True
    abandoned = False

    async def abandon(self) -> None:
        self.abandoned = True


class World:
    """What acceptance needs of others; the assistant of every number but one of nobody."""

    def __init__(self, carrier: str, **changes: Any) -> None:
        self.carrier = carrier
        document = DOCUMENT | changes
        pinned = PinnedAssistant(id="asst_1", organization_id="org_1", revision=1, document=document)
        self.assistants = FakeAssistants({OURS: pinned}, carrier=carrier)
        self.pins = FakePins()
        self.live = LiveCalls(3, lambda: None)
        self.journals: dict[str, Message] = {}
        self.later: list[Message] = []
        self.performed: list[str] = []
        self.tasks: list[Coroutine[Any, Any, Any]] = []
        around: Any = self
        self.hooks = hooks_among(
            around,
            assistants=self.assistants,
            pins=self.pins,
            settings=WorkerSettings(
                public_url="https://voice.example.test", carriers=CarriersSettings(telnyx=INSTALLATION)
            ),
            carriers={"twilio": Twilio(), "telnyx": Telnyx()},
            orders=CarrierOrders({"telnyx": around}, self.spawn),
            live=self.live,
            refusals=Refusals(around, self.spawn, worker_id="w1", unsigned_per_minute=5),
            start=self.start,
        )

    def spawn(self, work: Coroutine[Any, Any, Any], _: str) -> None:
        self.tasks.append(work)

    async def create(self, _: str, call_id: str, first: Message) -> None:
        self.journals[call_id] = first

    async def first(self, call_id: str) -> Event | None:
        return next(iter((await self.read(call_id))[0]), None)

    async def read(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        first = self.journals.get(call_id)
        if first is None:
            return (), 0
        facts = tuple(
            Event(
                id=f"evt_{number}",
                type=f"calliope.call.{EVENT_NAMES[type(fact)]}.v1",
                source="/test",
                subject=f"call/{call_id}",
                time=datetime.now(UTC),
                organization="org_1",
                sequence=number,
                data=fact.model_dump(mode="json"),
            )
            for number, fact in enumerate((first, *self.later), 1)
        )
        return facts, len(facts)

    async def recent(self, call_id: str) -> tuple[tuple[Event, ...], int]:
        """See `Journals`."""
        return await self.read(call_id)

    async def note(self, _: str) -> None:
        """See `OpenCalls`."""

    async def take(self, *_: str) -> None:
        """See `Leases`."""

    async def perform(self, _: Any, __: str, action: CarrierAction) -> bool:
        self.performed.append(action.name)
        return True

    async def still_up(self, *_: Any) -> bool:
        return True

    async def start(self, plan: CallPlan, _: Any) -> None:
        self.live.register(Running(plan))

    async def hears(self, **about: str) -> tuple[int, str]:
        """What a hook about a call is answered; what it leads to has happened."""
        request = of_twilio(**about) if self.carrier == "twilio" else of_telnyx(**about)
        answer = await done(self.hooks.answer(request))
        while self.tasks:
            await self.tasks.pop(0)
        return answer.status, answer.body

    async def rings(self, **about: str) -> Running:
        """A call begins here."""
        await self.hears(**RINGS[self.carrier], **about)
        (call,) = self.live
        assert isinstance(call, Running)
        return call


RINGS: Final = {"twilio": {"CallStatus": "ringing"}, "telnyx": {"event": "call.initiated"}}
ENDS: Final = {"twilio": {"CallStatus": "completed"}, "telnyx": {"event": "call.hangup"}}


def of_twilio(path: str = "/telephony/twilio/voice", token: str = TOKEN, **fields: str) -> CarrierRequest:
    form = {"CallSid": "CA7", "AccountSid": SID, "From": CALLER, "To": OURS, "Direction": "inbound"} | fields
    text = f"https://voice.example.test{path}" + "".join(name + form[name] for name in sorted(form))
    signature = base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()
    return CarrierRequest(
        carrier="twilio",
        method="POST",
        path_and_query=path,
        headers=(("X-Twilio-Signature", signature),),
        body=base64.b64encode(urlencode(form).encode()),
    )


def of_telnyx(event: str, **payload: str) -> CarrierRequest:
    leg = {"call_control_id": "v3:a", "connection_id": "7", "from": CALLER, "to": OURS, "direction": "incoming"}
    ended = {"hangup_cause": "normal_clearing"} if event == "call.hangup" else {}
    data = {"event_type": event, "occurred_at": datetime.now(UTC).isoformat(), "payload": leg | ended | payload}
    body, at = orjson.dumps({"data": data}), str(int(time.time()))
    signature = base64.b64encode(KEY.sign(f"{at}|".encode() + body)).decode()
    return CarrierRequest(
        carrier="telnyx",
        method="POST",
        path_and_query="/telephony/telnyx/voice",
        headers=(("telnyx-signature-ed25519", signature), ("telnyx-timestamp", at)),
        body=base64.b64encode(body),
    )


@pytest.mark.parametrize(
    ("carrier", "news"),
    [
        *[("twilio", {"CallStatus": status}) for status in ("completed", "busy", "failed", "no-answer", "canceled")],
        ("twilio", {"CallStatus": "completed", "To": "+15550100199"}),
        ("twilio", {"CallStatus": "in-progress", "CallbackSource": "call-progress-events"}),
        *[("telnyx", {"event": event}) for event in ("call.hangup", "call.answered", "streaming.stopped")],
        ("telnyx", {"event": "call.hangup", "to": "+15550100199"}),
    ],
)
async def test_news_of_a_call_that_never_began_are_taken_and_begin_none(carrier: str, news: dict[str, str]) -> None:
    world = World(carrier)
    status, body = await world.hears(**news)
    assert (status, len(world.live), world.journals) == (200, 0, {})
    assert (status, body) == NOTED or carrier == "telnyx"


@CARRIERS
async def test_the_end_of_a_call_that_runs_here_ends_it_once(carrier: str) -> None:
    world = World(carrier)
    call = await world.rings()
    for _ in range(2):
        assert (await world.hears(**ENDS[carrier]))[0] == 200
    assert call.ends == [(EndReason.CALLER_HUNG_UP, "")]
    assert len(world.journals) == 1


@pytest.mark.promise("P4")
async def test_what_a_worker_that_was_frozen_thinks_of_its_call_does_not_count_when_another_has_it() -> None:
    world = World("telnyx")
    call = Frozen((await world.rings()).plan)
    world.live.register(call)
    world.performed.clear()
    world.later += [
        Resumed(worker_id="w2", previous_worker_id="w1", reason="media ended after answered"),
        CallAnswered(stream_id="MZ2"),
    ]
    await world.hears(event="streaming.stopped", client_state=state(call_id=call.plan.call_id))
    assert call.abandoned
    assert world.performed == []


async def test_why_the_carrier_ended_it_is_told() -> None:
    world = World("twilio")
    call = await world.rings()
    await world.hears(CallStatus="failed")
    assert call.ends == [(EndReason.CARRIER_FAILED, "the carrier ended the call: failed")]


async def test_a_stranger_ends_no_call() -> None:
    world = World("twilio")
    call = await world.rings()
    assert (await world.hears(CallStatus="completed", token="f" * 32))[0] == 403
    assert call.ends == []


@pytest.mark.parametrize(
    ("carrier", "assigned", "forged"),
    [
        ("twilio", "twilio", {"CallStatus": "completed", "token": "f" * 32}),
        ("telnyx", "telnyx", {"event": "call.initiated", "to": "+15550100199"}),
        ("telnyx", "twilio", {"event": "call.initiated"}),
    ],
    ids=["a known call", "a number of nobody", "another carrier's number"],
)
async def test_forged_hooks_are_all_counted_and_few_are_logged(
    carrier: str, assigned: str, forged: dict[str, str]
) -> None:
    world = World(carrier)
    if carrier == "twilio":
        await world.rings()
    world.assistants.carrier = assigned
    before = refused_hooks(carrier)
    with capture_logs() as told:
        for _ in range(200):
            await world.hears(**forged)
    assert refused_hooks(carrier) - before == 200
    names = [line["event"] for line in told]
    assert 0 < names.count("carrier_hook.refused") < 10
    assert len(names) < 20


async def test_hooks_of_a_call_whose_assistant_cannot_be_used_any_more_are_few_lines() -> None:
    world = World("twilio")
    await world.rings()
    (pinned,) = world.assistants.numbers.values()
    broken = pinned.model_copy(update={"document": {**DOCUMENT, "twilio_config": {"account_sid": SID}}})
    world.assistants.numbers[OURS] = broken
    with capture_logs() as told:
        for _ in range(200):
            await world.hears(CallStatus="completed", token="f" * 32)
    assert 0 < len(told) < 10


def refused_hooks(carrier: str) -> float:
    labels = {"carrier": carrier, "code": "signature"}
    return REGISTRY.get_sample_value("calliope_carrier_hooks_refused_total", labels) or 0.0


@CARRIERS
async def test_the_end_of_a_refused_call_leaves_no_second_record(carrier: str) -> None:
    world = World(carrier, is_active=False)
    await world.hears(**RINGS[carrier])
    before = dict(world.journals)
    assert (await world.hears(**ENDS[carrier]))[0] == 200
    assert world.journals == before
    assert [type(first) for first in before.values()] == [CallRefused]


@pytest.mark.parametrize(("carrier", "caller"), [("twilio", "From"), ("telnyx", "from")])
@pytest.mark.parametrize("active", [True, False], ids=["taken", "refused"])
async def test_who_calls_with_the_called_number_as_their_own_still_calls(
    carrier: str, caller: str, active: bool
) -> None:
    world = World(carrier, is_active=active)
    await world.hears(**RINGS[carrier], **{caller: OURS})
    (first,) = world.journals.values()
    assert isinstance(first, CallStarted | CallRefused)
    assert (first.direction, first.from_number) == (Direction.INBOUND, OURS)


async def test_a_full_worker_takes_news_although_it_takes_no_call() -> None:
    world = World("twilio")
    for number in range(3):
        await world.hears(CallSid=f"CA{number}", CallStatus="ringing")
    with pytest.raises(TransientError, match="no free slot"):
        await world.hears(CallSid="CA9", CallStatus="ringing")
    assert await world.hears(CallSid="CA9", CallStatus="busy") == NOTED
    assert len(world.live) == 3


class Resuming(World):
    """Whose calls go on here when their media is lost; `commands` are those that the carrier was given."""

    def __init__(self, carrier: str) -> None:
        super().__init__(carrier)
        self.commands: list[CarrierAction] = []
        self.started: list[CallPlan] = []
        self.closed: list[CallEnded] = []
        self.up = True

    async def reopen(self, _facts: Any, _position: int, first: Message) -> None:
        """See `Journals`."""
        if isinstance(first, CallEnded):
            self.closed.append(first)

    async def forget(self, _: str) -> None:
        """See `OpenCalls`."""

    async def still_up(self, *_: Any) -> bool:
        return self.up

    async def perform(self, _account: Any, _call_id: str, action: CarrierAction) -> bool:
        self.commands.append(action)
        return True

    async def start(self, plan: CallPlan, _: Any) -> None:
        self.started.append(plan)
        self.live.register(Abandoned(plan, self.live))


class Abandoned(Running):
    """One that somebody else goes on with."""

    def __init__(self, plan: CallPlan, live: LiveCalls) -> None:
        super().__init__(plan)
        self._live = live

    async def abandon(self) -> None:
        self._live.release(self.plan.call_id)


async def test_each_new_stream_of_a_call_is_a_new_command_to_the_carrier_and_no_repeated_one() -> None:
    world = Resuming("telnyx")
    await world.rings()
    for _ in range(3):
        await world.hears(event="streaming.stopped")
    assert [action.name for action in world.commands] == ["answer", *["streaming_start"] * 3]
    assert len({action.command_id for action in world.commands}) == 4
    assert len({plan.token for plan in world.started}) == 4


async def test_where_another_worker_must_answer_the_carrier_it_is_asked_soon() -> None:
    """A caller waits in silence meanwhile."""
    world, asked_at = Resuming("twilio"), datetime.now(UTC)
    call_id = (await world.rings()).plan.call_id
    world.live.release(call_id)
    world.later.append(Resumed(worker_id="w2", previous_worker_id="w1", reason="media ended after answered"))
    asked = of_twilio(f"/telephony/twilio/resume/{call_id}").model_copy(update={"asked_at": asked_at})
    with pytest.raises(TransientError, match="another worker goes on") as told:
        await done(world.hooks.answer(asked))
    assert told.value.retry_after_s == ASK_SOON_S <= 0.1


@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    ("carrier", "hook", "does"),
    [
        ("twilio", {"DialCallStatus": "completed"}, "<Hangup/>"),
        ("twilio", {"DialCallStatus": "no-answer"}, "<Say"),
        ("telnyx", {"hangup_cause": "normal_clearing"}, "hangup"),
        ("telnyx", {"hangup_cause": "timeout"}, "speak"),
    ],
)
async def test_a_transfer_that_its_worker_did_not_live_to_tell_is_not_begun_again(
    carrier: str, hook: dict[str, str], does: str
) -> None:
    world = Resuming(carrier)
    call = await world.rings()
    world.live.release(call.plan.call_id)
    world.later.append(TransferStarted(to_number="+15550100123"))
    told = await _transfer_ended(world, call.plan.call_id, hook)
    assert does in (told[1] if carrier == "twilio" else world.commands[-1].name)
    (end,) = world.closed
    assert (end.reason, len(world.started)) == (EndReason.TRANSFERRED, 1)


async def _transfer_ended(world: Resuming, call_id: str, hook: dict[str, str]) -> tuple[int, str]:
    if world.carrier == "twilio":
        return await world.hears(path=f"/telephony/twilio/resume/{call_id}", **hook)
    leg = {"call_control_id": "v3:b", "client_state": state(call_id=call_id, transfer_of="v3:a")}
    return await world.hears(event="call.hangup", direction="outgoing", **leg, **hook)


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    ("carrier", "since", "up", "told"),
    [
        ("telnyx", [], True, ["answer"]),
        ("telnyx", [PROBLEM, HandedOver(between_turns=True)], True, ["answer"]),
        ("telnyx", [], False, []),
        ("telnyx", [CallAnswered(stream_id="MZ1")], True, []),
        ("twilio", [], True, []),
    ],
    ids=["nobody answers it", "nor did who tried", "the caller is gone", "it was answered", "its carrier asks again"],
)
async def test_a_call_that_rings_after_its_worker_is_gone_is_answered(
    carrier: str, since: list[Message], up: bool, told: list[str]
) -> None:
    world = Resuming(carrier)
    world.up = up
    await world.hears(**RINGS[carrier])
    (first,) = world.started
    world.live.release(first.call_id)
    world.later += since
    world.commands.clear()
    await world.hooks.take_up(carrier, first.call_id)
    while world.tasks:
        await world.tasks.pop(0)
    assert [command.name for command in world.commands] == told
    assert [plan.continuation for plan in world.started[1:]] == [None for _ in told]
    assert [end.reason for end in world.closed] == ([] if up else [EndReason.CALLER_HUNG_UP])


@pytest.mark.promise("P4")
@CARRIERS
async def test_that_the_caller_hung_up_is_told_to_whoever_takes_the_call_over(carrier: str) -> None:
    world = Resuming(carrier)
    await world.hears(**RINGS[carrier])
    (first,) = world.started
    world.live.release(first.call_id)
    world.later += [CallAnswered(stream_id="MZ1"), Resumed(worker_id="w2", previous_worker_id="w1", reason="")]
    with pytest.raises(TransientError, match="waits for its media"):
        await world.hears(**ENDS[carrier])
    world.later.append(CallAnswered(stream_id="MZ2"))
    assert (await world.hears(**ENDS[carrier]))[0] == 200

"""Calls that are not taken leave a record where they concern somebody, and strangers cannot make many."""

import base64
import hashlib
import hmac
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlencode

import pytest

from calliope.contracts.assistants import PinnedAssistant
from calliope.contracts.calls import CallRefused, CallStarted, CarrierRequest, CarrierResponse
from calliope.errors import TransientError
from calliope.messaging.direct_responder import Pending
from calliope.observability.metrics import REGISTRY
from calliope_call_worker.errors import OwnershipError
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.ports import KnownRoute
from calliope_call_worker.providers.telephony.twilio import Twilio
from calliope_call_worker.refusals import MAX_AT_ONCE, Refusals
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import WorkerSettings
from support.acceptance import FakeAssistants, FakePins, done, hooks_among

SID, TOKEN = "AC" + "2" * 32, "0123456789abcdef0123456789abcdef"
ACCOUNT = {"account_sid": SID, "auth_token": TOKEN}
NUMBER, UNKNOWN = "+15550000001", "+15550009999"
URL = "http://127.0.0.1:8080/telephony/twilio/voice"
PER_MINUTE = 3


def a_document(**changes: Any) -> dict[str, Any]:
    return {"name": "Ann", "llm_provider_config": {"api_key": "k"}, "twilio_config": ACCOUNT, **changes}


class World:
    """What acceptance needs of others. Its tasks run when it is told to."""

    def __init__(self, document: dict[str, Any] | None = None, *, carrier: str = "twilio") -> None:
        pinned = PinnedAssistant(id="asst_1", organization_id="org_1", revision=7, document=document or a_document())
        self.journals: dict[str, Any] = {}
        self.away = False
        self.tasks: list[Coroutine[Any, Any, Any]] = []
        around: Any = self
        self.assistants = FakeAssistants({NUMBER: pinned}, carrier=carrier)
        self.pins = FakePins()
        self.hooks = hooks_among(
            around,
            assistants=self.assistants,
            pins=self.pins,
            settings=WorkerSettings(),
            carriers={"twilio": Twilio()},
            orders=CarrierOrders({}, around),
            live=LiveCalls(50, lambda: None),
            refusals=Refusals(
                around, lambda work, _: self.tasks.append(work), worker_id="w1", unsigned_per_minute=PER_MINUTE
            ),
            start=self.start,
        )

    async def create(self, organization_id: str, call_id: str, first: Any) -> None:
        if self.away:
            raise TransientError("the bus is away")
        if call_id in self.journals:
            raise OwnershipError("it has one")
        self.journals[call_id] = first

    async def note(self, _: str) -> None:
        """An open call."""

    async def take(self, *_: Any) -> None:
        """A lease."""

    async def start(self, *_: Any) -> None:
        """A call."""

    async def rings(self, call_sid: str = "CA1", *, token: str = TOKEN, to: str = NUMBER, account: str = SID) -> str:
        """What the carrier is answered; what was to be recorded is."""
        answer = await self.hears(call_sid, token=token, to=to, account=account)
        while self.tasks:
            await self.tasks.pop(0)
        return answer

    async def hears(self, call_sid: str, *, token: str = TOKEN, to: str = NUMBER, account: str = SID) -> str:
        answer = await done(self.hooks.answer(self.hook(call_sid, token=token, to=to, account=account)))
        return f"{answer.status} {answer.body}"

    def hook(self, call_sid: str, *, token: str = TOKEN, to: str = NUMBER, account: str = SID) -> CarrierRequest:
        form = {"AccountSid": account, "CallSid": call_sid, "From": "+15550001111", "To": to}
        signed = URL + "".join(name + form[name] for name in sorted(form))
        signature = base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()
        return CarrierRequest(
            carrier="twilio",
            method="POST",
            path_and_query="/telephony/twilio/voice",
            headers=(("X-Twilio-Signature", signature),),
            body=base64.b64encode(urlencode(form).encode()),
        )

    @property
    def refused(self) -> list[CallRefused]:
        return [first for first in self.journals.values() if isinstance(first, CallRefused)]


def counted(code: str, recorded: str) -> float:
    labels = {"carrier": "twilio", "code": code, "recorded": recorded}
    return REGISTRY.get_sample_value("calliope_calls_refused_total", labels) or 0.0


@pytest.mark.parametrize(
    ("world", "hook", "code", "words"),
    [
        (World(a_document(twilio_config=None)), {}, "no_account", "CALLIOPE_CARRIERS__TWILIO__ACCOUNT_SID"),
        (World(), {"token": "f" * 32}, "signature", f"auth token for {URL}: compare twilio_config.auth_token"),
        (World(), {"token": "f" * 32, "account": "AC" + "9" * 32}, "signature", "the assistant has AC2222"),
        (World(), {"account": "AC" + "9" * 32}, "other_account", "set twilio_config.account_sid of the assistant"),
        (World(carrier="telnyx"), {}, "wrong_carrier", "assigned with carrier telnyx"),
        (World(a_document(is_active=False)), {}, "inactive", "set its is_active to true"),
        (World(a_document(llm_provider="abacus")), {}, "document", "llm_provider"),
    ],
)
async def test_a_call_that_is_not_taken_is_recorded_and_says_what_to_do(
    world: World, hook: dict[str, str], code: str, words: str
) -> None:
    answer = await world.rings(**hook)
    assert "<Connect>" not in answer
    (refused,) = world.refused
    assert (refused.code, refused.assistant_id, refused.assistant_revision) == (code, "asst_1", 7)
    assert (refused.from_number, refused.to_number, refused.carrier_call_id) == ("+15550001111", NUMBER, "CA1")
    assert refused.genuine == (code in {"other_account", "inactive", "document"})
    assert words in refused.detail
    assert TOKEN not in str(refused)


async def test_a_forged_hook_takes_nothing_from_the_real_call_with_the_same_carrier_id() -> None:
    world = World()
    assert (await world.rings("CA1", token="f" * 32)).startswith("403")
    assert "<Connect>" in await world.rings("CA1")
    refused, started = world.journals
    assert refused != started
    assert [type(first) for first in world.journals.values()] == [CallRefused, CallStarted]


async def test_a_hook_that_the_account_did_not_sign_never_opens_the_document() -> None:
    world = World(a_document(twilio_config=ACCOUNT, llm_provider="abacus"))  # opening it would be refused
    for number in range(20):
        assert (await world.rings(f"CA{number}", token="f" * 32)).startswith("403")
    assert (world.assistants.asked_for, world.pins.read) == ([], [])
    assert {refused.code for refused in world.refused} == {"signature"}


async def test_strangers_are_refused_without_a_question_for_each_and_what_is_signed_is_asked_about() -> None:
    world = World()
    route = await world.assistants.route(NUMBER)
    world.assistants.known_now = {NUMBER: KnownRoute(route), UNKNOWN: KnownRoute(None)}
    for number in range(20):
        assert (await world.rings(f"CA{number}", token="f" * 32)).startswith("403")
        assert "<Reject" in await world.rings(f"CA{number}", to=UNKNOWN)
    assert world.assistants.routes_asked_for == 1
    assert "<Connect>" in await world.rings("CA99")
    assert world.assistants.routes_asked_for == 2


async def test_a_stranger_is_told_apart_without_waiting_for_anything() -> None:
    world = World()
    world.assistants.known_now = {NUMBER: KnownRoute(await world.assistants.route(NUMBER)), UNKNOWN: KnownRoute(None)}

    unsigned = world.hooks.answer(world.hook("CA1", token="f" * 32))
    nobodys = world.hooks.answer(world.hook("CA2", to=UNKNOWN))
    signed = world.hooks.answer(world.hook("CA3"))
    not_known = world.hooks.answer(world.hook("CA4", to="+15550007777"))

    assert isinstance(unsigned, CarrierResponse)
    assert unsigned.status == 403
    assert isinstance(nobodys, CarrierResponse)
    assert isinstance(signed, Pending)
    assert signed.trusted
    assert isinstance(not_known, Pending)
    assert not not_known.trusted
    for recorded in world.tasks:
        recorded.close()


async def test_a_token_that_was_changed_a_moment_ago_takes_no_call_with_the_old_one() -> None:
    world = World()
    world.assistants.known_now = {NUMBER: KnownRoute(await world.assistants.route(NUMBER))}
    (pinned,) = world.assistants.numbers.values()
    rotated = a_document(twilio_config=ACCOUNT | {"auth_token": "9" * 32})
    world.assistants.numbers[NUMBER] = pinned.model_copy(update={"revision": 8, "document": rotated})
    assert (await world.rings("CA1", token=TOKEN)).startswith("403")


async def test_a_hook_that_is_repeated_is_one_refused_call() -> None:
    world = World(a_document(is_active=False))
    for _ in range(3):
        await world.rings("CA1")
    assert len(world.refused) == 1


async def test_strangers_make_so_many_records_a_minute_and_the_rest_is_counted() -> None:
    world, before = World(), (counted("signature", "yes"), counted("signature", "no"))
    for number in range(100):
        await world.rings(f"CA{number}", token="f" * 32)
    assert len(world.refused) == PER_MINUTE
    assert counted("signature", "yes") - before[0] == PER_MINUTE
    assert counted("signature", "no") - before[1] == 100 - PER_MINUTE


async def test_what_a_carrier_signed_is_recorded_however_many_strangers_knock() -> None:
    world = World(a_document(is_active=False))
    for number in range(20):
        await world.rings(f"CA{number}", token="f" * 32)
    await world.rings("CA999")
    assert [refused.code for refused in world.refused] == ["signature"] * PER_MINUTE + ["inactive"]


async def test_records_that_the_bus_does_not_take_are_not_piled_up() -> None:
    world = World(a_document(is_active=False))
    for number in range(2 * MAX_AT_ONCE):
        await world.hears(f"CA{number}")
    assert len(world.tasks) == MAX_AT_ONCE
    world.away = True
    await world.rings("CA999")
    assert (world.tasks, world.refused) == ([], [])
    world.away = False
    await world.rings("CA1000")
    assert len(world.refused) == 1


async def test_a_number_that_is_nobodys_is_counted_and_recorded_nowhere() -> None:
    world, before = World(), counted("unknown_number", "no")
    assert "<Reject" in await world.rings(to=UNKNOWN)
    assert (world.journals, counted("unknown_number", "no") - before) == ({}, 1)


async def test_what_a_stranger_sends_is_cut_before_it_is_kept() -> None:
    world = World()
    await world.rings("CA" + "x" * 5_000, token="f" * 32, account="AC" + "y" * 5_000)
    (refused,) = world.refused
    assert len(refused.carrier_call_id) == 128
    assert len(refused.detail) <= 500
    assert "compare twilio_config.auth_token" in refused.detail

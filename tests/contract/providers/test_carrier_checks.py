"""Whether a carrier's account and numbers bring calls to us: each carrier against its emulator, over a real socket."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from calliope.contracts.checks import CheckOutcome
from calliope_call_worker.providers.telephony.asking import MOST_NUMBERS
from support.checks import PUBLIC_URL, CheckedWorld, a_number, checked_world, problems, told

SID = "AC" + "1" * 32
TWILIO = {"account_sid": SID, "auth_token": "twilio-token-9a"}
TELNYX = {"api_key": "telnyx-key-7b", "connection_id": "1293384261", "public_key": "cHVibGlj"}
DESK = "+15550002222"
HOOKS = {carrier: f"{PUBLIC_URL}/telephony/{carrier}/voice" for carrier in ("twilio", "telnyx")}


@pytest.fixture
async def world() -> AsyncIterator[CheckedWorld]:
    async with asyncio.timeout(20), checked_world() as world:
        yield world


async def own(world: CheckedWorld, carrier: str, number: str = DESK, **changes: Any) -> None:
    """The carrier gives this number to the account."""
    account: dict[str, Any] = {
        "twilio": {**TWILIO, "voice_url": HOOKS["twilio"]},
        "telnyx": {
            "api_key": TELNYX["api_key"],
            "connection_id": TELNYX["connection_id"],
            "signing_key": base64.b64encode(bytes(32)).decode(),
            "webhook_url": HOOKS["telnyx"],
        },
    }[carrier]
    answer = await world.put(f"/sandbox/{carrier}/numbers/{number.replace('+', '%2B')}", account | changes)
    assert answer == 200


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_twilio_number_whose_calls_come_to_us_is_good(world: CheckedWorld, method: str) -> None:
    await own(world, "twilio", voice_method=method)
    world.numbers.append(a_number(DESK))
    check = await world.check({"twilio_config": TWILIO})
    assert check.ok
    assert told(check) | {
        "twilio_config.auth_token key": "ok",
        "twilio_config.account_sid account": "ok",
        f"phone_numbers.{DESK} number": "ok",
    } == told(check)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"voice_url": "https://demo.twilio.com/welcome?token=s3cret"},
            "its voice URL is https://demo.twilio.com/welcome",
        ),
        ({"voice_application_sid": "AP1"}, "its calls go to a TwiML application (AP1)"),
        ({"account_sid": "AC" + "2" * 32}, "the account does not own this number"),
    ],
    ids=["elsewhere", "application", "foreign"],
)
async def test_a_twilio_number_whose_calls_go_elsewhere_says_where(
    world: CheckedWorld, changes: dict[str, Any], detail: str
) -> None:
    await own(world, "twilio", "+15550009999")
    await own(world, "twilio", **changes)
    world.numbers.append(a_number(DESK))
    check = await world.check({"twilio_config": TWILIO})
    assert problems(check) == {f"phone_numbers.{DESK}": "refused"}
    (problem,) = check.problems
    assert problem.detail.startswith(detail)
    assert "s3cret" not in check.model_dump_json()
    assert problem.hint


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"auth_token": "wrong"}, {"twilio_config.auth_token": "key"}),
        ({"account_sid": "AC" + "3" * 32}, {"twilio_config.auth_token": "key"}),
    ],
)
async def test_a_twilio_account_that_is_not_known_is_named_and_its_numbers_are_not_asked_about(
    world: CheckedWorld, config: dict[str, str], found: dict[str, str]
) -> None:
    await own(world, "twilio")
    world.numbers.append(a_number(DESK))
    check = await world.check({"twilio_config": TWILIO | config})
    assert problems(check) == found
    assert not [one for one in check.checks if one.what == "number"]


async def test_a_suspended_twilio_account_is_named(world: CheckedWorld) -> None:
    await own(world, "twilio", status="suspended")
    check = await world.check({"twilio_config": TWILIO})
    assert problems(check) == {"twilio_config.account_sid": "refused"}
    assert check.problems[0].detail == "the account is suspended"


async def test_a_telnyx_number_whose_calls_come_to_us_is_good(world: CheckedWorld) -> None:
    await own(world, "telnyx")
    world.numbers.append(a_number(DESK, "telnyx"))
    check = await world.check({"telnyx_config": TELNYX})
    assert check.ok
    assert told(check) | {
        "telnyx_config.api_key key": "ok",
        "telnyx_config.connection_id application": "ok",
        f"phone_numbers.{DESK} number": "ok",
    } == told(check)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"webhook_url": "https://elsewhere.example.com/hooks"},
            "its webhook URL is https://elsewhere.example.com/hooks",
        ),
        ({"active": False}, "the application is switched off"),
    ],
)
async def test_a_telnyx_application_that_does_not_tell_us_of_calls_is_named(
    world: CheckedWorld, changes: dict[str, Any], detail: str
) -> None:
    await own(world, "telnyx", **changes)
    check = await world.check({"telnyx_config": TELNYX})
    assert problems(check) == {"telnyx_config.connection_id": "refused"}
    assert check.problems[0].detail.startswith(detail)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"api_key": "wrong"}, {"telnyx_config.api_key": "key"}),
        ({"connection_id": "404"}, {"telnyx_config.connection_id": "refused"}),
        ({"public_key": None}, {"telnyx_config.public_key": "refused"}),
    ],
)
async def test_a_telnyx_account_that_cannot_be_used_is_named(
    world: CheckedWorld, config: dict[str, Any], found: dict[str, str]
) -> None:
    await own(world, "telnyx")
    assert problems(await world.check({"telnyx_config": TELNYX | config})) == found


async def test_a_telnyx_number_of_another_application_is_named(world: CheckedWorld) -> None:
    await own(world, "telnyx", "+15550009999")
    await own(world, "telnyx", connection_id="777")
    world.numbers.append(a_number(DESK, "telnyx"))
    check = await world.check({"telnyx_config": TELNYX})
    assert problems(check) == {f"phone_numbers.{DESK}": "refused"}
    assert "belongs to connection 777" in check.problems[0].detail


async def test_a_number_that_no_account_could_answer_is_a_problem(world: CheckedWorld) -> None:
    world.numbers.append(a_number(DESK))
    check = await world.check()
    assert problems(check) == {"twilio_config": "key"}
    assert "neither has this installation" in check.problems[0].detail
    assert check.problems[0].hint.startswith("set twilio_config")


async def test_without_numbers_and_without_an_account_no_carrier_is_asked(world: CheckedWorld) -> None:
    assert not [one for one in (await world.check()).checks if one.stage == "carrier"]


@pytest.mark.parametrize(("carrier", "config"), [("twilio", TWILIO), ("telnyx", TELNYX)])
@pytest.mark.parametrize(
    ("kind", "reason"), [("silent", "deadline"), ("drop", "dropped"), ("rate_limited", "rate_limited")]
)
async def test_a_carrier_in_trouble_is_told_as_that(
    world: CheckedWorld, carrier: str, config: dict[str, str], kind: str, reason: str
) -> None:
    await own(world, carrier)
    world.arm(carrier, kind)
    check = await world.check({f"{carrier}_config": config}, within_s=1.0)
    assert problems(check) == {f"{carrier}_config": reason}


async def test_of_many_numbers_the_first_are_looked_at_and_the_rest_is_said_to_be_unchecked(
    world: CheckedWorld,
) -> None:
    numbers = [f"+1555000{at:04}" for at in range(MOST_NUMBERS + 2)]
    for number in numbers:
        await own(world, "twilio", number)
        world.numbers.append(a_number(number))
    check = await world.check({"twilio_config": TWILIO})
    assert check.ok
    unchecked = [one.path for one in check.checks if one.outcome is CheckOutcome.UNCHECKED]
    assert unchecked[-2:] == [f"phone_numbers.{number}" for number in numbers[-2:]]

"""Whose a phone number of the sandbox is: the account it was registered with, else that of all others."""

import json
from base64 import b64encode

import pytest

from calliope_sandbox.app import Sandbox, create_app
from calliope_sandbox.settings import SandboxSettings, SettingsError
from calliope_sandbox.vendors.numbers import MAX_NUMBERS, NumberError, Numbers
from calliope_sandbox.vendors.twilio_call import Number
from calliope_sandbox.vendors.twilio_words import sign
from support.carriers import CARRIERS, carriers

NUMBER, OTHER = "+15550002222", "+15550003333"


@pytest.mark.parametrize(("carrier", "account"), [("twilio", "ACdefault"), ("telnyx", "application default")])
async def test_a_number_that_nobody_registered_rings_with_the_account_of_all_others(carrier: str, account: str) -> None:
    async with carriers() as world:
        status, _ = await world.ring(carrier, NUMBER)
        hook = await world.asked(NUMBER)

    assert status == 201
    assert hook.account == account


@pytest.mark.parametrize(("carrier", "account"), [("twilio", "ACown"), ("telnyx", "application own")])
async def test_a_registered_number_keeps_its_own_account(carrier: str, account: str) -> None:
    async with carriers() as world:
        await world.register(carrier, NUMBER, world.product.account(carrier, "own"))
        await world.ring(carrier, NUMBER)
        own = await world.asked(NUMBER)
        await world.ring(carrier, OTHER)
        other = await world.asked(OTHER)

    assert own.account == account
    assert other.account.endswith("default")


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_without_such_an_account_only_registered_numbers_ring(carrier: str) -> None:
    async with carriers(default=None) as world:
        status, answer = await world.ring(carrier, NUMBER)

    assert status == 404
    assert answer["error"] == f"nobody owns {NUMBER}; PUT /sandbox/{carrier}/numbers/… first"


async def test_the_hook_of_such_a_number_is_signed_with_that_accounts_token() -> None:
    async with carriers() as world:
        await world.ring("twilio", NUMBER)
        hook = await world.asked(NUMBER)
        signed = sign(f"{world.product.url}/twilio", hook.form, "token of default")

    assert hook.headers["X-Twilio-Signature"] == signed


async def test_the_rest_api_takes_that_account_too() -> None:
    async with carriers() as world:
        sid = (await world.ring("twilio", NUMBER))[1]["sid"]
        basic = b64encode(b"ACdefault:token of default").decode()
        url = f"{world.base}/twilio/2010-04-01/Accounts/ACdefault/Calls/{sid}.json"
        async with world.http.get(url, headers={"Authorization": f"Basic {basic}"}) as answer:
            status = answer.status

    assert status == 200


async def test_the_list_of_numbers_shows_accounts_and_hooks_but_no_secret() -> None:
    async with carriers() as world:
        await world.register("telnyx", NUMBER, world.product.account("telnyx", "own"))
        _, listing = await world.ask("GET", "/sandbox/telnyx/numbers")

    hook = f"{world.product.url}/telnyx"
    assert listing == {
        "numbers": {NUMBER: {"account": "application own", "hook": hook}},
        "others": {"account": "application default", "hook": hook},
    }


def test_an_account_that_lacks_something_is_refused_at_once() -> None:
    with pytest.raises(NumberError, match="auth_token, voice_url needed"):
        create_app(Sandbox(accounts={"twilio": {"account_sid": "AC1"}}))


def test_registered_numbers_are_bounded_and_the_oldest_goes_first() -> None:
    numbers = Numbers(lambda number, document: Number(number, "AC1", "t", "u"))

    for number in range(MAX_NUMBERS + 1):
        numbers.register(str(number), {})

    assert (numbers.of("0"), numbers.of(str(MAX_NUMBERS)) is not None) == (None, True)


def test_accounts_come_from_the_environment_as_json() -> None:
    account = {
        "account_sid": "AC1",
        "auth_token": "secret",
        "voice_url": "http://127.0.0.1:8080/telephony/twilio/voice",
    }

    settings = SandboxSettings.from_environment({"CALLIOPE_SANDBOX_TWILIO_ACCOUNT": json.dumps(account)})

    assert settings.accounts == {"twilio": account}
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("CALLIOPE_SANDBOX_PORT", "http", "must be a port from 0 to 65535, not 'http'"),
        ("CALLIOPE_SANDBOX_TELNYX_ACCOUNT", "AC1", "is not JSON"),
        ("CALLIOPE_SANDBOX_TELNYX_ACCOUNT", "[]", "must be a JSON object"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} {why}"):
        SandboxSettings.from_environment({name: value})

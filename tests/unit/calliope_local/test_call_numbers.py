"""Which number `make call` calls, and what it says when it cannot."""

import shlex
from pathlib import Path

import pytest

from calliope_local.call.numbers import NumberError, check_account, choose, tidy
from calliope_local.running import NotUpError, RunningStack
from support.running import ASSISTANT, LINE, answering, up

OTHER = {"number": "+15550003333", "carrier": "telnyx", "assistant_id": "asst_1"}


def curl_of(text: str) -> list[str]:
    """The first curl of an answer, as a shell takes it apart."""
    return shlex.split(next(line for line in text.splitlines() if line.strip().startswith("curl")))


def test_the_only_number_needs_no_naming() -> None:
    with answering() as answers:
        line = choose(answers.stack, None)

    assert (line.number, line.carrier, line.assistant) == ("+15550002222", "twilio", ASSISTANT)


@pytest.mark.parametrize("typed", ["+15550002222", "+1 (555) 000-2222", "15550002222"])
def test_a_number_may_be_written_as_people_do(typed: str) -> None:
    with answering([LINE, OTHER]) as answers:
        assert choose(answers.stack, typed).number == "+15550002222"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("abc", "“abc” is no telephone number; one is written as +15550002222"),
        ("+1555abc", "is no telephone number"),
        ("+1+5550002222", "is no telephone number"),
        ("+030123", "after + comes a country code"),
        ("+1234567890123456", "at most 15 digits"),
        ("5550002222", "has no + and country code: did you mean +15550002222?"),
        ("(555) 000-2222", "did you mean +15550002222?"),
        ("0049 30 123456", "did you mean +4930123456?"),
        ("030123", "“030123” has no + and country code: write both, as in +15550002222"),
    ],
)
def test_what_is_no_whole_number_is_refused_with_what_was_likely_meant(typed: str, said: str) -> None:
    with pytest.raises(NumberError) as refused:
        tidy(typed)

    assert said in str(refused.value)


def test_a_call_of_what_is_no_number_recommends_nothing_that_would_be_refused() -> None:
    with answering() as answers, pytest.raises(NumberError) as refused:
        choose(answers.stack, "abc")

    assert "curl" not in str(refused.value)


def test_of_several_numbers_one_has_to_be_named() -> None:
    with answering([LINE, OTHER]) as answers, pytest.raises(NumberError) as refused:
        choose(answers.stack, None)

    assert "make call NUMBER=+15550002222" in str(refused.value)
    assert "  +15550003333      telnyx  Practice" in str(refused.value)


def test_an_unknown_number_lists_the_assigned_ones_and_the_command_to_assign_it() -> None:
    with answering() as answers:
        with pytest.raises(NumberError) as refused:
            choose(answers.stack, "+15559990000")
        curl = curl_of(str(refused.value))

    assert str(refused.value).startswith("Nobody answers +15559990000.\n")
    assert "+15550002222" in str(refused.value)
    assert f"{answers.url}/api/v1/phone-numbers/+15559990000" in curl
    assert '{"assistant_id": "asst_1"}' in curl


def test_without_any_number_the_command_that_assigns_one_is_said() -> None:
    with answering([]) as answers, pytest.raises(NumberError) as refused:
        choose(answers.stack, None)

    assert str(refused.value).startswith("No number is assigned yet.\n")
    assert "/phone-numbers/+15550002222" in curl_of(str(refused.value))[4]


def test_without_any_assistant_the_command_that_makes_one_is_said() -> None:
    with answering([], []) as answers, pytest.raises(NumberError, match="make assistant FILE="):
        choose(answers.stack, None)


def test_an_account_of_its_own_that_the_sandbox_does_not_know_is_said_before_the_call() -> None:
    own = ASSISTANT | {"twilio_config": {"account_sid": "ACmine", "auth_token": "••••3f9a"}}
    with answering(assistants=[own]) as answers:
        line = choose(answers.stack, None)
        with pytest.raises(NumberError, match="Twilio account of its own \\(ACmine\\)") as refused:
            check_account(answers.stack, line)

    assert '{"twilio_config": null}' in curl_of(str(refused.value))
    assert "/sandbox/twilio/numbers/%2B15550002222" in str(refused.value)


@pytest.mark.parametrize("account", ["ACsandbox", None])
def test_an_account_that_the_sandbox_has_is_called(account: str | None) -> None:
    own = ASSISTANT | {"twilio_config": None if account is None else {"account_sid": account}}
    with answering(assistants=[own]) as answers:
        check_account(answers.stack, choose(answers.stack, None))


def test_a_number_that_was_registered_with_the_assistants_own_account_is_called() -> None:
    own = ASSISTANT | {"twilio_config": {"account_sid": "ACmine"}}
    with answering(assistants=[own]) as answers:
        registered = {"+15550002222": {"account": "ACmine", "hook": "http://gateway"}}
        answers.say("GET /sandbox/twilio/numbers", {"numbers": registered, "others": None})

        check_account(answers.stack, choose(answers.stack, None))


def test_a_number_of_the_real_carrier_cannot_ring_in_the_sandbox() -> None:
    with answering() as answers:
        answers.say("GET /sandbox/twilio/numbers", {"numbers": {}, "others": None})
        with pytest.raises(NumberError, match="rings at the real Twilio on this stack"):
            check_account(answers.stack, choose(answers.stack, None))


def test_without_a_running_stack_the_command_that_starts_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotUpError, match="make up"):
        RunningStack.of(tmp_path / "local.json")


@pytest.mark.parametrize("told", ["[]", "null", "3", '"x"', '{"gateway": 1, "sandbox": 2, "api_key": 3}', "[" * 9999])
def test_a_file_that_no_stack_wrote_is_no_running_stack(told: str, tmp_path: Path) -> None:
    (tmp_path / "local.json").write_text(told)
    with pytest.raises(NotUpError, match="make up"):
        RunningStack.of(tmp_path / "local.json")


def test_a_file_that_a_killed_stack_left_behind_is_no_running_stack(tmp_path: Path) -> None:
    with answering() as answers:
        with up(answers, tmp_path) as file:
            assert RunningStack.of(file) == answers.stack

        with pytest.raises(NotUpError, match="make up"):
            RunningStack.of(file)

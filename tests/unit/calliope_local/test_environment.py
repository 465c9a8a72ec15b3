"""What the processes of a local stack are told about phone numbers, by who the carrier is."""

import json
from pathlib import Path

from calliope_local.env_file import EnvFile
from calliope_local.environment import PORT_NAMES, Ports, environments
from calliope_local.keys import LocalKeys
from calliope_local.outside import Outside, decide

PORTS = Ports(**{name: 20_000 + number for number, name in enumerate(PORT_NAMES)})
TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "token"}


def told(outside: Outside) -> dict[str, dict[str, str]]:
    return environments(PORTS, LocalKeys(), recordings=Path("recordings"), outside=outside)


def test_the_sandbox_signs_for_the_account_that_the_worker_expects() -> None:
    variables = told(decide(EnvFile()))
    sandbox, worker = variables["sandbox"], variables["worker"]

    twilio = json.loads(sandbox["CALLIOPE_SANDBOX_TWILIO_ACCOUNT"])
    telnyx = json.loads(sandbox["CALLIOPE_SANDBOX_TELNYX_ACCOUNT"])
    assert twilio["account_sid"] == worker["CALLIOPE_CARRIERS__TWILIO__ACCOUNT_SID"]
    assert twilio["auth_token"] == worker["CALLIOPE_CARRIERS__TWILIO__AUTH_TOKEN"]
    assert twilio["voice_url"] == f"{worker['CALLIOPE_PUBLIC_URL']}/telephony/twilio/voice"
    assert telnyx["connection_id"] == worker["CALLIOPE_CARRIERS__TELNYX__CONNECTION_ID"]
    assert telnyx["webhook_url"] == f"{worker['CALLIOPE_PUBLIC_URL']}/telephony/telnyx/voice"


def test_numbers_of_a_real_carrier_do_not_ring_in_the_sandbox() -> None:
    sandbox = told(decide(EnvFile(values=TWILIO)))["sandbox"]

    assert "CALLIOPE_SANDBOX_TWILIO_ACCOUNT" not in sandbox
    assert "CALLIOPE_SANDBOX_TELNYX_ACCOUNT" in sandbox


def test_real_recognisers_and_voices_are_named_because_emulated_callers_cannot_talk_with_them() -> None:
    assert decide(EnvFile()).real_speech == ()
    assert "Deepgram" in decide(EnvFile(values={"DEEPGRAM_API_KEY": "k"})).real_speech
    assert decide(EnvFile(values={"OPENAI_API_KEY": "k"})).real_speech == ()

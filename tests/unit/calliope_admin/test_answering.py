"""Whether a number would be answered, and why not."""

from datetime import UTC, datetime
from typing import Any

import pytest

from calliope.contracts.assistants import PinnedAssistant, ResolvedNumber
from calliope.contracts.errors import ErrorCode, Problem
from calliope.contracts.workers import WorkerDescription
from calliope_admin.answering import hook_hints, reasons, unresolved

NUMBER = "+15550002222"
ACCOUNT = {"account_sid": "AC1", "auth_token": "sealed"}


def a_number(carrier: str = "twilio", **document: Any) -> ResolvedNumber:
    fields = {"name": "Anna", "is_active": True, "twilio_config": ACCOUNT, "telnyx_config": None} | document
    pinned = PinnedAssistant(id="asst_1", organization_id="org_1", revision=1, document=fields)
    return ResolvedNumber(number=NUMBER, carrier=carrier, assistant=pinned)


def a_worker(**changes: Any) -> WorkerDescription:
    fields = {
        "worker_id": "worker_1", "slots": 10, "calls": 2, "accepting": True, "at": datetime(2026, 1, 1, tzinfo=UTC),
        "public_url": "https://calls.example.com", "media_url": "wss://calls.example.com/media",
    }  # fmt: skip
    return WorkerDescription.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("number", "workers", "words"),
    [
        (a_number(), [a_worker()], []),
        (a_number(), [a_worker(accepting=False), a_worker()], []),
        (a_number(is_active=False), [a_worker()], ["switched off"]),
        (a_number(twilio_config=None), [a_worker()], ["no Twilio account"]),
        (a_number(twilio_config=None), [a_worker(carriers=("twilio",))], []),
        (a_number("telnyx"), [a_worker(carriers=("twilio",))], ["no Telnyx account"]),
        (a_number(twilio_config=None), [], ["unless the installation has", "No call-worker answers"]),
        (a_number(), [a_worker(accepting=False, calls=10)], ["No call-worker has a free slot (1 asked)"]),
    ],
)
def test_reasons(number: ResolvedNumber, workers: list[WorkerDescription], words: list[str]) -> None:
    found = reasons(number, workers)
    assert len(found) == len(words)
    assert all(part in reason.sentence and reason.advice for part, reason in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        (ErrorCode.NOT_FOUND, "there is no phone number", "No organization of this installation has"),
        (ErrorCode.NOT_FOUND, "there is no assistant", "was deleted"),
        (ErrorCode.UNAVAILABLE, "nobody answers this at the moment", "cannot tell who answers"),
    ],
)
def test_nobody_behind_a_number(code: ErrorCode, message: str, words: str) -> None:
    assert words in unresolved(NUMBER, Problem(code=code, message=message)).sentence


def test_the_carrier_has_to_know_the_hook() -> None:
    (hint,) = hook_hints(a_number(), [a_worker(), a_worker(worker_id="worker_2")])
    assert hint.endswith("https://calls.example.com/telephony/twilio/voice")

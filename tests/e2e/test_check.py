"""`POST /api/v1/assistants/{id}/check` on a whole stack: every example is good, and what is wrong is named."""

import json
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from support.house import House, Json, a_document

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in sorted(FOLDER.glob("*.json"))
    if not file.name.endswith(".call.json")
}
LONGEST_S = 6.0


async def checked(house: House, document: Json, *, number: str = "", carrier: str = "twilio") -> Json:
    made = await house.api("POST", "/api/v1/assistants", document)
    assert made.status == 201, made.body
    assert made.body["warnings"] == []
    if number:
        spec = {"assistant_id": made.body["id"], "carrier": carrier}
        assert (await house.api("PUT", f"/api/v1/phone-numbers/{quote(number)}", spec)).status < 300
    began = time.monotonic()
    answer = await house.api("POST", f"/api/v1/assistants/{made.body['id']}/check")
    assert answer.status == 200, answer.body
    assert time.monotonic() - began < LONGEST_S
    check: Json = answer.body
    assert check["revision"] == made.body["revision"]
    return check


@pytest.mark.parametrize("name", EXAMPLES)
async def test_every_example_is_good(house: House, name: str) -> None:
    check = await checked(house, EXAMPLES[name] | {"name": f"Checked {name}"})
    assert check["problems"] == []
    assert check["ok"]
    assert {one["stage"] for one in check["checks"]} == {"stt", "llm", "tts"}


@pytest.mark.parametrize(("carrier", "number"), [("twilio", "+15558870001"), ("telnyx", "+15558870002")])
async def test_a_number_that_rings_here_is_good(house: House, carrier: str, number: str) -> None:
    check = await checked(house, a_document(), number=number, carrier=carrier)
    assert check["problems"] == []
    assert [one["outcome"] for one in check["checks"] if one["path"] == f"phone_numbers.{number}"] == ["ok"]


@pytest.mark.promise("P8")
async def test_a_wrong_key_names_the_vendor_and_is_not_shown(house: House) -> None:
    check = await checked(house, a_document(llm_provider_config={"api_key": "bad-key-7c1d", "model": "gpt-4o-mini"}))
    (problem,) = check["problems"]
    assert (check["ok"], problem["provider"], problem["what"]) == (False, "openai", "key")
    assert (problem["path"], problem["reason"]) == ("llm_provider_config.api_key", "key")
    assert "7c1d" not in json.dumps(check)


async def test_a_number_whose_calls_go_elsewhere_says_what_to_set(house: House) -> None:
    line = await house.phone_line()
    await house.own_number(line, voice_url="https://demo.twilio.com/welcome/voice/")
    answer = await house.api("POST", f"/api/v1/assistants/{line.assistant['id']}/check")
    (problem,) = answer.body["problems"]
    assert problem["path"] == f"phone_numbers.{line.number}"
    assert "/telephony/twilio/voice, HTTP POST" in problem["hint"]


@pytest.mark.promise("P8")
async def test_an_assistant_that_is_not_there_cannot_be_checked(house: House) -> None:
    answer = await house.api("POST", "/api/v1/assistants/asst_of_others/check")
    assert (answer.status, answer.body["code"]) == (404, "not_found")

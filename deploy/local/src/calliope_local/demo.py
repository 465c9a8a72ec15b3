"""The demonstration: one whole phone call through the local stack, told line by line and checked at the end."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from calliope_local import voice_over
from calliope_local.call_report import heading, print_events, print_live, print_turns, print_webhooks, say
from calliope_local.http import HttpError, lines, quoted, request
from calliope_local.scenario import USUAL_EVENTS, Scenario, load
from calliope_local.stack import LocalStack

CALLER: Final = "+15550001111"
LINE: Final = "+15550002222"
CALL_S: Final = 60
SETTLE_S: Final = 15.0
MIN_TURNS: Final = 2


@dataclass(slots=True)
class Story:
    """What was seen, and what was missing."""

    missing: list[str] = field(default_factory=list)

    def want(self, holds: bool, what: str) -> None:
        """Something that has to be true."""
        if not holds:
            self.missing.append(what)


def play(stack: LocalStack, file: Path, wav: Path | None = None, *, number: str = LINE) -> int:
    """Exit status 0, when nothing was missing. Several may play on one stack, each with a number of its own."""
    gateway, sandbox, key = stack.address("gateway"), stack.address("sandbox"), stack.keys.api_key
    scenario = load(file, sandbox)
    story = Story()
    began = time.monotonic()
    heading("1. An assistant is one JSON document")
    assistant_id = _create(stack, file, scenario, number)
    heading("2. The phone rings")
    sid = _place_call(stack, scenario, number)
    live = lines(f"{sandbox}/sandbox/twilio/calls/{sid}/live", timeout_s=CALL_S)
    told = threading.Thread(target=print_live, args=(live,), name="live", daemon=True)
    told.start()
    call = request("GET", f"{sandbox}/sandbox/twilio/calls/{sid}?wait_s={CALL_S}", timeout_s=CALL_S + 5)
    told.join(timeout=5)
    story.want(call["failed"] is None, f"the caller's script failed: {call['failed']}")
    record = _settled(gateway, key, assistant_id, analyzed=scenario.analyzed)
    heading("3. What each answer waited for")
    story.want(print_turns(record) >= MIN_TURNS, f"at least {MIN_TURNS} answered turns with timings")
    heading("4. The call's events, in order")
    print_events(record)
    _check_events(record, scenario, story)
    heading("5. Webhooks, verified by their receiver with the standardwebhooks library")
    _tell_hooks(stack, record, _hook(number), story)
    _compare(call, record, story)
    _check(call, record, scenario, story)
    if wav is not None:
        say(f"\n6. To listen to\n   {wav}: {voice_over.write(call['lines'], wav):.1f} s, caller left, assistant right")
    return _summary(record, story, time.monotonic() - began)


def _hook(number: str) -> str:
    """The receiver of this number's webhooks."""
    return f"demo-{number.removeprefix('+')}"


def _create(stack: LocalStack, file: Path, scenario: Scenario, number: str) -> str:
    """The assistant's id."""
    sandbox, hook = stack.address("sandbox"), _hook(number)
    document = dict(scenario.assistant)
    document["webhook_url"] = f"{sandbox}/hooks/{hook}"
    document["twilio_config"] = {
        "account_sid": stack.keys.twilio_account_sid,
        "auth_token": stack.keys.twilio_auth_token,
    }
    gateway, key = stack.address("gateway"), stack.keys.api_key
    made: dict[str, Any] = request("POST", f"{gateway}/api/v1/assistants", document, key=key)
    say(f"   POST /api/v1/assistants  <  {file}")
    say(f"   201  {made['id']}  “{made['name']}”, revision {made['revision']}")
    say(f"   its secrets are sealed: llm_provider_config.api_key = {made['llm_provider_config']['api_key']}")
    request("PUT", f"{sandbox}/sandbox/hooks/{hook}", {"secrets": [made["webhook_secret"]]})
    for name, programme in scenario.hooks.items():
        request("PUT", f"{sandbox}/sandbox/hooks/{name}", programme)
    if scenario.model is not None:
        own = {"name": hook, "key": document["llm_provider_config"]["api_key"]}
        request("POST", f"{sandbox}/sandbox/llm/scripts", own | scenario.model)
    answers = {"assistant_id": made["id"], "carrier": "twilio"}
    request("PUT", f"{gateway}/api/v1/phone-numbers/{quoted(number)}", answers, key=key)
    say(f"   PUT  /api/v1/phone-numbers/{number}  →  {made['id']}")
    return str(made["id"])


def _place_call(stack: LocalStack, scenario: Scenario, number: str) -> str:
    sandbox = stack.address("sandbox")
    account = {
        "account_sid": stack.keys.twilio_account_sid,
        "auth_token": stack.keys.twilio_auth_token,
        "voice_url": f"{stack.address('gateway')}/telephony/twilio/voice",
    }
    request("PUT", f"{sandbox}/sandbox/twilio/numbers/{quoted(number)}", account)
    call = {"from": CALLER, "to": number, "script": scenario.caller}
    placed = request("POST", f"{sandbox}/sandbox/twilio/calls", call)
    say(f"   {CALLER} calls {number}: signed hook → gateway → a worker with a free slot → TwiML")
    return str(placed["sid"])


def _settled(gateway: str, key: str, assistant_id: str, *, analyzed: bool) -> dict[str, Any]:
    """The call record, once the call's last event has arrived in it, and what is made after it if wanted."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        found = request("GET", f"{gateway}/api/v1/calls?assistant_id={assistant_id}", key=key)["items"]
        if found and found[0]["status"] == "ended" and (not analyzed or found[0]["analysis_status"]):
            record: dict[str, Any] = request("GET", f"{gateway}/api/v1/calls/{found[0]['id']}", key=key)
            return record
        if time.monotonic() > deadline:
            raise HttpError(f"the call record did not reach its end within {SETTLE_S:g} s: {found}")
        time.sleep(0.1)


def _check_events(record: dict[str, Any], scenario: Scenario, story: Story) -> None:
    sequences = [event["sequence"] for event in record["events"]]
    story.want(sequences == list(range(1, len(sequences) + 1)), f"sequences without holes, not {sequences}")
    names = {event["type"].split(".")[2] for event in record["events"]}
    for name in (*USUAL_EVENTS, *scenario.events):
        story.want(name in names, f"an event call.{name}")
    interrupted = sum(event["type"] == "calliope.call.interrupted.v1" for event in record["events"])
    story.want(interrupted >= scenario.interruptions, f"{scenario.interruptions} interruption(s), not {interrupted}")
    if scenario.ended_reason is not None:
        reason = record["ended_reason"]
        story.want(reason == scenario.ended_reason, f"the end reason {scenario.ended_reason}, not {reason}")


def _tell_hooks(stack: LocalStack, record: dict[str, Any], hook: str, story: Story) -> None:
    wanted = {event["id"]: event for event in record["events"]}
    url = f"{stack.address('sandbox')}/sandbox/hooks/{hook}?wait_for={len(wanted)}&timeout_s={SETTLE_S:g}"
    listing = request("GET", url, timeout_s=SETTLE_S + 5)
    delivered = {attempt["webhook_id"] for attempt in listing["attempts"] if attempt["verified"]}
    print_webhooks(record["events"], {one: "not delivered" for one in wanted if one not in delivered})
    story.want(set(wanted) <= delivered, "every event of the call delivered and verified")
    story.want(listing["unverified"] == 0, f"no delivery with a wrong signature: {listing['unverified']}")


def _compare(call: dict[str, Any], record: dict[str, Any], story: Story) -> None:
    """What the record says was said is what was heard."""
    heard = " ".join(word["text"] for word in call["heard_words"]).split()
    written = " ".join(line["text"] for line in record["transcript"] if line["role"] == "assistant").split()
    story.want(_nearly(heard, written), f"the transcript says {written}, the caller heard {heard}")
    said = " ".join(line["text"] for line in call["lines"] if line["side"] == "caller").split()
    understood = " ".join(line["text"] for line in record["transcript"] if line["role"] == "user").split()
    story.want(said == understood, f"the caller said {said}, the transcript says {understood}")


def _check(call: dict[str, Any], record: dict[str, Any], scenario: Scenario, story: Story) -> None:
    """What this example is about."""
    left = " ".join(word["text"] for word in call["heard_words"])
    for text in scenario.heard:
        _, found, after = left.partition(text)
        story.want(bool(found), f"the caller to hear “{text}”, in its turn")
        left = after if found else left
    data = record["structured_data"] or {}
    for name, value in scenario.structured_data.items():
        story.want(data.get(name) == value, f"{name} of the structured data to be {value}, not {data.get(name)}")


def _nearly(heard: list[str], written: list[str]) -> bool:
    """The same words; where the caller interrupted, one word may have been cut in half."""
    extra = len(written) - len(heard)
    return heard == written or (abs(extra) <= 2 and set(written) >= {word for word in heard if len(word) > 3})


def _summary(record: dict[str, Any], story: Story, seconds: float) -> int:
    say()
    if story.missing:
        for what in story.missing:
            say(f"MISSING: {what}")
        return 1
    turns = sum(event["type"].endswith("turn_committed.v1") for event in record["events"])
    say(
        f"OK: one call of {record['duration_ms'] / 1_000:.1f} s with {turns} turns, {len(record['events'])} events in"
        f" order, every webhook verified, ended by {record['ended_reason']}; {seconds:.0f} s in all."
    )
    return 0

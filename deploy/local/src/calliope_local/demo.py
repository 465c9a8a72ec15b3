"""The demonstration: one whole phone call through the local stack, told line by line and checked at the end."""

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from calliope_local import voice_over
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
    _heading("1. An assistant is one JSON document")
    assistant_id = _create(stack, file, scenario, number)
    _heading("2. The phone rings")
    sid = _place_call(stack, scenario, number)
    told = threading.Thread(target=_tell_live, args=(sandbox, sid), name="live", daemon=True)
    told.start()
    call = request("GET", f"{sandbox}/sandbox/twilio/calls/{sid}?wait_s={CALL_S}", timeout_s=CALL_S + 5)
    told.join(timeout=5)
    story.want(call["failed"] is None, f"the caller's script failed: {call['failed']}")
    record = _settled(gateway, key, assistant_id, analyzed=scenario.analyzed)
    _heading("3. What each answer waited for")
    _tell_turns(record, story)
    _heading("4. The call's events, in order")
    _tell_events(record, scenario, story)
    _heading("5. Webhooks, verified by their receiver with the standardwebhooks library")
    _tell_hooks(stack, record, _hook(number), story)
    _compare(call, record, story)
    _check(call, record, scenario, story)
    if wav is not None:
        _say(f"\n6. To listen to\n   {wav}: {voice_over.write(call['lines'], wav):.1f} s, caller left, assistant right")
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
    _say(f"   POST /api/v1/assistants  <  {file}")
    _say(f"   201  {made['id']}  “{made['name']}”, revision {made['revision']}")
    _say(f"   its secrets are sealed: llm_provider_config.api_key = {made['llm_provider_config']['api_key']}")
    request("PUT", f"{sandbox}/sandbox/hooks/{hook}", {"secrets": [made["webhook_secret"]]})
    for name, programme in scenario.hooks.items():
        request("PUT", f"{sandbox}/sandbox/hooks/{name}", programme)
    if scenario.model is not None:
        own = {"name": hook, "key": document["llm_provider_config"]["api_key"]}
        request("POST", f"{sandbox}/sandbox/llm/scripts", own | scenario.model)
    answers = {"assistant_id": made["id"], "carrier": "twilio"}
    request("PUT", f"{gateway}/api/v1/phone-numbers/{quoted(number)}", answers, key=key)
    _say(f"   PUT  /api/v1/phone-numbers/{number}  →  {made['id']}")
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
    _say(f"   {CALLER} calls {number}: signed hook → gateway → a worker with a free slot → TwiML")
    return str(placed["sid"])


def _tell_live(sandbox: str, sid: str) -> None:
    """Both sides as they are heard: the caller's words, and what reached the caller's ear."""
    for line in lines(f"{sandbox}/sandbox/twilio/calls/{sid}/live", timeout_s=CALL_S):
        at = f"{line.get('start_ms', line.get('at_ms', 0)) / 1_000:6.2f} s"
        if line.get("type") == "line":
            mark = "caller   " if line["side"] == "caller" else "assistant"
            cut = " — interrupted, falls silent" if line["interrupted"] else ""
            _say(f"   {at}  {mark}  {line['text']}{cut}")
        elif line.get("type") == "dial":
            _say(f"   {at}  --- handed over to {line['number']}")


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


def _tell_turns(record: dict[str, Any], story: Story) -> None:
    _say("   turn  caller's last word → first audio   of it provider wait   added by Calliope")
    answered = 0
    for event in record["events"]:
        if not event["type"].endswith("turn_committed.v1") or event["data"]["kind"] != "reply":
            continue
        timings = event["data"]["timings"]
        total, wait = response_and_wait(timings)
        if total is None:
            continue
        answered += 1
        _say(f"   {event['data']['turn']:>4}  {total:>26.0f} ms   {wait:>18.0f} ms   {total - wait:>14.1f} ms")
    story.want(answered >= MIN_TURNS, f"at least {MIN_TURNS} answered turns with timings")


def response_and_wait(timings: dict[str, float | None]) -> tuple[float | None, float]:
    """Milliseconds from the caller's last word to the first audio, and how much of it providers took."""
    start, end = timings.get("last_word_ms"), timings.get("first_audio_sent_ms")
    if start is None or end is None:
        return None, 0.0
    spans = (("last_word_ms", "final_ms"), ("llm_asked_ms", "tts_asked_ms"), ("tts_asked_ms", "first_tts_byte_ms"))
    at, wait = start, 0.0
    for first, last in spans:
        begin, finish = timings.get(first), timings.get(last)
        if begin is not None and finish is not None and finish > at:
            wait += finish - max(begin, at)
            at = finish
    return end - start, wait


def _tell_events(record: dict[str, Any], scenario: Scenario, story: Story) -> None:
    sequences = [event["sequence"] for event in record["events"]]
    for event in record["events"]:
        _say(f"   {event['sequence']:>3}  {event['time'][11:23]}  {event['type']:<34} {_gist(event['data'])}")
    story.want(sequences == list(range(1, len(sequences) + 1)), f"sequences without holes, not {sequences}")
    names = {event["type"].split(".")[2] for event in record["events"]}
    for name in (*USUAL_EVENTS, *scenario.events):
        story.want(name in names, f"an event call.{name}")
    interrupted = sum(event["type"] == "calliope.call.interrupted.v1" for event in record["events"])
    story.want(interrupted >= scenario.interruptions, f"{scenario.interruptions} interruption(s), not {interrupted}")
    if scenario.ended_reason is not None:
        reason = record["ended_reason"]
        story.want(reason == scenario.ended_reason, f"the end reason {scenario.ended_reason}, not {reason}")
    if record["analysis_status"]:
        _say(f"   after the call: {record['summary']}")
        _say(f"   structured data: {json.dumps(record['structured_data'], ensure_ascii=False)}")


def _gist(data: dict[str, Any]) -> str:
    for name in ("assistant_text", "text", "heard_text", "detail", "reason", "name", "from_number", "stream_id"):
        if data.get(name):
            return str(data[name])[:60]
    return ""


def _tell_hooks(stack: LocalStack, record: dict[str, Any], hook: str, story: Story) -> None:
    wanted = {event["id"]: event for event in record["events"]}
    url = f"{stack.address('sandbox')}/sandbox/hooks/{hook}?wait_for={len(wanted)}&timeout_s={SETTLE_S:g}"
    listing = request("GET", url, timeout_s=SETTLE_S + 5)
    delivered = {attempt["webhook_id"]: attempt for attempt in listing["attempts"] if attempt["verified"]}
    for event in wanted.values():
        attempt = delivered.get(event["id"])
        told = "verified" if attempt else "MISSING"
        _say(f"   {event['sequence']:>3}  {event['type']:<34} {told}")
    story.want(set(wanted) <= set(delivered), "every event of the call delivered and verified")
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
    _say("")
    if story.missing:
        for what in story.missing:
            _say(f"MISSING: {what}")
        return 1
    turns = sum(event["type"].endswith("turn_committed.v1") for event in record["events"])
    _say(
        f"OK: one call of {record['duration_ms'] / 1_000:.1f} s with {turns} turns, {len(record['events'])} events in"
        f" order, every webhook verified, ended by {record['ended_reason']}; {seconds:.0f} s in all."
    )
    return 0


def _heading(text: str) -> None:
    _say(f"\n{text}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

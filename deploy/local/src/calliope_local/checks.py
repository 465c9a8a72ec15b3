"""What is wrong with a call that was played: by its own record, and by what its scenario expects. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from calliope_local.scenario import Scenario

Json = dict[str, Any]

CUT_WORDS: Final = 2
"""So many words of the record may be missing in the ear where the caller interrupted: one was cut in half."""


def failures(call: Json, record: Json | None, scenario: Scenario) -> list[str]:
    """Everything that should hold of the call and does not, a sentence each.

    `call` is what the caller saw (`/sandbox/twilio/calls/{sid}`), `record` what the API says; None: there is none.
    """
    found = [f"the caller's script failed: {call['failed']}"] if call["failed"] else []
    if record is None:
        return [*found, "there is no record of the call"]
    return [*found, *_events(record, scenario), *_transcript(call, record), *_expected(call, record, scenario)]


def _events(record: Json, scenario: Scenario) -> Iterator[str]:
    if record["status"] != "ended":
        yield f"the record says {record['status']}, not ended"
    sequences = [event["sequence"] for event in record["events"]]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"its events have holes: {', '.join(map(str, sequences))}"
    names = [event["type"].split(".")[2] for event in record["events"]]
    for name in scenario.all_events:
        if name not in names:
            yield f"there is no event call.{name}"
    if (interruptions := names.count("interrupted")) < scenario.interruptions:
        yield f"the assistant was interrupted {_times(interruptions)}, not {_times(scenario.interruptions)}"
    reason = record["ended_reason"]
    if scenario.ended_reason not in (None, reason):
        yield f"it ended with {reason}, not with {scenario.ended_reason}"


def _transcript(call: Json, record: Json) -> Iterator[str]:
    """What the record says was said is what was heard."""
    heard = " ".join(word["text"] for word in call["heard_words"]).split()
    written = _said(record, "assistant").split()
    if not _nearly(heard, written):
        yield f"the caller heard “{' '.join(heard)}”, the transcript says “{' '.join(written)}”"
    said = " ".join(line["text"] for line in call["lines"] if line["side"] == "caller").split()
    understood = _said(record, "user").split()
    if said != understood:
        yield f"the caller said “{' '.join(said)}”, the transcript says “{' '.join(understood)}”"


def _expected(call: Json, record: Json, scenario: Scenario) -> Iterator[str]:
    """What this scenario is about."""
    left = " ".join(word["text"] for word in call["heard_words"])
    for text in scenario.heard:
        _, found, after = left.partition(text)
        if not found:
            yield f"the caller did not hear “{text}”, or not in its turn"
        left = after if found else left
    data = record["structured_data"] or {}
    for name, value in scenario.structured_data.items():
        if name not in data:
            yield f"the structured data has no {name}"
        elif data[name] != value:
            yield f"{name} of the structured data is {_json(data[name])}, not {_json(value)}"


def _said(record: Json, role: str) -> str:
    return " ".join(line["text"] for line in record["transcript"] if line["role"] == role)


def _nearly(heard: Sequence[str], written: Sequence[str]) -> bool:
    """The same words; where the caller interrupted, one word may have been cut in half."""
    extra = len(written) - len(heard)
    return heard == written or (abs(extra) <= CUT_WORDS and set(written) >= {word for word in heard if len(word) > 3})


def webhook_problems(
    events: Iterable[Json], attempts: Sequence[Json], deliveries: Iterable[Json] = ()
) -> Mapping[str, str]:
    """Why events did not reach their receiver, by event id; those that were verified there are left out.

    `attempts` as the receiver lists them, `deliveries` as `GET /api/v1/webhook-deliveries` does. Events of other things
    than the call (such as `assistant.created`) are nobody's business here.
    """
    verified = {attempt["webhook_id"] for attempt in attempts if attempt["verified"]}
    known = {delivery["event_id"]: delivery for delivery in deliveries}
    return {
        event["id"]: _why_missing(event["id"], attempts, known.get(event["id"]))
        for event in events
        if event["id"] not in verified
    }


def _why_missing(event_id: str, attempts: Sequence[Json], delivery: Json | None) -> str:
    arrived = [attempt for attempt in attempts if attempt["webhook_id"] == event_id]
    if arrived:
        return f"arrived {_times(len(arrived))}, not verified: {arrived[-1]['why']}"
    if delivery is None:
        return "never sent: the webhooks service has no delivery of it"
    last = delivery["log"][-1] if delivery["log"] else None
    said = "" if last is None else f", the last answered {last['status'] or last['error']}"
    return f"{delivery['state']} after {_times(delivery['attempts'], 'attempt')}{said} ({delivery['url']})"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _times(count: int, noun: str = "time") -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

"""Prints a phone call for people: the talk as it is heard, then what the call's record holds. Decides nothing.

Everything here takes data of the sandbox (`…/calls/{sid}/live`, `/sandbox/hooks/…`) or of the API (a call record) and
writes lines to standard output.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

Json = dict[str, Any]

GIST_CHARS: Final = 60
_GISTS: Final = (
    "assistant_text", "text", "heard_text", "detail", "reason", "name", "from_number", "to_number", "stream_id",
    "summary",
)  # fmt: skip


def say(text: str = "") -> None:
    """Print one line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def heading(text: str) -> None:
    """Print a line with an empty one before it."""
    say(f"\n{text}")


def print_live(events: Iterable[Json]) -> None:
    """Print the call's live events as they come; returns when they end, which is when the call does."""
    for event in events:
        if (text := live_line(event)) is not None:
            say(f"   {text}")


def live_line(event: Json) -> str | None:
    """One live event in words with its time; None for those that a listener would not notice."""
    at_ms: float = event["start_ms"] if "start_ms" in event else event.get("at_ms", 0.0)
    at = f"{at_ms / 1_000:6.2f} s"
    match event.get("type"):
        case "line":
            speaker = f"{event['side']:<9}"
            cut = " — interrupted, falls silent" if event["interrupted"] else ""
            return f"{at}  {speaker}  {event['text']}{cut}"
        case "dial":
            return f"{at}  --- handed over to {event['number']}"
        case _:
            return None


def print_turns(record: Json) -> int:
    """Print what each answer of the call waited for; how many answers have times."""
    say("   turn  caller's last word → first audio   of it provider wait   added by Calliope")
    answers = 0
    for event in record["events"]:
        if not event["type"].endswith("turn_committed.v1") or event["data"]["kind"] != "reply":
            continue
        total, wait = response_and_wait(event["data"]["timings"])
        if total is None:
            continue
        answers += 1
        say(f"   {event['data']['turn']:>4}  {total:>26.0f} ms   {wait:>18.0f} ms   {total - wait:>14.1f} ms")
    return answers


def response_and_wait(timings: Mapping[str, float | None]) -> tuple[float | None, float]:
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


def print_events(record: Json) -> None:
    """Print the call's events in order, and what was made of the call after its end."""
    for event in record["events"]:
        say(f"   {event['sequence']:>3}  {event['time'][11:23]}  {event['type']:<34} {gist(event['data'])}")
    if record["analysis_status"]:
        say(f"   after the call: {record['summary']}")
        say(f"   structured data: {json.dumps(record['structured_data'], ensure_ascii=False)}")


def gist(data: Json) -> str:
    """The most telling text of an event's data, at most `GIST_CHARS` characters; empty when there is none."""
    return next((str(data[name])[:GIST_CHARS] for name in _GISTS if data.get(name)), "")


def print_webhooks(events: Iterable[Json], problems: Mapping[str, str]) -> None:
    """Print whether each event reached its webhook; `problems` says by event id why one did not."""
    for event in events:
        problem = problems.get(event["id"])
        told = "verified" if problem is None else f"MISSING: {problem}"
        say(f"   {event['sequence']:>3}  {event['type']:<34} {told}")

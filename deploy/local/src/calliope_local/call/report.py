"""What is told at the end of a call: why it ended, what answers waited for, what failed, and where to read on."""

import json
import time
from typing import Any, Final

from calliope_local.call_report import heading, print_turns, say
from calliope_local.running import Json, RunningStack

RECORD_S: Final = 15.0
NEWEST: Final = 50
POLL_S: Final = 0.1
REFUSED: Final = "refused"
_HINTS: Final = {
    "caller_hung_up": "the caller hung up",
    "assistant_ended": "the assistant hung up",
    "transferred": "the assistant handed the call over",
    "idle": "the caller was silent for too long",
    "max_duration": "the call reached its `max_call_duration`",
    "operator_ended": "an operator ended it",
    "provider_failed": "a vendor failed, see the problems",
}
"""Reasons that do not speak for themselves, in words."""
_BROKEN: Final = frozenset({"provider_failed", "carrier_failed", "no_media", "worker_lost", "failed"})


def find_record(stack: RunningStack, sid: str, *, answered: bool, analyzed: bool = False) -> Json | None:
    """The call's record once it has ended; None, when there is none. A call that nobody answered may leave none."""
    deadline = time.monotonic() + (RECORD_S if answered else RECORD_S / 5)
    while True:
        found = [one for one in stack.api("GET", f"/calls?limit={NEWEST}")["items"] if one["carrier_call_id"] == sid]
        settled = bool(found) and found[0]["status"] == "ended" and (not analyzed or bool(found[0]["analysis_status"]))
        if settled or time.monotonic() > deadline:
            return None if not found else dict(stack.api("GET", f"/calls/{found[0]['id']}"))
        time.sleep(POLL_S)


def print_answered(stack: RunningStack, call: Json, record: Json | None) -> None:
    """The end of a call that was answered."""
    if record is None:
        heading("The call has no record yet. Look for it in the list of calls:")
        say(f"   {stack.curl('/calls')}")
        return
    heading("What each answer waited for")
    if print_turns(record) == 0:
        say("   (the assistant answered nothing that the caller said)")
    ended, duration_ms = record["ended_reason"], record["duration_ms"] or 0.0
    heading(f"Ended: {ended}{_hint(ended)}, after {duration_ms / 1_000:.1f} s")
    _print_problems(call, record)
    if record["analysis_status"]:
        say(f"   Summary: {record['summary'] or 'none, ' + str(record['analysis_error'])}")
        if record["structured_data"] is not None:
            say(f"   Data:    {json.dumps(record['structured_data'], ensure_ascii=False)}")
    say(f"   Record:  {stack.gateway}/api/v1/calls/{record['id']}")
    say(f"   {stack.curl('/calls/' + record['id'])}")


def print_unanswered(stack: RunningStack, assistant: Json, call: Json, record: Json | None) -> None:
    """Nobody answered: why, as far as anybody knows."""
    heading(f"Nobody answered: {why_unanswered(assistant, call, record)}")
    if record is not None:
        say(f"   Record:  {stack.gateway}/api/v1/calls/{record['id']}")
        say(f"   {stack.curl('/calls/' + record['id'])}")


def broke(record: Json | None) -> bool:
    """Whether the call did not end because one of its sides wanted it to."""
    return record is None or record["ended_reason"] in _BROKEN


def why_unanswered(assistant: Json, call: Json, record: Json | None) -> str:
    """The refusal that the record tells, else what can be seen from outside."""
    if record is not None and record["ended_reason"] == REFUSED and record.get("ended_detail"):
        return f"{record['ended_detail']}."
    if not assistant["is_active"]:
        return f"“{assistant['name']}” is not active; set its is_active to true."
    if call["status"] == "busy":
        return "the line was busy: no call-worker has a free slot."
    if call["problems"]:
        return f"{call['problems'][0]}."
    if call["status"] == "failed" and call["failed"]:
        return f"{call['failed']}."
    return f"the carrier says {call['status']}; the log of the call-worker may say why: .calliope/logs/worker.log"


def _print_problems(call: Json, record: Json) -> None:
    for one in record["problems"]:
        times = f", {one['count']} times" if one["count"] > 1 else ""
        say(f"   Problem: {one['stage']} {one['provider']}: {one['reason']}{times}. {one['detail']}".rstrip())
    for problem in call["problems"]:
        say(f"   Problem: the carrier says: {problem}")
    if not record["problems"] and not call["problems"]:
        say("   No problems.")


def _hint(ended: Any) -> str:
    return f" ({_HINTS[ended]})" if ended in _HINTS else ""

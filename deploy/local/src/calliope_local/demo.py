"""The demonstration: one whole phone call through the local stack, told line by line and checked at the end."""

import threading
import time
from pathlib import Path
from typing import Any, Final

from calliope_local import checks, voice_over
from calliope_local.call_report import heading, print_events, print_live, print_turns, print_webhooks, say
from calliope_local.played_call import CALLER, PlayedCall
from calliope_local.rehearsal import USUAL, Rehearsal
from calliope_local.scenario import load
from calliope_local.stack import LocalStack
from calliope_local.welcome import SCRIPTED_BRIEFLY

LINE: Final = "+15550002222"
MIN_TURNS: Final = 2
LIVE_S: Final = 5.0
"""How long the last live lines may come after the call's end."""


def play(
    stack: LocalStack, file: Path, wav: Path | None = None, *, number: str = LINE, rehearsal: Rehearsal = USUAL
) -> int:
    """Exit status 0, when nothing was wrong. Several may play on one stack, each with a number of its own."""
    sandbox = stack.address("sandbox")
    rehearsal.set_up(sandbox)
    scenario = rehearsal.applied(load(file, sandbox), sandbox)
    status = play_and_tell(PlayedCall(stack, scenario, number), file, wav)
    if (told := rehearsal.told(sandbox)) is not None:
        say(told)
    return status


def play_and_tell(played: PlayedCall, file: Path, wav: Path | None = None) -> int:
    """Play a call that was not begun, printing what happens; exit status 0, when nothing was wrong."""
    began = time.monotonic()
    heading("1. An assistant is one JSON document")
    assistant = _create(played, file)
    heading("2. The phone rings")
    sid = played.place()
    say(f"   {CALLER} calls {played.number}: signed hook → gateway → a worker with a free slot → TwiML")
    say(f"   {SCRIPTED_BRIEFLY}")
    told = threading.Thread(target=_tell_live, args=(played, sid), name="live", daemon=True)
    told.start()
    call = played.seen(sid)
    told.join(timeout=LIVE_S)
    record = played.record(assistant["id"], sid)
    failures = checks.failures(call, record, played.scenario)
    if record is not None:
        failures += _tell_record(played, record)
    if wav is not None:
        say(f"\n6. To listen to\n   {wav}: {voice_over.write(call['lines'], wav):.1f} s, caller left, assistant right")
    return _summary(record, failures, time.monotonic() - began)


def _create(played: PlayedCall, file: Path) -> dict[str, Any]:
    """The assistant as the API answers; its webhook receiver knows the secret before the first event can come."""
    say(f"   its webhook secret is known to the receiver first: {played.stack.address('sandbox')}/hooks/{played.hook}")
    made = played.create(played.register())
    say(f"   POST /api/v1/assistants  <  {file}")
    say(f"   201  {made['id']}  “{made['name']}”, revision {made['revision']}")
    say(f"   its secrets are sealed: llm_provider_config.api_key = {made['llm_provider_config']['api_key']}")
    played.assign(made["id"])
    say(f"   PUT  /api/v1/phone-numbers/{played.number}  →  {made['id']}")
    return made


def _tell_live(played: PlayedCall, sid: str) -> None:
    try:
        print_live(played.live(sid))
    except OSError as exc:
        say(f"   (the talk cannot be followed any more: {exc}; the call goes on)")


def _tell_record(played: PlayedCall, record: dict[str, Any]) -> list[str]:
    """Print what the call left behind; what is wrong with it."""
    failures = []
    heading("3. What each answer waited for")
    if print_turns(record) < MIN_TURNS and not played.scenario.has_own_call:
        failures.append(f"fewer than {MIN_TURNS} answered turns have times")
    heading("4. The call's events, in order")
    print_events(record)
    heading("5. Webhooks, verified by their receiver with the standardwebhooks library")
    problems = played.webhook_problems(record)
    print_webhooks(record["events"], problems)
    if problems:
        failures.append(
            f"{len(problems)} of {len(record['events'])} events were not verified by their receiver, see 5."
        )
    return failures


def _summary(record: dict[str, Any] | None, failures: list[str], seconds: float) -> int:
    say()
    if failures or record is None:
        for failure in failures:
            say(f"FAILED: {failure}")
        return 1
    turns = sum(event["type"].endswith("turn_committed.v1") for event in record["events"])
    say(
        f"OK: one call of {record['duration_ms'] / 1_000:.1f} s with {turns} turns, {len(record['events'])} events in"
        f" order, every webhook verified, ended by {record['ended_reason']}; {seconds:.0f} s in all."
    )
    return 0

"""`calliope-admin calls …`: one call as its journal tells it, ended by hand, or handed over to another worker."""

import asyncio
import re
from argparse import ArgumentTypeError, Namespace
from datetime import UTC, datetime
from typing import Final, TypeVar

from pydantic import BaseModel

from calliope.contracts.assistants import Nothing
from calliope.contracts.base import Event
from calliope.contracts.live_calls import ClosedCall, Closure, HeldCall, LiveCallRef
from calliope.contracts.subjects import Command
from calliope.contracts.workers import WorkerDescription
from calliope.errors import CommandError, TransientError
from calliope.messaging.broker import Bus
from calliope.messaging.call_inspection import Journal, journal_of, latest, lease_of
from calliope.messaging.dead_letters import LARGEST_PAGE, DeadLetters
from calliope.messaging.inspection import durable_look
from calliope.messaging.probe import Answer, anybody, everybody
from calliope.messaging.streams import DURABLES, EVENTS
from calliope_admin import call_words
from calliope_admin.bus import open_bus
from calliope_admin.errors import FAILED, AdminError
from calliope_admin.output import Output
from calliope_admin.parsing import Nouns

DESCRIBE_S: Final = 1.0
END_S: Final = 8.0
"""Above the time that a worker gives a call to end."""
CLOSE_S: Final = 10.0
RELEASE_S: Final = 15.0
"""Above the longest turn that a hand-over waits for."""
TAKEN_S: Final = 25.0
"""So long a carrier goes on asking for a worker, and a little more."""
LOOK_EVERY_S: Final = 0.2
ReplyT = TypeVar("ReplyT", bound=BaseModel)
_ID: Final = re.compile(r"[A-Za-z0-9_+-]{1,128}")
_READERS: Final = tuple(each for each in DURABLES if each.stream == EVENTS.name and each.name != "assistants-outbox")


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    calls = nouns.add("calls", "calls that run, or ran within 14 days")
    for verb, command, help_ in (
        ("show", shown, "show a call: its state, who has it, its facts by name, and what of it waits"),
        ("end", ended, "hang up; a call that no worker has is closed in its record"),
        ("release", released, "let another worker go on with a call, between two turns"),
    ):
        parser = calls.add(verb, command, help_)
        parser.add_argument("call_id", metavar="CALL_ID", type=_call_id, help="its id, such as call_01jd…")
        if verb == "show":
            parser.add_argument("--all", action="store_true", help="every fact, not only the latest")


async def shown(arguments: Namespace) -> Output:
    """One call, without what was said in it."""
    call_id = arguments.call_id
    async with open_bus(arguments) as bus:
        journal = await _journal(bus.bus, call_id)
        held = _first_held(await _ask_workers(bus.bus, Command.CALLS_DESCRIBE, call_id, within_s=DESCRIBE_S))
        lease = await lease_of(bus.bus, call_id)
        waits = await _waits(bus.bus, call_id, journal)
    data = call_words.as_data(journal, lease, held, waits)
    now = datetime.now(UTC)
    return Output(data, call_words.described(journal, lease, held, waits, now, whole=arguments.all))


async def ended(arguments: Namespace) -> Output:
    """Hang up, or close the record of a call that no worker has."""
    call_id = arguments.call_id
    async with open_bus(arguments) as bus:
        journal = await _journal(bus.bus, call_id)
        if (end := journal.end) is not None:
            words = f"{call_id} has ended already: {end.data.get('reason')}, at {end.time:%Y-%m-%d %H:%M:%S} UTC."
            return Output({"call_id": call_id, "outcome": "ended_before"}, words)
        held = _first_held(await _ask_workers(bus.bus, Command.CALLS_DESCRIBE, call_id, within_s=DESCRIBE_S))
        if held is None:
            return await _closed(bus.bus, call_id)
        held = _first_held(await _ask_workers(bus.bus, Command.CALLS_END, call_id, within_s=END_S))
    if held is None:
        raise AdminError(f"{call_id} left its worker meanwhile: see `calls show {call_id}`, and end it again.")
    data = {"call_id": call_id, "outcome": "ended" if held.over else "ending", "worker_id": held.worker_id}
    if held.over:
        return Output(data, f"{held.worker_id} has ended {call_id}.")
    return Output(data, f"{held.worker_id} ends {call_id}; what the call has begun, such as a tool, comes to its end.")


async def released(arguments: Namespace) -> Output:
    """Hand a call over, and see who goes on with it."""
    call_id = arguments.call_id
    async with open_bus(arguments) as bus:
        journal = await _journal(bus.bus, call_id)
        held = _first_held(await _ask_workers(bus.bus, Command.CALLS_DESCRIBE, call_id, within_s=DESCRIBE_S))
        if held is None:
            raise AdminError(f"No worker has {call_id}: {_state(journal)}. `calls show {call_id}` says more.")
        await _somebody_else(bus.bus, held)
        left = _first_held(await _ask_workers(bus.bus, Command.CALLS_RELEASE, call_id, within_s=RELEASE_S))
        if left is None or not left.over:
            raise AdminError(f"{held.worker_id} has not handed {call_id} over: it ends. See `calls show {call_id}`.")
        fact = await _taken_over(bus.bus, call_id, journal.facts[-1].sequence)
    if fact is None:
        raise AdminError(
            f"{left.worker_id} has handed {call_id} over, and nobody went on with it within {TAKEN_S:g} s: the caller "
            f"hung up, or the carrier does not ask. It is closed by itself; `calls end {call_id}` does so at once."
        )
    if fact.name == "ended":
        data = {"call_id": call_id, "outcome": "ended", "reason": fact.data.get("reason")}
        return Output(data, f"{call_id} has ended: {fact.data.get('reason')}.", status=FAILED)
    taker = str(fact.data.get("worker_id"))
    data = {"call_id": call_id, "outcome": "released", "from": left.worker_id, "to": taker}
    return Output(data, f"{taker} goes on with {call_id}; {left.worker_id} has left it.")


async def _journal(bus: Bus, call_id: str) -> Journal:
    journal = await journal_of(bus, call_id)
    if journal is None:
        raise AdminError(f"There is no call {call_id} on this bus: calls are kept there for 14 days after they ended.")
    return journal


def _state(journal: Journal) -> str:
    return call_words.state_of(journal)


async def _ask_workers(bus: Bus, command: Command, call_id: str, *, within_s: float) -> list[HeldCall]:
    """What each worker says of a call, until one says that it has it. Raises: AdminError, when it could not act."""

    def has_it(answer: Answer) -> bool:
        return answer.problem is not None or HeldCall.model_validate(answer.result).held

    answers = await everybody(bus, command, LiveCallRef(call_id=call_id), within_s=within_s, enough=has_it)
    return [_read(answer, HeldCall) for answer in answers]


def _read(answer: Answer, reply_type: type[ReplyT]) -> ReplyT:
    if answer.problem is not None:
        raise CommandError(answer.problem.code, answer.problem.message)
    return reply_type.model_validate(answer.result)


def _first_held(answers: list[HeldCall]) -> HeldCall | None:
    return next((each for each in answers if each.held), None)


async def _closed(bus: Bus, call_id: str) -> Output:
    """A call that no worker answers for. Raises: AdminError."""
    if (lease := await lease_of(bus, call_id)) is not None:
        raise AdminError(
            f"{lease.worker_id} holds the lease of {call_id} and does not answer: try again in 5 s, when the lease of "
            "a worker that died has lapsed."
        )
    answer = await anybody(bus, Command.CALLS_CLOSE, LiveCallRef(call_id=call_id), within_s=CLOSE_S)
    if answer.problem is not None and not answer.is_there:
        raise AdminError(
            f"No call-worker can close {call_id} ({answer.problem.message}): start one, "
            "`python -m calliope_call_worker`."
        )
    closed = _read(answer, ClosedCall)
    data = {"call_id": call_id, "outcome": str(closed.closure), "worker_id": closed.worker_id}
    match closed.closure:
        case Closure.CLOSED:
            return Output(data, f"No worker had {call_id}: its record ends as worker_lost, and its line is put down.")
        case Closure.ENDED:
            return Output(data, f"{call_id} has ended meanwhile.")
        case Closure.HELD:
            raise AdminError(
                f"{call_id} changes hands: something was written to it within the last seconds. Try again in 5 s."
            )
        case _:
            raise AdminError(f"{call_id} never began on this installation: there is nothing to close.")


async def _somebody_else(bus: Bus, held: HeldCall) -> None:
    """Raises: AdminError, when no other worker could go on with a call."""
    answers = await everybody(bus, Command.WORKERS_DESCRIBE, Nothing(), within_s=DESCRIBE_S)
    workers = [WorkerDescription.model_validate(each.result) for each in answers if each.problem is None]
    others = [each for each in workers if each.worker_id != held.worker_id]
    if not any(each.free for each in others):
        why = "there is no other call-worker" if not others else "no other call-worker takes calls now"
        raise AdminError(f"{held.worker_id} keeps the call: {why}. Start one more, and release it then.")


async def _taken_over(bus: Bus, call_id: str, sequence: int) -> Event | None:
    """The fact behind `sequence` that says who went on, or that the call ended; None, when none came in time."""
    try:
        async with asyncio.timeout(TAKEN_S):
            while True:
                for name in ("resumed", "ended"):
                    fact = await latest(bus, call_id, name)
                    if fact is not None and fact.sequence > sequence:
                        return fact
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        return None


async def _waits(bus: Bus, call_id: str, journal: Journal) -> list[str]:
    """What of a call is not done yet, each in words."""
    found: list[str] = []
    if journal.end is not None and journal.last_of("analyzed") is None:
        found.append("its analysis (call-worker-analysis)")
    for durable in _READERS:
        seen = await durable_look(bus, durable)
        if seen is not None and seen[1].acknowledged < journal.last and durable.name != "call-worker-analysis":
            found.append(
                f"{durable.name}, which has handled EVENTS up to number {seen[1].acknowledged:,}; the last fact is "
                f"number {journal.last:,}"
            )
    try:
        page = await DeadLetters(bus).list(limit=LARGEST_PAGE)
    except TransientError:
        return [*found, "(its dead letters could not be read)"]
    letters = [each for each in page.letters if f".call.{call_id}." in each.subject]
    return found + [f"dead letter {each.id} of {each.durable}, {each.reason}" for each in letters]


def _call_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ArgumentTypeError(
            f"{text!r} is no id of a call: take it from GET /api/v1/calls or a log, such as "
            "call_01jd0000000000000000000000"
        )
    return text

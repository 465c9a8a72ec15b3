"""`calliope-admin consumers …`: durable consumers, how far each has read its stream, and reading a part again."""

from argparse import Namespace
from enum import StrEnum
from typing import Any, Final

from calliope.messaging.durable_reset import Change, planned, reset
from calliope.messaging.inspection import durable_look
from calliope.messaging.streams import DURABLES, Durable
from calliope_admin.bus import open_bus
from calliope_admin.doctor.durables import DurableLook, look_at_all
from calliope_admin.doctor.streams import PROVISION, reading_trouble
from calliope_admin.errors import FAILED
from calliope_admin.moments import ago
from calliope_admin.output import Output, table
from calliope_admin.parsing import Nouns, sentence
from calliope_admin.selecting import add_yes, agreed, durable

_HEAD: Final = ("NAME", "STREAM", "WAITING", "UNACKNOWLEDGED", "REDELIVERED", "READ BY")


class ReadState(StrEnum):
    """Whether somebody reads a durable."""

    READ = "read"
    NOBODY = "nobody"
    PAUSED = "paused"
    HELD = "held"
    """It has given messages that nobody acknowledges: a process holds them, or died with them."""
    MISSING = "missing"


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    consumers = nouns.add("consumers", "durable consumers: what waits for each service, and who reads it")
    consumers.add("list", listed, "list every durable consumer, and whether somebody reads it")
    again = consumers.add("reset", moved, "let one read its stream again, from the beginning or since a moment")
    again.add_argument("durable", type=durable, metavar="NAME", help="its name, which `consumers list` shows")
    again.add_argument(
        "--since",
        type=ago,
        metavar="TIME",
        help="from what was stored since then: 30m, 2h or 3d ago, or 2030-01-31T12:00:00Z; else all that is kept",
    )
    add_yes(again)


async def listed(arguments: Namespace) -> Output:
    """Every durable that is declared."""
    async with open_bus(arguments) as bus:
        looks = await look_at_all(bus.bus, DURABLES)
    rows = [_row(each) for each in looks]
    lines = [table(_HEAD, rows, none=""), *_troubles(looks)]
    return Output({"items": [_data(each) for each in looks]}, "\n".join(lines))


async def moved(arguments: Namespace) -> Output:
    """One durable to another place, after a yes."""
    chosen: Durable = arguments.durable
    async with open_bus(arguments) as bus:
        change = await planned(bus.bus, chosen, since=arguments.since)
        if not await agreed(arguments, in_words(chosen, change)):
            return Output({"name": chosen.name, "reset": False}, "Nothing was changed.", status=FAILED)
        await reset(bus.bus, chosen, change)
        now = await durable_look(bus.bus, chosen)
    waiting = now[1].waiting + now[1].unanswered if now else 0
    told = f"{chosen.name} goes on at number {change.number} of {chosen.stream}: {_messages(waiting)} to read."
    if change.skipped:
        told += f" Up to {_messages(change.skipped)} that {chosen.service} had not handled were skipped."
    data = {
        "name": chosen.name,
        "reset": True,
        "number": change.number,
        "waiting": waiting,
        "skipped_at_most": change.skipped,
        "again_at_most": change.again,
    }
    return Output(data, told)


def in_words(chosen: Durable, change: Change) -> str:
    """What resetting a durable to there means, without a stop."""
    what = f"{chosen.name} would go on at number {change.number} of {chosen.stream}"
    if change.skipped:
        return (
            f"{what}. Up to {_messages(change.skipped)} that {chosen.service} has not handled would NEVER be given to "
            "it; an earlier --since takes them with it"
        )
    if change.again:
        return (
            f"{what}. Up to {_messages(change.again)} that {chosen.service} has handled would be given to it again; it "
            "knows what it has done, so this costs time and does nothing twice"
        )
    return f"{what}, where it is; what it was given and has not acknowledged would be given to it again"


def read_state(look: DurableLook) -> ReadState:
    """Whether somebody reads it, from two looks."""
    before, now = look.before, look.now
    if before is None or now is None:
        return ReadState.MISSING
    if now.paused_until is not None:
        return ReadState.PAUSED
    if before.pulls or now.pulls or now.moved(before):
        return ReadState.READ
    return ReadState.HELD if now.unanswered else ReadState.NOBODY


def _row(look: DurableLook) -> tuple[object, ...]:
    state, name, now = read_state(look), look.durable.name, look.now
    reader = {
        ReadState.READ: look.durable.service,
        ReadState.NOBODY: "nobody",
        ReadState.PAUSED: f"paused until {now.paused_until}" if now else "",
        ReadState.HELD: f"{look.durable.service}, which holds them, or died with them",
        ReadState.MISSING: "there is no such consumer",
    }[state]
    if now is None:
        return name, look.durable.stream, None, None, None, reader
    return name, look.durable.stream, now.waiting, now.unanswered, now.again, reader


def _troubles(looks: list[DurableLook]) -> list[str]:
    lines: list[str] = []
    for look in looks:
        trouble = None
        if look.problem is not None:
            trouble = look.problem, "see `calliope-admin doctor`"
        elif look.before is None or look.now is None:
            trouble = f"there is no durable consumer {look.durable.name}", PROVISION
        else:
            trouble = reading_trouble(look.durable, look.before, look.now)
        if trouble:
            lines += ["", trouble[0] + ".", sentence(trouble[1])]
    return lines


def _data(look: DurableLook) -> dict[str, Any]:
    now = look.now
    return {
        "name": look.durable.name,
        "service": look.durable.service,
        "stream": look.durable.stream,
        "state": read_state(look).value,
        "waiting": now.waiting if now else None,
        "unacknowledged": now.unanswered if now else None,
        "redelivered": now.again if now else None,
        "paused_until": now.paused_until if now else None,
        "problem": look.problem,
    }


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count:,} messages"

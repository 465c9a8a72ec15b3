"""`calliope-admin dead-letters …`: messages that a durable consumer gave up on, and giving them to it again."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from typing import Any, Final

import orjson

from calliope.errors import TransientError
from calliope.messaging.dead_letters import (
    LARGEST_PAGE,
    DeadLetter,
    DeadLetterNotFound,
    DeadLetters,
    Replay,
    ReplayOutcome,
)
from calliope_admin import letters as words
from calliope_admin.bus import open_bus
from calliope_admin.errors import FAILED, MISUSED, AdminError
from calliope_admin.moments import ago
from calliope_admin.output import Output, moment, table, visible
from calliope_admin.parsing import Nouns
from calliope_admin.selecting import add_yes, agreed, durable

SHOWN: Final = 50
MOST: Final = 1_000
"""Replayed at once; one takes a few milliseconds."""
ASKED_ABOVE: Final = 10
"""More letters than this are replayed only after a yes, also when each was named."""
_DIGITS: Final = 15
_HEAD: Final = ("ID", "DIED (UTC)", "DURABLE", "REASON", "SUBJECT", "TO DO")
_NONE: Final = "No message was given up."
_WELL: Final = {ReplayOutcome.REPLAYED, ReplayOutcome.ALREADY}


def add(nouns: Nouns) -> None:
    """Add the noun and its commands."""
    letters = nouns.add("dead-letters", "messages that could not be handled, and what to do about them")
    listing = letters.add("list", listed, "list what was given up, oldest first")
    _add_filters(listing)
    listing.add_argument("--replayed", action="store_true", help="those that were replayed, instead of those that wait")
    listing.add_argument(
        "--after", type=_number, default=0, metavar="ID", help="only those behind this one: the next page"
    )
    listing.add_argument(
        "--limit", type=_number, default=SHOWN, metavar="N", help=f"at most so many, up to {LARGEST_PAGE}; else {SHOWN}"
    )
    show = letters.add("show", shown, "show one with everything that is known of it")
    show.add_argument("letter_id", type=_number, metavar="ID", help="its number, which `dead-letters list` shows")
    show.add_argument(
        "--payload", action="store_true", help="also its message, which may hold telephone numbers and callers' words"
    )
    replay = letters.add("replay", replayed, "give messages to their durable consumer again, each once")
    replay.add_argument("ids", nargs="*", type=_number, metavar="ID", help="numbers that `dead-letters list` shows")
    replay.add_argument("--all", action="store_true", help="all that wait")
    _add_filters(replay)
    replay.add_argument(
        "--limit", type=_number, default=MOST, metavar="N", help=f"at most so many, oldest first; else {MOST:,}"
    )
    add_yes(replay)


def _add_filters(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--since", type=ago, metavar="TIME", help="that died since then: 30m, 2h or 3d ago, or 2030-01-31T12:00:00Z"
    )
    parser.add_argument("--durable", type=durable, metavar="NAME", help="of this durable consumer only")


async def listed(arguments: Namespace) -> Output:
    """Letters, oldest first."""
    if arguments.limit > LARGEST_PAGE:
        raise AdminError(f"--limit can be {LARGEST_PAGE} at most; --after shows the next page.", status=MISUSED)
    async with open_bus(arguments) as bus:
        page = await DeadLetters(bus.bus).list(
            **_filters(arguments), replayed=arguments.replayed, after=arguments.after, limit=arguments.limit
        )
    rows = [
        (each.id, moment(each.died_at), each.durable, each.reason, words.pattern(each), _to_do(each))
        for each in page.letters
    ]
    none = "Nothing was replayed." if arguments.replayed else _NONE
    lines = [table(_HEAD, rows, none=none)]
    if rows and not arguments.replayed:
        lines += ["", *words.legend(page.letters), "`dead-letters show ID` says why one died."]
    if page.next_after is not None:
        lines.append(f"There are more: --after {page.next_after}")
    data = {"items": [words.as_data(each) for each in page.letters], "next_after": page.next_after}
    return Output(data, "\n".join(lines))


async def shown(arguments: Namespace) -> Output:
    """One letter, its message only when that was asked for."""
    async with open_bus(arguments) as bus:
        content = await DeadLetters(bus.bus).show(arguments.letter_id)
    facts = words.facts(content)
    width = max(len(name) for name, _ in facts)
    lines = [f"{name:<{width}}  {text}" for name, text in facts]
    data: dict[str, Any] = {**words.as_data(content.letter), "headers": dict(content.headers)}
    data["size_bytes"] = len(content.body)
    if arguments.payload:
        message = words.payload(content.body)
        data |= message
        lines += ["", _in_text(message)]
    else:
        lines += ["", words.HIDDEN]
    return Output(data, "\n".join(lines))


async def replayed(arguments: Namespace) -> Output:
    """Some letters, each once; status 1 when one of them could not be."""
    filtered = arguments.since is not None or arguments.durable is not None
    if bool(arguments.ids) == (arguments.all or filtered):
        raise AdminError(
            "Say which: numbers of letters, or --all, or --since and --durable (`dead-letters list` shows them).",
            status=MISUSED,
        )
    async with open_bus(arguments) as bus:
        letters = DeadLetters(bus.bus)
        wanted, more = (arguments.ids, False) if arguments.ids else await _chosen(letters, arguments)
        if not arguments.ids or len(wanted) > ASKED_ABOVE:
            if not wanted:
                return Output({"items": [], "more": False}, "Nothing to replay: no message of this kind was given up.")
            if not await agreed(arguments, _what(wanted, await letters.counts(), more=more)):
                return Output({"items": [], "more": more}, "Nothing was replayed.", status=FAILED)
        done, missing = await _all_of(letters, [each.id if isinstance(each, DeadLetter) else each for each in wanted])
    return _told(done, missing, more=more)


async def _chosen(letters: DeadLetters, arguments: Namespace) -> tuple[list[DeadLetter], bool]:
    """Those that lie there now, up to the limit, and whether there are more."""
    found: list[DeadLetter] = []
    after: int | None = 0
    while after is not None and len(found) < arguments.limit:
        page = await letters.list(**_filters(arguments), after=after, limit=arguments.limit - len(found))
        found += page.letters
        after = page.next_after
    return found, after is not None


def _what(wanted: list[Any], counts: dict[tuple[str, str], int], *, more: bool) -> str:
    """What a yes would do."""
    known = [each for each in wanted if isinstance(each, DeadLetter)]
    by_kind = Counter((each.durable, each.reason) for each in known)
    kinds = f" ({words.counted(by_kind)})" if by_kind else ""
    rest = f", the oldest of {sum(counts.values()):,} that wait" if more else ""
    return f"{len(wanted):,} messages would be given to their durable consumers again{kinds}{rest}"


async def _all_of(letters: DeadLetters, ids: list[int]) -> tuple[list[Replay], list[int]]:
    """What came of each, and the numbers that no letter has. Raises: AdminError, when the bus goes away meanwhile."""
    done: list[Replay] = []
    missing: list[int] = []
    for letter_id in dict.fromkeys(ids):
        try:
            done.append(await letters.replay(letter_id))
        except DeadLetterNotFound:
            missing.append(letter_id)
        except TransientError as exc:
            count = sum(each.outcome is ReplayOutcome.REPLAYED for each in done)
            raise AdminError(
                f"{count} of {len(ids)} messages were replayed, then this happened: {exc}. Do the same again: nothing "
                "is replayed twice."
            ) from exc
    return done, missing


def _told(done: list[Replay], missing: list[int], *, more: bool) -> Output:
    items: list[dict[str, Any]] = [
        {"id": each.letter.id, "durable": each.letter.durable, "outcome": each.outcome.value} for each in done
    ]
    items += [{"id": letter_id, "durable": None, "outcome": "no_such_letter"} for letter_id in missing]
    lines = words.replays_told(done)
    lines += [f"Skipped {each}: there is no such dead letter; `dead-letters list` shows them." for each in missing]
    if any(each.outcome is ReplayOutcome.REPLAYED for each in done):
        lines.append("One that fails again becomes a new letter: see `dead-letters list` in a while.")
    if more:
        lines.append("There are more: do the same again.")
    failed = bool(missing) or any(each.outcome not in _WELL for each in done)
    return Output({"items": items, "more": more}, "\n".join(lines), status=FAILED if failed else 0)


def _filters(arguments: Namespace) -> dict[str, Any]:
    return {"durable": arguments.durable.name if arguments.durable else None, "since": arguments.since}


def _to_do(letter: DeadLetter) -> str:
    return f"replayed {moment(letter.replayed_at)}" if letter.replayed_at else words.advice_of(letter.reason).short


def _in_text(message: dict[str, Any]) -> str:
    if "payload_base64" in message:
        return f"Its payload is no JSON; in base64:\n{message['payload_base64']}"
    text = orjson.dumps(message["payload"], option=orjson.OPT_INDENT_2).decode()
    return "\n".join(visible(line) for line in text.splitlines())


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) > 0):
        raise ArgumentTypeError(f"{text!r} is no whole number above 0, such as 7")
    return int(text)

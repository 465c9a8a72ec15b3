"""What is typed, or comes through a pipe, becomes steps of the caller. Pure but for `lines`, which reads."""

import os
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Step = dict[str, Any]

POLL_S: Final = 0.1
READ_BYTES: Final = 4_096
MAX_LINE: Final = 1_000
"""Bytes; what is longer is said in pieces."""
WITHIN_S: Final = 180.0
"""The longest speech of the assistant that a caller waits out."""
PAUSE_MS: Final = 400
END_PAUSE_MS: Final = 1_500
"""So long a silence is the end of an answer, after which the caller hangs up."""
PATIENCE_S: Final = 3.0
"""A person at the keyboard decides; the caller waits for an answer only shortly."""
PIPE_PATIENCE_S: Final = 12.0
"""The next line of a pipe is said after the answer; if none comes, after so long."""
KEYS: Final = frozenset("0123456789*#")
HELP: Final = """\
   Type what the caller says, and Enter; a line waits until the assistant has finished.
     /interrupt TEXT   say it at once, into the assistant's words
     /dtmf 12#         press keys
     /hangup           hang up; Ctrl-D does too
     /help             this"""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a line asks for: steps, the end, or an answer to who typed."""

    steps: tuple[Step, ...] = ()
    hangs_up: bool = False
    told: str = ""


def politely(text: str, patience_s: float = PATIENCE_S) -> tuple[Step, ...]:
    """Say it when the assistant has finished."""
    return (silence(PAUSE_MS, patience_s), {"say": text})


def goodbye(patience_s: float = PIPE_PATIENCE_S) -> tuple[Step, ...]:
    """Hear the answer, then hang up."""
    return (silence(END_PAUSE_MS, patience_s), {"hang_up": True})


def silence(ms: int, patience_s: float) -> Step:
    """Wait until the other side has spoken and is silent."""
    return {"wait_for_silence_ms": ms, "patience_s": patience_s, "within_s": WITHIN_S}


def understand(line: str, *, person: bool = True) -> Wish:
    """What a line asks for; of a pipe, each waits for the answer to what was said before."""
    patience_s = PATIENCE_S if person else PIPE_PATIENCE_S
    text = line.strip()
    command, _, rest = text.partition(" ")
    rest = rest.strip()
    if not text:
        return Wish()
    if not text.startswith("/"):
        return Wish(politely(text, patience_s))
    match command:
        case "/hangup":
            return Wish(hangs_up=True)
        case "/interrupt" if rest:
            return Wish(({"say": rest},))
        case "/dtmf" if rest and set(rest) <= KEYS:
            return Wish((*(() if person else (silence(PAUSE_MS, patience_s),)), {"dtmf": rest}))
        case "/dtmf":
            return Wish(told=f"   /dtmf needs keys of {''.join(sorted(KEYS))}, for example: /dtmf 1")
        case "/interrupt":
            return Wish(told="   /interrupt needs words, for example: /interrupt Sorry, one question")
        case "/help":
            return Wish(told=HELP)
        case _:
            return Wish(told=f"   {command} is no command; /help lists them")


def lines(descriptor: int, over: Callable[[], bool]) -> Iterator[str]:
    """Lines of a terminal, a pipe or a file, until it ends or the call is `over`."""
    waiting = b""
    while not over():
        if not select.select([descriptor], [], [], POLL_S)[0]:
            continue
        read = os.read(descriptor, READ_BYTES)
        waiting += read
        while b"\n" in waiting or len(waiting) > MAX_LINE or (waiting and not read):
            line, found, rest = waiting[:MAX_LINE].partition(b"\n")
            waiting = rest + waiting[MAX_LINE:] if found else waiting[MAX_LINE:]
            yield line.decode(errors="replace")
        if not read:
            return

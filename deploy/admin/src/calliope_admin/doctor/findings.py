"""What the doctor found: one sentence each, and what to do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from calliope_admin.output import Output


class State(StrEnum):
    """How it is with one thing."""

    WELL = "well"
    WRONG = "wrong"
    NOTED = "noted"
    """Not wrong, but worth knowing."""
    UNKNOWN = "unknown"
    """Could not be looked at, because something else is away."""


class About(StrEnum):
    """What was looked at, in the order of the report."""

    BUS = "bus"
    CLOCKS = "clocks"
    STREAMS = "streams"
    CONSUMERS = "consumers"
    DEAD_LETTERS = "dead letters"
    OUTBOX = "outbox"
    SERVICES = "services"
    CALLS = "calls"
    ADDRESSES = "addresses"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    about: About
    state: State
    sentence: str
    advice: str = ""


_SHOWN: Final = {State.WELL: "ok", State.WRONG: "WRONG", State.NOTED: "note", State.UNKNOWN: "?"}


def well(about: About, sentence: str) -> Finding:
    """Nothing to do."""
    return Finding(about, State.WELL, sentence)


def wrong(about: About, sentence: str, advice: str) -> Finding:
    """Somebody has to do something."""
    return Finding(about, State.WRONG, sentence, advice)


def noted(about: About, sentence: str, advice: str) -> Finding:
    """Nothing is wrong; somebody may want to know."""
    return Finding(about, State.NOTED, sentence, advice)


def unknown(about: About, sentence: str) -> Finding:
    """It cannot be told, because of what another finding says."""
    return Finding(about, State.UNKNOWN, sentence)


def report(findings: Iterable[Finding]) -> Output:
    """All of it for people and for scripts; status 1 when something is wrong."""
    order = list(About)
    every = sorted(findings, key=lambda each: order.index(each.about))
    is_wrong = any(each.state is State.WRONG for each in every)
    rows = [_row(each) for each in every]
    counted = sum(each.state is State.WRONG for each in every)
    last = f"{counted} of {len(every)} checks found something wrong." if is_wrong else "All is well."
    data: dict[str, Any] = {
        "well": not is_wrong,
        "findings": [
            {
                "about": each.about.value,
                "state": each.state.value,
                "sentence": each.sentence,
                "advice": each.advice or None,
            }
            for each in every
        ],
    }
    return Output(data, "\n".join([*rows, "", last]), status=1 if is_wrong else 0)


def _row(finding: Finding) -> str:
    line = f"{_SHOWN[finding.state]:<5}  {finding.about.value:<12}  {finding.sentence}"
    return f"{line}\n{'':<21}{finding.advice[:1].upper()}{finding.advice[1:]}." if finding.advice else line

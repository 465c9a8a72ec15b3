"""How calls are found in lists: the keys that a call is stored under, and the questions that a list asks. Pure.

A key is a text that begins alike for all calls with the same values of some filters, and goes on with the call's
position. So a page is a range of one index, read backwards, for every filter and for the usual combinations; the time
it takes does not grow with the number of calls. What no key covers is checked on the rows of the narrowest range.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from calliope.contracts.call_records import ANY_PROBLEM, TOOL_PREFIX, CallStatus, ListCalls
from calliope.contracts.calls import Stage
from calliope_assistants.pages import position
from calliope_assistants.summaries import STATUSES

Row = Mapping[str, Any]

_FAILED: Final = f"failed.{ANY_PROBLEM}"
_COVERED: Final = (
    ("assistant_id", "ended_reason"), ("assistant_id", "status"), ("assistant_id", _FAILED),
    ("from_number", "ended_reason"), ("from_number", "status"),
    ("to_number", "ended_reason"), ("to_number", "status"),
    ("from_number",), ("to_number",), (_FAILED,), ("assistant_id",), ("ended_reason",), ("status",), (),
)  # fmt: skip
"""Fields of a row that have a key together. Of several that fit a list, the first is taken: the narrowest."""
_BEYOND: Final = ":"
"""Sorts after every position: these begin with digits."""


def _name(covered: tuple[str, ...]) -> str:
    return "_and_".join(path.partition(".")[0] for path in covered) or "all"


KEYS: Final = tuple(_name(covered) for covered in _COVERED)
"""Names of the keys of a row; each has an index."""


@dataclass(frozen=True, slots=True)
class Question:
    """Rows whose `key` is at least `low` and below `high`, the greatest first; of these the ones with `also`."""

    key: str
    low: str
    high: str
    also: Mapping[str, Any] = field(default_factory=dict)

    def admits(self, row: Row) -> bool:
        """Whether a row of the range is wanted."""
        return all(value_at(row, path) == value for path, value in self.also.items())


def keys_of(organization_id: str, row: Row) -> dict[str, str]:
    """The keys of a call, by name; none while its beginning is not known."""
    if "order" not in row:
        return {}
    found = {}
    for covered in _COVERED:
        values = [value_at(row, path) for path in covered]
        if None not in values:
            found[_name(covered)] = _prefix(organization_id, covered, values) + row["order"]
    return found


def questions(organization_id: str, wanted: ListCalls, before: str | None) -> list[Question]:
    """What to ask, all of it: a call is listed when any of them finds it. None, when no call can match."""
    if wanted.ended_reason is not None and wanted.status not in {None, CallStatus.ENDED}:
        return []
    numbers: list[dict[str, Any]] = [{}]
    if wanted.number is not None:
        numbers = [{"from_number": wanted.number}, {"to_number": wanted.number}]
    return [_question(organization_id, wanted, before, {**number, **dict(_values(wanted))}) for number in numbers]


def _values(wanted: ListCalls) -> Iterator[tuple[str, Any]]:
    """What the fields of a row must be, by path."""
    if wanted.assistant_id is not None:
        yield "assistant_id", wanted.assistant_id
    if wanted.ended_reason is not None:
        yield "ended_reason", wanted.ended_reason.value
    elif wanted.status is not None:
        yield "status", STATUSES.index(wanted.status)
    if wanted.problem is not None:
        yield _FAILED, 1
        yield f"failed.{wanted.problem.removeprefix(TOOL_PREFIX)}", 1
        if wanted.problem.startswith(TOOL_PREFIX):
            yield f"failed.{Stage.TOOL}", 1


def _question(organization_id: str, wanted: ListCalls, before: str | None, values: Row) -> Question:
    covered = next(paths for paths in _COVERED if values.keys() >= set(paths))
    prefix = _prefix(organization_id, covered, [values[path] for path in covered])
    low = "" if wanted.since is None else position(wanted.since, "")
    until = _BEYOND if wanted.until is None else position(wanted.until, "")
    return Question(
        key=_name(covered),
        low=prefix + low,
        high=prefix + min(until, before or _BEYOND),
        also={path: value for path, value in values.items() if path not in covered},
    )


def _prefix(organization_id: str, covered: tuple[str, ...], values: list[Any]) -> str:
    """Hashed, because numbers and ids may hold any character; the letter keeps it from looking like a date."""
    text = "\x1f".join((organization_id, *covered, *map(str, values)))
    return f"k{hashlib.sha256(text.encode()).hexdigest()[:24]}|"


def value_at(row: Row, path: str) -> Any:
    """What a row holds at a path such as `failed.any`; None when it holds nothing there."""
    outer, _, inner = path.partition(".")
    found = row.get(outer)
    return found if not inner else (found or {}).get(inner)

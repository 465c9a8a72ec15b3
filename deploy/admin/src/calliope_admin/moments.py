"""Moments as an operator writes them: a time from now, a time ago, or a date and time with its zone. Pure."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LONG: Final = ("h", "d", "w")


def from_now(text: str, now: datetime | None = None) -> datetime:
    """`90d` from now, or a moment with its zone. Raises: ArgumentTypeError, in words."""
    found = _written(text, now or datetime.now(UTC), 1, _LONG)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is neither a time from now, such as 90d, nor like 2030-01-31T12:00:00Z")
    return found


def ago(text: str, now: datetime | None = None) -> datetime:
    """`2h` before now, or a moment with its zone that is over. Raises: ArgumentTypeError, in words."""
    now = now or datetime.now(UTC)
    found = _written(text, now, -1, tuple(_UNITS))
    if found is None:
        raise ArgumentTypeError(
            f"{text!r} is neither how long ago, such as 30m, 2h or 3d, nor like 2030-01-31T12:00:00Z"
        )
    if found > now:
        raise ArgumentTypeError(f"{text!r} is still to come: give a moment that is over, or how long ago, such as 2h")
    return found


def _written(text: str, now: datetime, direction: int, units: tuple[str, ...]) -> datetime | None:
    unit = _UNITS[text[-1:]] if text[-1:] in units else None
    try:
        if unit is not None and text[:-1].isascii() and text[:-1].isdigit():
            return now + direction * int(text[:-1]) * unit
        found = datetime.fromisoformat(text)
        found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return None if found.tzinfo is None else found


def age(seconds: float) -> str:
    """How long something lasts or lasted, in its largest unit: `40 s`, `3 min`, `5 h`, `2 days`."""
    for size, name in ((86_400, "day"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if name == 'day' and count > 1 else ''}"
    return f"{max(0, int(seconds))} s"

"""Lists, page by page: where an entry stands, the cursor that says so in a URL, how much fits one answer. Pure."""

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from pydantic import BaseModel

from calliope.errors import wrong_cursor

MAX_PAGE_BYTES: Final = 220_000
"""An answer on the bus is at most 256 KiB; one entry alone always fits."""
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_POSITION: Final = re.compile(r"\d{16}\|[A-Za-z0-9_+-]{1,128}")

MessageT = TypeVar("MessageT", bound=BaseModel)


def position(moment: datetime, id_: str) -> str:
    """Text that sorts by moment, then by id: no two entries share one.

    Microseconds since 1970, because a compatible store compares text that begins like a date as a date.
    """
    return f"{(moment - _EPOCH) // _MICROSECOND:016d}|{id_}"


def cursor_of(position: str) -> str:
    """Only characters that a URL takes as they are."""
    return base64.urlsafe_b64encode(position.encode()).decode().rstrip("=")


def position_of(cursor: str | None, *, form: re.Pattern[str] = _POSITION) -> str | None:
    """Raises: CommandError `invalid`, when the cursor was not made by `cursor_of`."""
    if cursor is None:
        return None
    try:
        found = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as exc:
        raise wrong_cursor() from exc
    if not form.fullmatch(found):
        raise wrong_cursor()
    return found


def fitting(messages: Iterable[MessageT], budget_bytes: int, *, at_least: int = 1) -> tuple[list[MessageT], int]:
    """As many from the front as fit, but at least so many, and their size."""
    size = 0
    shown: list[MessageT] = []
    for message in messages:
        more = len(message.model_dump_json().encode()) + 1
        if len(shown) >= at_least and size + more > budget_bytes:
            break
        size += more
        shown.append(message)
    return shown, size

"""Variables of a document's texts: those that every call has, and what names a document may give to its own."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from calliope.contracts.document.types import Line

CALL_VARIABLES: Final = {
    "assistant.name": "the `name` of the assistant",
    "call.direction": "`inbound` or `outbound`",
    "call.id": "id of the call, as in its record and events",
    "called.number": "your number, through which the call goes",
    "caller.number": "number of the person on the line, also when the assistant called them; their address when they "
    "have no telephone number, `withheld` when they hide it",
    "date": "date on which the call began: `2026-01-31`",
    "now": "weekday, date and time at which the call began, for the model: `Saturday 2026-01-31 19:05`",
    "time": "time at which the call began: `19:05`",
    "time_zone": "the zone of these times: `Europe/Madrid`",
}
"""What a call fills in when it begins, and what that is; it stays the same to the end of the call."""
MAX_CALL_VARIABLE: Final = 100
"""Characters that one of these takes at most."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


def _named(variables: dict[str, str]) -> dict[str, str]:
    for name in variables:
        if name in CALL_VARIABLES:
            raise ValueError(f"{name!r} is filled in by each call; choose another name")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name[:64]!r} cannot be the name of a variable: it takes at most 64 letters, digits and . _ -, and "
                "begins with a letter, such as opening_hours"
            )
    return variables


Variables = Annotated[dict[str, Line], Field(max_length=100), AfterValidator(_named)]
"""A document's own variables: texts by name."""

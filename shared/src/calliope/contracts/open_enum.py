"""Enumerations that grow: a reader takes the values it knows as members, and any other as the text that was sent.

Who sends is often newer than who reads: during every deployment, and whenever an event is read again. A value that was
added since must not make a whole message unreadable. So fields that others write are open:

    reason: OpenEnum[EndReason]        # EndReason.IDLE, or "kidnapped"

What a client *sends* stays closed: a misspelt value is refused, with the ones that are taken. Compare with `==` or
`in`, and turn into text with `str`: members are text too.
"""

from enum import StrEnum
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import Field, StringConstraints

EnumT = TypeVar("EnumT")
StrEnumT = TypeVar("StrEnumT", bound=StrEnum)

MAX_VALUE: Final = 100
"""Characters of a value that is not known."""

_Unknown = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VALUE)]

OpenEnum: TypeAlias = Annotated[EnumT | _Unknown, Field(union_mode="left_to_right")]
"""One of the members, or a value that a newer sender knows."""


def known(enum: type[StrEnumT], value: str) -> StrEnumT | str:
    """The member of a value, or the value as it is."""
    return enum(value) if value in enum.__members__.values() else value

"""Kinds of values that clients send: strict numbers and booleans, and texts whose form is told in words.

A JSON body says `true`, not `"yes"`, and `3`, not `"3"`: a guess about what was meant could be wrong on a telephone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue


@dataclass(frozen=True, slots=True)
class Form:
    """What a text has to look like: `words` follow "must be", `example` is one that is taken.

    Refusals show these and never the pattern. The JSON Schema has the example too, unless it fits some places only.
    `meant` reads a wrong text as people write such things: a hint, or None where it could only guess.
    """

    words: str
    example: str
    in_schema: bool = True
    meant: Callable[[str], str | None] | None = None

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the example."""
        shown = handler(schema)
        if self.in_schema:
            shown.setdefault("examples", [self.example])
        return shown


Boolean = Annotated[bool, Strict()]
"""`true` or `false`; `"yes"`, `1` and `"true"` are refused."""

Integer = Annotated[int, Strict()]
"""A whole number; `"3"` and `true` are none. In a `Request` 3.0 is one, as in JSON."""

Number = Annotated[float, Strict()]
"""A number, whole or not; `"0.5"` and `true` are none."""

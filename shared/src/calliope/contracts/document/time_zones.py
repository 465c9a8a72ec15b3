"""Time zones of the IANA list: which names are taken, and which one a wrong name is nearest to."""

import difflib
from functools import cache
from importlib import resources
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from calliope.contracts.forms import Form

EXAMPLE: Final = "Europe/Madrid"
_NEAR: Final = 0.6


@cache
def names() -> frozenset[str]:
    """Every name of the list, as the package `tzdata` has it: the same on every machine."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def checked(name: str) -> str:
    """The name as it is. Raises: ValueError, in words and with the nearest known name."""
    if name in names():
        return name
    nearest = _nearest(name)
    said = f"did you mean {nearest}?" if nearest else f"take one such as {EXAMPLE}"
    raise ValueError(f"is not the name of a time zone in the IANA list; {said}")


def _nearest(name: str) -> str | None:
    """By the whole name or its city, whatever the case; of names alike the first in the alphabet."""
    wanted = name.strip().replace(" ", "_").casefold()
    by_whole = {known.casefold(): known for known in sorted(names(), reverse=True)}
    by_city = {known.rpartition("/")[2].casefold(): known for known in sorted(names(), reverse=True)}
    for table, asked in ((by_whole, wanted), (by_city, wanted), (by_city, wanted.rpartition("/")[2])):
        if asked in table:
            return table[asked]
    for table, asked in ((by_whole, wanted), (by_city, wanted.rpartition("/")[2])):
        if found := difflib.get_close_matches(asked, table, n=1, cutoff=_NEAR):
            return table[found[0]]
    return None


TimeZone = Annotated[
    str,
    StringConstraints(max_length=64),
    AfterValidator(checked),
    Form("the name of a time zone in the IANA list", EXAMPLE),
]
"""A zone such as `Europe/Madrid`, which knows its summer time; an offset such as `+02:00` does not."""

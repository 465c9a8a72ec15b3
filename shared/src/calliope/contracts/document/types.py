"""Kinds of text that several parts of the assistant document hold."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from calliope.contracts.forms import Form
from calliope.contracts.meant import url_meant

MASK: Final = "••••"
"""How a secret begins that a read shows; written back it keeps the stored one."""
MAX_PROMPT: Final = 32_000
MAX_LINE: Final = 2_000
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Line = Annotated[str, StringConstraints(max_length=MAX_LINE)]
Url = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s\x00-\x1f\x7f]+$", max_length=2_048),
    Form("a web address without blanks, of at most 2048 characters", "https://example.com/path", meant=url_meant),
]
Phrases = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...], Field(max_length=100)]
Scenarios = Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=500)], ...], Field(max_length=50)]

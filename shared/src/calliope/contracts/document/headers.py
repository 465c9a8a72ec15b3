"""Which headers a custom tool may have: every name that HTTP allows, except those that Calliope has to set itself."""

import re
from collections.abc import Mapping
from typing import Final

from pydantic import SecretStr

from calliope.contracts.document.types import MASK

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # a token of RFC 9110, section 5.6.2
_VALUE: Final = re.compile(r"[\x20-\x7e]{0,1000}")

OURS: Final[Mapping[str, str]] = {
    "host": "it follows from the url",
    "content-length": "it follows from what is sent",
    "content-type": "arguments are always sent as JSON",
    "idempotency-key": "Calliope sends one with every request, made from the call",
    "accept-encoding": "Calliope asks for what it can unpack",
    "cookie": "tools are asked without cookies; send what identifies you in a header of another name",
    "connection": "it is about the connection, which Calliope manages",
    "keep-alive": "it is about the connection, which Calliope manages",
    "proxy-connection": "it is about the connection, which Calliope manages",
    "transfer-encoding": "it is about the connection, which Calliope manages",
    "te": "it is about the connection, which Calliope manages",
    "trailer": "it is about the connection, which Calliope manages",
    "upgrade": "it is about the connection, which Calliope manages",
    "expect": "it is about the connection, which Calliope manages",
    "proxy-authorization": "tools are asked without a proxy",
}
"""Names that cannot be set, in lower case, and why."""


def plain_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Headers as they will be sent; a mask stands for a value that was judged before. Raises: ValueError."""
    names: dict[str, str] = {}
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name[:100]!r} is no name of a header: use 1 to 100 letters, digits, - and _, such as X-Practice"
            )
        if (why := OURS.get(name.lower())) is not None:
            raise ValueError(f"{name!r} cannot be set: {why}; leave it out")
        if (first := names.setdefault(name.lower(), name)) is not name:
            raise ValueError(f"{first!r} and {name!r} are the same header; keep one of them")
        if (why := value_problem(value.get_secret_value())) is not None:
            raise ValueError(f"the value of {name!r} {why}")
    return headers


def value_problem(value: str) -> str | None:
    """Why no header can carry this value, in words that do not repeat it; None for one that it can, and for a mask."""
    if value.startswith(MASK):
        return None
    if not _VALUE.fullmatch(value):
        return "must be printable ASCII of at most 1000 characters"
    return "begins or ends with a blank, which no header can carry" if value != value.strip() else None

"""What the emulators' plain HTTP answers have in common: armed faults act on them, and what does not exist."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from calliope_sandbox.vendors.host import GARBAGE, DroppedError, Host, Trouble, refused

MISSING: Final = ("no-such", "missing")
"""Models and voices whose name begins so exist at no vendor."""


async def answered(
    request: web.Request,
    host: Host,
    vendor: str,
    *,
    key: str,
    failed: Callable[[Trouble], web.Response],
    answer: Callable[[], web.Response],
) -> web.Response:
    """The answer, unless a fault that is armed before the first byte strikes; `failed` is the vendor's own error."""
    try:
        trouble = await refused(host, vendor, request, call="", key=key)
    except DroppedError:
        return web.Response(status=500)  # nobody reads it: the connection was reset
    if trouble is None:
        return answer()
    if trouble.action == "garbage":
        return web.Response(body=GARBAGE.encode(), content_type="application/json")
    return failed(trouble)

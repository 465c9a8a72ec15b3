"""How many requests are under way at once: a cap for each class, and slow bodies apart from the work.

A request holds one of its class's places while it is worked on. While its body is still on the way it holds none, only
one of those for waiting, of which one client has few: so slow bodies keep neither other clients nor other classes out.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

from aiohttp import web

from calliope.client_address import client_address, network_of
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError
from calliope.observability import metrics
from calliope_gateway.http.errors import Handler
from calliope_gateway.settings import LimitSettings

HOOKS_BEGIN: Final = "/telephony/"
_REFUSED: Final = metrics.counter(
    "calliope_requests_refused_total",
    "Requests refused because too many were under way: of their class (`class`), or with bodies on the way, in all "
    "(`bodies`) or of one client (`client_bodies`).",
    "class",
    "reason",
)


class RequestClass(StrEnum):
    """What shares a cap."""

    API = "api"
    HOOKS = "hooks"


class Places:
    """The places of one class."""

    def __init__(self, name: RequestClass, *, at_once: int, bodies: int, bodies_per_client: int) -> None:
        self._name = name
        self._at_once = at_once
        self._bodies = bodies
        self._bodies_per_client = bodies_per_client
        self._busy = 0
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def work(self) -> Iterator[None]:
        """A place for the work. Raises: CommandError `busy`."""
        if self._busy >= self._at_once:
            raise self._refused("class")
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    @contextmanager
    def body(self, client: str) -> Iterator[None]:
        """A place to wait for a body, in exchange for that of the work until the block ends.

        Raises: CommandError `busy`.
        """
        if self._waiting[client] >= self._bodies_per_client:
            raise self._refused("client_bodies")
        if self._waiting.total() >= self._bodies:
            raise self._refused("bodies")
        self._waiting[client] += 1
        self._busy -= 1
        try:
            yield
        finally:
            self._busy += 1
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]
        if self._busy > self._at_once:
            raise self._refused("class")

    def _refused(self, reason: str) -> CommandError:
        _REFUSED.labels(self._name, reason).inc()
        return CommandError(ErrorCode.BUSY, "too many requests under way", retry_after_s=1.0)


_PLACES: Final = web.RequestKey("places", Places)
_CLIENT: Final = web.RequestKey("client", str)


def admission(limits: LimitSettings) -> Any:
    """The middleware that gives every request its place, and notes whose it is."""
    per_client = limits.bodies_per_address
    places = {
        RequestClass.API: Places(
            RequestClass.API, at_once=limits.concurrency, bodies=limits.concurrency, bodies_per_client=per_client
        ),
        RequestClass.HOOKS: Places(
            RequestClass.HOOKS,
            at_once=limits.hook_concurrency,
            bodies=limits.hook_concurrency,
            bodies_per_client=per_client,
        ),
    }

    @web.middleware
    async def admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
        forwarded = ", ".join(request.headers.getall("X-Forwarded-For", [])) or None
        request[_CLIENT] = network_of(client_address(request.remote, forwarded, limits.trusted_proxies))
        ours = places[RequestClass.HOOKS if request.path.startswith(HOOKS_BEGIN) else RequestClass.API]
        request[_PLACES] = ours
        with ours.work():
            return await handler(request)

    return admitted


def client_of(request: web.Request) -> str:
    """Whom to count the request for: an address, or the network of an IPv6 client."""
    return request[_CLIENT]


@contextmanager
def waiting_for_body(request: web.Request) -> Iterator[None]:
    """Around reading a body: while it is on the way the request holds no place of the work. Raises: CommandError."""
    if request.content.is_eof():
        yield
        return
    with request[_PLACES].body(client_of(request)):
        yield

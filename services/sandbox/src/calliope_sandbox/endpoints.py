"""The sandbox's own endpoints, each with its use and an example; routes and the page at `/` are made of them."""

import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import orjson
from aiohttp import web

ASK: Final = "Vendors"
"""The group of examples that ask a vendor itself; such an example says the vendor's name."""
QUESTION: Final = "What are your opening hours?"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. `at`, `query`, `headers` and `body` make an example that works as it stands.

    Without a handler it is only listed: a vendor serves that path already. `streams`: the answer comes bit by bit.
    """

    group: str
    method: str
    path: str
    says: str
    handler: Handler | None = None
    at: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    streams: bool = False

    def address(self, base: str) -> str:
        """The URL of the example."""
        path = self.path
        for name, value in self.at.items():
            path = path.replace(f"{{{name}}}", quote(value, safe="+"))
        return f"{base}{path}{self.query}"

    def curl(self, base: str) -> str:
        """The example, to paste into a shell."""
        method = self.method if self.body is None or self.method != "POST" else ""
        words = [
            "curl",
            "-sN" if self.streams else "-s",
            *(["-X", method] if method not in {"", "GET"} else []),
            self.address(base),
        ]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        if self.body is not None:
            words += ["-d", orjson.dumps(self.body).decode()]
        return shlex.join(words)


ENDPOINTS: Final = web.AppKey("endpoints", list[Endpoint])


def serve(app: web.Application, *endpoints: Endpoint) -> None:
    """Route what has a handler, and list all of them on the page."""
    for endpoint in endpoints:
        if endpoint.handler is not None:
            app.router.add_route(endpoint.method, endpoint.path, endpoint.handler)
        app[ENDPOINTS].append(endpoint)

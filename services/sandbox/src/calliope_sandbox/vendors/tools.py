"""HTTP tools that assistants call: each answers as it was told and records what it was asked."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from calliope_sandbox.endpoints import Endpoint, serve
from calliope_sandbox.json_http import as_json
from calliope_sandbox.vendors.host import Host

MAX_TOOLS: Final = 1_000
LONGEST_DELAY_MS: Final = 60_000.0
_KNOWN: Final = frozenset({"status", "delay_ms", "body"})


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """How a tool answers; a body that is no text is sent as JSON."""

    status: int = 200
    delay_ms: float = 0.0
    body: Any = "done"

    def response(self) -> web.Response:
        """As sent."""
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body)
        return as_json(self.body, self.status)


class Tools:
    """All tools of one sandbox. What they were asked is under /sandbox/records/tools?name=…"""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._answers: dict[str, ToolAnswer] = {}

    async def put(self, request: web.Request) -> web.Response:
        """PUT /sandbox/tools/{name}: {status, delay_ms, body}."""
        name = request.match_info["name"]
        try:
            self._answers[name] = _answer(orjson.loads(await request.read()))
        except (ValueError, TypeError) as exc:
            return as_json({"error": str(exc)}, 400)
        while len(self._answers) > MAX_TOOLS:
            self._answers.pop(next(iter(self._answers)))
        return as_json({"name": name, "url": f"{request.url.origin()}/tools/{name}"})

    async def call(self, request: web.Request) -> web.Response:
        """GET or POST /tools/{name}."""
        name = request.match_info["name"]
        entry = {
            "name": name,
            "method": request.method,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "query": dict(request.query),
            "body": _parsed(await request.read()),
            "at_monotonic_s": time.monotonic(),
            "answered": False,
        }
        self._host.record("tools", entry)
        answer = self._answers.get(name, ToolAnswer())
        await asyncio.sleep(answer.delay_ms / 1_000)
        entry["answered"] = True
        return answer.response()


def _answer(document: Any) -> ToolAnswer:
    """Raises: ValueError, TypeError."""
    if not isinstance(document, Mapping) or set(document) - _KNOWN:
        raise ValueError(f"an object with {', '.join(sorted(_KNOWN))} is needed")
    answer = ToolAnswer(**document)
    if not (200 <= int(answer.status) <= 599 and 0 <= float(answer.delay_ms) <= LONGEST_DELAY_MS):
        raise ValueError(f"status is from 200 to 599, delay_ms from 0 to {LONGEST_DELAY_MS:g}")
    return answer


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")


def mount(app: web.Application, host: Host) -> None:
    """Serve tools under /tools, their switches under /sandbox/tools."""
    tools = Tools(host)
    group, weather = "HTTP tools that assistants call", {"name": "weather"}
    serve(
        app,
        Endpoint(group, "PUT", "/sandbox/tools/{name}", "How a tool answers, and after how many milliseconds.",
                 tools.put, at=weather, body={"status": 200, "delay_ms": 100, "body": {"degrees": 21}}),
        Endpoint(group, "POST", "/tools/{name}", "The tool itself: the url of a custom tool.", tools.call,
                 at=weather, body={"city": "Bern"}),
        Endpoint(group, "GET", "/tools/{name}", "The same, for tools that are asked by GET.", tools.call,
                 at=weather, query="?city=Bern"),
    )  # fmt: skip

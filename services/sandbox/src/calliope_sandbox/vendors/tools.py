"""HTTP tools that assistants call: each answers as it was told and records what it was asked."""

import asyncio
import base64
import gzip
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

import orjson
from aiohttp import web

from calliope_sandbox.endpoints import Endpoint, serve
from calliope_sandbox.json_http import as_json
from calliope_sandbox.vendors.host import Host

MAX_TOOLS: Final = 1_000
LONGEST_DELAY_MS: Final = 60_000.0
_KNOWN: Final = frozenset({"status", "delay_ms", "body", "body_base64", "headers", "pack", "charset"})
_PACKED: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw deflate": lambda data: zlib.compress(data, wbits=-zlib.MAX_WBITS),
    "broken gzip": lambda data: gzip.compress(data)[: max(12, len(data) // 4)],
    "br": lambda data: data,
}
"""`Content-Encoding` is the last word. None asks whether the client takes it, as servers behind some proxies do not."""


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """How a tool answers; a body that is no text is sent as JSON, `body_base64` as the bytes it stands for.

    `pack` sends it packed, `charset` in another encoding than UTF-8; `headers` are added.
    """

    status: int = 200
    delay_ms: float = 0.0
    body: Any = "done"
    body_base64: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pack: str | None = None
    charset: str = "utf-8"

    def response(self) -> web.Response:
        """As sent."""
        text = isinstance(self.body, str)
        content_type = f"{'text/plain' if text else 'application/json'}; charset={self.charset}"
        if self.body_base64 is not None:
            data, content_type = base64.b64decode(self.body_base64, validate=True), "application/octet-stream"
        else:
            data = (self.body if text else orjson.dumps(self.body).decode()).encode(self.charset)
        packed = {} if self.pack is None else {"Content-Encoding": self.pack.split()[-1]}
        if self.pack is not None:
            data = _PACKED[self.pack](data)
        return web.Response(
            status=self.status, body=data, headers={"Content-Type": content_type, **packed, **self.headers}
        )


class Tools:
    """All tools of one sandbox. What they were asked is under /sandbox/records/tools?name=…"""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._answers: dict[str, ToolAnswer] = {}

    async def put(self, request: web.Request) -> web.Response:
        """PUT /sandbox/tools/{name}: {status, delay_ms, body, body_base64, headers, pack, charset}."""
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
        random = self._host.sloppiness.draw("tools", name)
        if random is not None and (kind := self._host.sloppiness.wanted(SLOPPY, random)) is not None:
            entry["sloppy"] = kind
            answer = SLOPPY[kind](answer, random)
        await asyncio.sleep(answer.delay_ms / 1_000)
        entry["answered"] = True
        return answer.response()


def _not_json(answer: ToolAnswer, random: Random) -> ToolAnswer:
    """Text that is called JSON, or JSON that was cut."""
    text = answer.body if isinstance(answer.body, str) else orjson.dumps(answer.body).decode()
    written = random.choice((text + "\n-- \nok", text[: max(1, len(text) - 1)], f"<html><body>{text}</body></html>"))
    return replace(answer, body=written, headers={"Content-Type": "application/json", **answer.headers})


SLOPPY: Final[Mapping[str, Callable[[ToolAnswer, Random], ToolAnswer]]] = {
    "packed_answer": lambda answer, random: replace(answer, pack=random.choice(("gzip", "deflate", "raw deflate"))),
    "odd_charset": lambda answer, random: replace(answer, charset=random.choice(("utf-16", "utf-8-sig"))),
    "not_json": _not_json,
}
"""How the answers of real tools are sloppy; all of them tell that the tool did its work."""


def _answer(document: Any) -> ToolAnswer:
    """Raises: ValueError, TypeError."""
    if not isinstance(document, Mapping) or set(document) - _KNOWN:
        raise ValueError(f"an object with {', '.join(sorted(_KNOWN))} is needed")
    answer = ToolAnswer(**document)
    if not (200 <= int(answer.status) <= 599 and 0 <= float(answer.delay_ms) <= LONGEST_DELAY_MS):
        raise ValueError(f"status is from 200 to 599, delay_ms from 0 to {LONGEST_DELAY_MS:g}")
    if answer.pack is not None and answer.pack not in _PACKED:
        raise ValueError(f"pack is one of {', '.join(_PACKED)}")
    try:
        answer.response()
    except LookupError as exc:
        raise ValueError(f"charset: {exc}") from exc
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

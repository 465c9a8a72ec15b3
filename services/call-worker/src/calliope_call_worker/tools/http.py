"""Custom tools: one HTTP request through the egress guard, its answer as text for the model."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

from calliope.contracts.document.tools import CustomTool, HttpMethod
from calliope.egress import is_blocked

MAX_RESULT_BYTES: Final = 8 * 1024


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What the model is told."""

    ok: bool
    text: str


class HttpTools:
    """Runs custom tools. The session is the guarded one; URLs of assistants go nowhere else."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def run(self, tool: CustomTool, arguments: dict[str, Any], *, idempotency_key: str) -> ToolAnswer:
        """One request, never repeated; a failure is an answer too, so that the model can say something."""
        headers = {**tool.headers, "Idempotency-Key": idempotency_key, "Accept": "application/json, text/plain"}
        if tool.auth_token is not None:
            headers["Authorization"] = f"Bearer {tool.auth_token.get_secret_value()}"
        sent: dict[str, Any] = {"params": _query(arguments)}
        if tool.method is not HttpMethod.GET:
            sent = {"data": orjson.dumps(arguments)}
            headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(tool.timeout_s),
                self._session.request(
                    tool.method.value, tool.url, headers=headers, allow_redirects=False, **sent
                ) as response,
            ):
                body = await _read(response, MAX_RESULT_BYTES)
        except TimeoutError:
            return ToolAnswer(ok=False, text=f"the tool did not answer within {tool.timeout_s:g} seconds")
        except (aiohttp.ClientError, OSError) as exc:
            blocked = "its address is not allowed" if is_blocked(exc) else "it could not be reached"
            return ToolAnswer(ok=False, text=f"the tool failed: {blocked}")
        text = body.decode("utf-8", "replace")
        if 200 <= response.status < 300:
            return ToolAnswer(ok=True, text=text or "done")
        return ToolAnswer(ok=False, text=f"the tool answered with status {response.status}: {text[:500]}")


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    received = bytearray()
    while len(received) < limit and (chunk := await response.content.read(limit - len(received))):
        received += chunk
    return bytes(received)


def _query(arguments: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in arguments.items()
    }

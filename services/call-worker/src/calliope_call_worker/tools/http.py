"""Custom tools: one HTTP request through the egress guard, its answer as text for the model."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson

from calliope.bodies import Body, BodyError, read_body, text_of
from calliope.contracts.document.tools import CustomTool, HttpMethod
from calliope.egress import is_blocked
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.tools.excerpt import excerpt

MAX_RESULT_BYTES: Final = 8 * 1024
MAX_COUNTED_BYTES: Final = 64 * 1024
"""How far a longer answer is read, so that the model can be told how much of it is missing."""
MAX_REFUSAL_BYTES: Final = 500
_JSON: Final = ("/json", "+json")


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What the model is told; `problem` is what the developer is told, when there is something to look into."""

    ok: bool
    text: str
    problem: ProviderError | None = None


class HttpTools:
    """Runs custom tools. The session is the guarded one; URLs of assistants go nowhere else."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def run(self, tool: CustomTool, arguments: dict[str, Any], *, idempotency_key: str) -> ToolAnswer:
        """One request, never repeated; a failure is an answer too, so that the model can say something."""
        headers = {name: value.get_secret_value() for name, value in tool.headers.items()}
        headers["Idempotency-Key"] = idempotency_key
        if "accept" not in map(str.lower, tool.headers):
            headers["Accept"] = "application/json, text/plain"
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
                return await self._answer(tool.name, response)
        except TimeoutError:
            problem = ProviderError(tool.name, Failure.DEADLINE, f"no answer within {tool.timeout_s:g} s")
            return ToolAnswer(False, f"the tool did not answer within {tool.timeout_s:g} seconds", problem)
        except (aiohttp.ClientError, OSError) as exc:
            blocked = "its address is not allowed" if is_blocked(exc) else "it could not be reached"
            return ToolAnswer(False, f"the tool failed: {blocked}", _unreachable(tool.name, exc))

    async def _answer(self, tool: str, response: aiohttp.ClientResponse) -> ToolAnswer:
        """What is told of an answer. Raises: as reading it does."""
        done = 200 <= response.status < 300
        problem = None if done else _refused(tool, response.status)
        keep = MAX_RESULT_BYTES if done else MAX_REFUSAL_BYTES
        try:
            body = await read_body(response, self._session, keep=keep, count=MAX_COUNTED_BYTES)
            text = text_of(body, response.content_type if "Content-Type" in response.headers else "", response.charset)
        except BodyError as exc:
            words = f"answered with status {response.status}; the answer {exc}"
            return ToolAnswer(done, f"the tool {words}", problem or ProviderError(tool, Failure.MALFORMED, words))
        text = excerpt(text, body, may_be_json=response.content_type.endswith(_JSON) or text[:1] in {"{", "["})
        if problem is not None:
            return ToolAnswer(False, f"the tool answered with status {response.status}: {text}", problem)
        return ToolAnswer(True, text or "done", _malformed(tool, response, body, text))


def _unreachable(tool: str, exc: BaseException) -> ProviderError:
    """Texts of aiohttp are left out: they may hold a URL with its query."""
    if is_blocked(exc):
        return ProviderError(tool, Failure.REFUSED, "its address is not public, so it is not asked")
    match exc:
        case aiohttp.InvalidURL():
            return ProviderError(tool, Failure.REFUSED, "its URL is not valid")
        case aiohttp.ClientConnectorDNSError():
            words = "the name in its URL is not known (DNS)"
        case aiohttp.ClientConnectorCertificateError():
            words = "its TLS certificate is not valid"
        case aiohttp.ClientConnectorSSLError():
            words = "no TLS connection could be made"
        case aiohttp.ClientConnectorError():
            words = "no connection could be made: nothing listens at its address, or a firewall is in between"
        case _:
            words = "the connection broke off before the answer was there"
    return ProviderError(tool, Failure.DROPPED, words)


def _refused(tool: str, status: int) -> ProviderError:
    redirected = "; redirects are not followed" if 300 <= status < 400 else ""
    return ProviderError(tool, failure_of_status(status), f"answered with status {status}{redirected}")


def _malformed(tool: str, response: aiohttp.ClientResponse, body: Body, text: str) -> ProviderError | None:
    """A success whose body is not what its headers say. The model is told the text all the same."""
    if not text or body.cut or not response.content_type.endswith(_JSON):
        return None
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        words = f"answered with status {response.status} and a body that is not JSON, though its Content-Type says so"
        return ProviderError(tool, Failure.MALFORMED, words)
    return None


def _query(arguments: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in arguments.items()
    }

"""Reading requests: bodies with a size, a depth and a deadline, queries, and the headers that guard writes."""

import asyncio
import codecs
import re
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from calliope import json_names
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.errors import CommandError
from calliope.validation.hints import query_hint
from calliope.validation.problems import MOST_PROBLEMS, field_problems
from calliope_gateway.http.admission import waiting_for_body
from calliope_gateway.http.errors import BadRequestError

ModelT = TypeVar("ModelT", bound=BaseModel)

MAX_DEPTH: Final = 32
_REVISION: Final = re.compile(r"[0-9]{1,18}")
_SHOWN_NAME: Final = 100
_SMALL_BYTES: Final = 16 * 1024
_OBJECT: Final = '{"name": "Reception"}'
_IDEMPOTENCY_KEY: Final = (
    "the header Idempotency-Key must be 1 to 255 printable ASCII characters, such as order-17-try-1"
)


async def read_body(request: web.Request, *, limit: int, timeout_s: float) -> bytes:
    """The whole body. Raises: BadRequestError: too large, broken, or it did not arrive in time; CommandError `busy`."""
    if request.content_length is not None and request.content_length > limit:
        raise BadRequestError(413, f"the body is larger than {limit} bytes", ErrorCode.TOO_LARGE)
    received = bytearray()
    try:
        with waiting_for_body(request):
            async with asyncio.timeout(timeout_s):
                async for chunk in request.content.iter_any():
                    received += chunk
                    if len(received) > limit:
                        raise BadRequestError(413, f"the body is larger than {limit} bytes", ErrorCode.TOO_LARGE)
    except TimeoutError as exc:
        raise BadRequestError(408, f"the body did not arrive within {timeout_s:g} s") from exc
    except (web.RequestPayloadError, ConnectionResetError) as exc:
        raise BadRequestError(400, "the body broke off, or is not encoded as its headers say") from exc
    return bytes(received)


async def read_object(request: web.Request, *, limit: int, timeout_s: float) -> dict[str, Any]:
    """A JSON object. Raises: BadRequestError."""
    if request.content_type not in {"application/json", "application/merge-patch+json"}:
        raise BadRequestError(415, "send a JSON object with the header Content-Type: application/json")
    body = (await read_body(request, limit=limit, timeout_s=timeout_s)).removeprefix(codecs.BOM_UTF8)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise BadRequestError(400, _not_json(body, exc)) from exc
    if not isinstance(document, dict):
        raise BadRequestError(400, f"the body must be a JSON object, such as {_OBJECT}")
    if _deeper_than(document, MAX_DEPTH):
        raise BadRequestError(400, f"the body is nested deeper than {MAX_DEPTH} levels")
    if (repeated := await _repeated_name(body)) is not None:
        raise BadRequestError(
            400, f"the body has {repeated[:_SHOWN_NAME]!r} more than once in one object; send it once"
        )
    return document


async def _repeated_name(body: bytes) -> str | None:
    """A name of which the parser kept one value and dropped the others. Large bodies do not hold the loop up."""
    return _find_repeated(body) if len(body) < _SMALL_BYTES else await asyncio.to_thread(_find_repeated, body)


def _find_repeated(body: bytes) -> str | None:
    try:
        json_names.loads(body)
    except json_names.RepeatedNameError as exc:
        return exc.name
    return None


def _not_json(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return f"the body is empty; send a JSON object, such as {_OBJECT}"
    where = f"at line {error.lineno}, column {error.colno}"
    return f"the body is not JSON in UTF-8 {where}; send a JSON object, such as {_OBJECT}"


def _deeper_than(node: Any, levels: int) -> bool:
    layer = [node]
    for _ in range(levels):
        layer = [
            child
            for item in layer
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        ]
        if not layer:
            return False
    return True


def read_query(request: web.Request, model: type[ModelT]) -> ModelT:
    """Query parameters; unknown and repeated ones are refused. Raises: CommandError `invalid`."""
    unknown = sorted(set(request.query) - set(model.model_fields))
    if unknown:
        known = tuple(model.model_fields)
        fields = [
            FieldProblem(path=name[:_SHOWN_NAME], message="unknown parameter", hint=query_hint(name, known))
            for name in unknown[:MOST_PROBLEMS]
        ]
        raise CommandError(ErrorCode.INVALID, "the query has unknown parameters", fields=fields)
    repeated = [name for name in model.model_fields if len(request.query.getall(name, ())) > 1]
    if repeated:
        fields = [FieldProblem(path=name, message="stands there more than once; send it once") for name in repeated]
        raise CommandError(ErrorCode.INVALID, "the query has repeated parameters", fields=fields)
    return build(model, "the query is wrong", **request.query)


def build(model: type[ModelT], refusal: str = "the path is wrong", /, **parts: Any) -> ModelT:
    """A model from parts of a request. Raises: CommandError `invalid`, naming the parts to blame."""
    try:
        return model.model_validate(parts)
    except ValidationError as exc:
        raise CommandError(ErrorCode.INVALID, refusal, fields=field_problems(exc, model)) from exc


def read_revision(request: web.Request) -> int | None:
    """The revision of `If-Match: "7"`, or None without one. Raises: BadRequestError."""
    header = request.headers.get("If-Match")
    if header is None or header.strip() == "*":
        return None
    text = header.strip().removeprefix("W/").strip('"')
    if not _REVISION.fullmatch(text):
        raise BadRequestError(
            400, 'the header If-Match must be the ETag that was read, such as "7" with its quotes, or *'
        )
    return int(text)


def read_idempotency_key(request: web.Request) -> str | None:
    """The client's `Idempotency-Key`. Raises: BadRequestError."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise BadRequestError(400, _IDEMPOTENCY_KEY)
    return key


def read_bearer(request: web.Request) -> str:
    """The API key of `Authorization: Bearer …`. Raises: CommandError `unauthorized`."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise CommandError(ErrorCode.UNAUTHORIZED, "send your API key as `Authorization: Bearer cal_live_…`")
    return key.strip()

"""Errors as `application/problem+json` (RFC 9457): a stable `code`, words for a person, the fields to blame."""

import difflib
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
import structlog
from aiohttp import web

from calliope.contracts.errors import ErrorCode, Problem
from calliope.errors import CommandError

log = structlog.get_logger(__name__)

STATUS: Final[dict[str, int]] = {
    ErrorCode.INVALID: 422,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.PRECONDITION_FAILED: 412,
    ErrorCode.PRECONDITION_REQUIRED: 428,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.IDEMPOTENCY_MISMATCH: 422,
    ErrorCode.IN_PROGRESS: 409,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.BUSY: 503,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.TIMEOUT: 504,
    ErrorCode.INTERNAL: 500,
}
UNKNOWN_STATUS: Final = 500
"""Of a code that a newer service sent; its words are shown as they are."""
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    422: "Unprocessable Content",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

_INSTEAD: Final = {
    ("POST", "/api/v1/calls"): "calls are not placed over the API yet; they are answered where a number is called",
    ("POST", "/api/v1/phone-numbers"): "assign a number with PUT /api/v1/phone-numbers/{number}",
    ("PUT", "/api/v1/phone-numbers"): "assign a number with PUT /api/v1/phone-numbers/{number}",
}
"""What to do instead of a request that other systems take."""
_SIMILAR: Final = 0.7
_LONGEST_PATH: Final = 200

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BadRequestError(Exception):
    """The HTTP request itself is wrong; `status` is 400, 408, 413 or 415."""

    def __init__(self, status: int, message: str, code: ErrorCode = ErrorCode.INVALID) -> None:
        super().__init__(message)
        self.status = status
        self.problem = Problem(code=code, message=message)


def problem_response(problem: Problem, status: int, *, instance: str) -> web.Response:
    """One problem document."""
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "code": str(problem.code),
        "detail": problem.message,
        "instance": instance,
    }
    if problem.fields:
        body["errors"] = [field.model_dump(exclude_none=True) for field in problem.fields]
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="calliope"'
    return web.Response(
        body=orjson.dumps(body), status=status, content_type="application/problem+json", headers=headers
    )


def malformed(status: int, detail: str) -> web.Response:
    """The problem document of what was no HTTP request; it has no path to name."""
    code = ErrorCode.TOO_LARGE if status == 431 else ErrorCode.INTERNAL if status >= 500 else ErrorCode.INVALID
    return problem_response(Problem(code=code, message=detail), status, instance="/")


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every error into a problem document; a bug is logged whole and told as nothing but `internal`."""
    try:
        return await handler(request)
    except CommandError as exc:
        return problem_response(exc.problem, STATUS.get(exc.code, UNKNOWN_STATUS), instance=request.path)
    except BadRequestError as exc:
        return problem_response(exc.problem, exc.status, instance=request.path)
    except web.HTTPRequestEntityTooLarge:
        problem = Problem(code=ErrorCode.TOO_LARGE, message="the body is too large")
        return problem_response(problem, 413, instance=request.path)
    except web.HTTPMethodNotAllowed as exc:
        allowed = ", ".join(sorted(exc.allowed_methods))
        problem = Problem(code=ErrorCode.INVALID, message=_other_method(request, allowed))
        response = problem_response(problem, 405, instance=request.path)
        response.headers["Allow"] = allowed
        return response
    except web.HTTPNotFound:
        problem = Problem(code=ErrorCode.NOT_FOUND, message=_other_path(request))
        return problem_response(problem, 404, instance=request.path)
    except web.HTTPException:
        raise
    except Exception:
        log.exception("request.failed", method=request.method, route=route_of(request))
        problem = Problem(code=ErrorCode.INTERNAL, message="something went wrong here; it was logged")
        return problem_response(problem, 500, instance=request.path)


def _other_method(request: web.Request, allowed: str) -> str:
    said = _INSTEAD.get((request.method, request.path.rstrip("/")))
    return f"{said}; here use one of {allowed}" if said else f"use one of {allowed}"


def _other_path(request: web.Request) -> str:
    """The nearest path that there is; of the asked one, only how much it resembles is used."""
    known = {each.canonical for each in request.app.router.resources() if each.canonical.startswith("/")}
    nearest = difflib.get_close_matches(request.path[:_LONGEST_PATH], sorted(known), n=1, cutoff=_SIMILAR)
    return f"no such path; {f'did you mean {nearest[0]}? ' if nearest else ''}/docs shows every path"


def route_of(request: web.Request) -> str:
    """The path pattern, never its ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"

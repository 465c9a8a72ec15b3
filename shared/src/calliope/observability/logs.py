"""Logs: structlog, one JSON object a line in containers, readable on a console; secrets and numbers never appear.

logs.configure(settings.log, service="webhooks")
log = structlog.get_logger()
with logs.bound(call_id=call_id):
    log.info("call.answered", duration_ms=12)     # dotted past tense; facts are keys with units
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import orjson
import structlog
from opentelemetry import trace
from structlog.types import EventDict, Processor, WrappedLogger

from calliope.settings import LogSettings

REDACTED: Final = "[redacted]"
_PRIVATE: Final = (
    "api_key", "apikey", "auth_token", "token", "secret", "password", "authorization", "private_key", "signature",
    "cookie", "credential",
    "from_number", "to_number", "transcript", "user_text", "heard_text", "generated_text", "headers",
)  # fmt: skip
_MAX_DEPTH: Final = 4


def configure(settings: LogSettings, *, service: str) -> None:
    """Set up logging for this process, the standard library's included."""
    level = logging.getLevelNamesMapping().get(settings.level.upper(), logging.INFO)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _with_service(service),
        with_trace_id,
        redact,
    ]
    finish: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if settings.format == "console"
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]
    )
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)


def bound(**facts: str | int | None) -> AbstractContextManager[None]:
    """Every line inside the block carries these ids."""
    return structlog.contextvars.bound_contextvars(**facts)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank what must not be logged, by the key it stands under, however deep."""
    for key in event:
        event[key] = _redacted(key, event[key], _MAX_DEPTH)
    return event


def with_trace_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Join lines to traces."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid and "trace_id" not in event:
        event["trace_id"] = trace.format_trace_id(current.trace_id)
    return event


def _redacted(key: str, value: Any, depth: int) -> Any:
    name = key.lower()
    if value is None or isinstance(value, int | float):  # a count of tokens is no token
        return value
    if any(part in name for part in _PRIVATE):
        return REDACTED
    if isinstance(value, Mapping):
        return {k: _redacted(str(k), v, depth - 1) for k, v in value.items()} if depth else REDACTED
    if isinstance(value, list | tuple):
        return [_redacted("", item, depth - 1) for item in value] if depth else REDACTED
    return value


def _with_service(service: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return add


def _to_json(event: Any, default: Any, **_: Any) -> str:
    return orjson.dumps(event, default=default, option=orjson.OPT_NON_STR_KEYS).decode()

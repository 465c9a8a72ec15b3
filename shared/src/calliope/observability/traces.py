"""Traces: spans inside the process, W3C `traceparent` between processes; exported only when an endpoint is set.

with traces.exporting(settings.trace, service="webhooks"): ...   # the process; its last spans go out at the end
with traces.span("delivery.attempt", parent=event.traceparent, attempt=3): ...
headers = traces.inject({})                       # NATS or HTTP headers
event = Event(..., traceparent=traces.current_traceparent())
"""

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final, TypeVar
from urllib.parse import urlsplit

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from calliope.settings import TraceSettings

TRACEPARENT: Final = "traceparent"
EXPORT_S: Final = 5.0
"""Patience with the collector for one batch, in a thread of its own."""
LAST_SPANS_S: Final = 2.0
"""How long the end of the process waits for its last spans to go out."""
_TRACES_PATH: Final = "/v1/traces"

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACER: Final = trace.get_tracer("calliope")

HeadersT = TypeVar("HeadersT", bound=MutableMapping[str, str])


@contextmanager
def exporting(settings: TraceSettings, *, service: str) -> Iterator[None]:
    """Set up tracing for this process while the block lasts. A collector that is away delays neither end of it:
    spans wait in a bounded queue, and the last ones get `LAST_SPANS_S`.
    """
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"calliope-{service}"}),
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
    )
    if settings.otlp_endpoint is not None:
        exporter = OTLPSpanExporter(endpoint=_traces_url(settings.otlp_endpoint), timeout=EXPORT_S)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        # Waits for a slow collector far longer than a process may; its threads end with the process.
        ending = threading.Thread(target=provider.shutdown, name="traces.shutdown", daemon=True)
        ending.start()
        ending.join(LAST_SPANS_S)


def _traces_url(endpoint: str) -> str:
    """Where spans go: the path of OTLP over HTTP, unless the endpoint names one."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + _TRACES_PATH


def inject(headers: HeadersT) -> HeadersT:
    """Write the current trace context into headers, and return them."""
    _PROPAGATOR.inject(headers)
    return headers


def extract(headers: Mapping[str, str] | None) -> context.Context:
    """The context that headers speak of; an empty one when they do not."""
    return _PROPAGATOR.extract(headers or {}, context.Context())


def current_traceparent() -> str | None:
    """`traceparent` of the current span, for an envelope; None outside of any."""
    headers: dict[str, str] = {}
    return inject(headers).get(TRACEPARENT)


@contextmanager
def span(name: str, *, parent: str | None = None, **attributes: str | bool | float) -> Iterator[trace.Span]:
    """A span around the block, under `parent` (a `traceparent`) or else the current span."""
    where = extract({TRACEPARENT: parent}) if parent else None
    with _TRACER.start_as_current_span(name, context=where, attributes=attributes) as current:
        yield current

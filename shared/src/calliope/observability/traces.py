"""Traces: spans inside the process, W3C `traceparent` between processes; exported only when an endpoint is set.

provider = traces.configure(settings.trace, service="webhooks")
with traces.span("delivery.attempt", parent=event.traceparent, attempt=3): ...
headers = traces.inject({})                       # NATS or HTTP headers
event = Event(..., traceparent=traces.current_traceparent())
"""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Final, TypeVar

from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from calliope.settings import TraceSettings

TRACEPARENT: Final = "traceparent"

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_TRACER: Final = trace.get_tracer("calliope")

HeadersT = TypeVar("HeadersT", bound=MutableMapping[str, str])


def configure(settings: TraceSettings, *, service: str) -> TracerProvider:
    """Set up tracing for this process; call once, before anything starts.

    Raises: RuntimeError, when an endpoint is set and the OTLP exporter is not installed.
    """
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"calliope-{service}"}),
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
    )
    if settings.otlp_endpoint is not None:
        provider.add_span_processor(BatchSpanProcessor(_otlp_exporter(settings.otlp_endpoint)))
    trace.set_tracer_provider(provider)
    return provider


def _otlp_exporter(endpoint: str) -> SpanExporter:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # type: ignore[import-not-found,unused-ignore]
            OTLPSpanExporter,
        )
    except ImportError as exc:
        raise RuntimeError("CALLIOPE_TRACE__OTLP_ENDPOINT needs opentelemetry-exporter-otlp-proto-http") from exc
    exporter: SpanExporter = OTLPSpanExporter(endpoint=endpoint)
    return exporter


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

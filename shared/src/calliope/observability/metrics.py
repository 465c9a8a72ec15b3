"""The process's metrics: one registry, helpers that declare a metric once, and the text page.

    CALLS = metrics.counter("calliope_calls_total", "Calls that ended.", "reason")
    CALLS.labels("caller_hung_up").inc()

Label values are patterns and codes, never ids.
"""

from collections.abc import Sequence
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody reads

REGISTRY: Final = CollectorRegistry()
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

FAST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Buckets for what a machine waits for."""


def counter(name: str, documentation: str, *labels: str, registry: CollectorRegistry = REGISTRY) -> Counter:
    """A number that only grows."""
    return Counter(name, documentation, labels, registry=registry)


def gauge(name: str, documentation: str, *labels: str, registry: CollectorRegistry = REGISTRY) -> Gauge:
    """A number as it is now."""
    return Gauge(name, documentation, labels, registry=registry)


def histogram(
    name: str,
    documentation: str,
    *labels: str,
    buckets: Sequence[float] = FAST_S,
    registry: CollectorRegistry = REGISTRY,
) -> Histogram:
    """A distribution, in seconds unless the name says otherwise."""
    return Histogram(name, documentation, labels, buckets=buckets, registry=registry)


def render(registry: CollectorRegistry = REGISTRY) -> bytes:
    """The page that Prometheus reads."""
    return generate_latest(registry)

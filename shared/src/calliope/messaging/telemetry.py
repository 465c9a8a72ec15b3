"""Spans and metrics per message, named by the subject's pattern: ids in labels would never stop growing."""

from collections.abc import Sequence
from typing import Any

from faststream.nats.opentelemetry.provider import NatsTelemetrySettingsProvider
from faststream.nats.prometheus.provider import NatsMetricsSettingsProvider
from faststream.opentelemetry.middleware import TelemetryMiddleware
from faststream.prometheus import ConsumeAttrs
from faststream.prometheus.middleware import PrometheusMiddleware
from nats.aio.msg import Msg

from calliope.contracts.subjects import pattern_of
from calliope.observability import metrics


class _MetricNames(NatsMetricsSettingsProvider):
    def get_consume_attrs_from_message(self, msg: Any) -> ConsumeAttrs:
        attributes = super().get_consume_attrs_from_message(msg)
        attributes["destination_name"] = pattern_of(attributes["destination_name"])
        return attributes

    def get_publish_destination_name_from_cmd(self, cmd: Any) -> str:
        return pattern_of(cmd.destination)


class _SpanNames(NatsTelemetrySettingsProvider):
    def get_consume_destination_name(self, msg: Any) -> str:
        return pattern_of(msg.raw_message.subject)

    def get_publish_destination_name(self, cmd: Any) -> str:
        return pattern_of(cmd.destination)


def bus_middlewares(service: str) -> tuple[Any, ...]:
    """Metrics outside, spans inside."""
    return (
        PrometheusMiddleware(
            settings_provider_factory=_for_messages(_MetricNames()),
            registry=metrics.REGISTRY,
            app_name=f"calliope-{service}",
            metrics_prefix="calliope_bus",
        ),
        TelemetryMiddleware(settings_provider_factory=_for_messages(_SpanNames())),
    )


def _for_messages(provider: Any) -> Any:
    """Key-value and object watches are no messages, and batches are not used."""

    def choose(msg: Any) -> Any:
        return provider if (msg is None or isinstance(msg, Msg)) and not isinstance(msg, Sequence) else None

    return choose

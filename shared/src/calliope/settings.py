"""Parts of settings that several services share; each service composes its own frozen `Settings` from them.

Everything is read from environment variables: prefix `CALLIOPE_`, parts separated by `__`
(`CALLIOPE_NATS__URL`). Defaults work against the local stack; production mode refuses what is only fit for a laptop.
"""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(StrEnum):
    """`production` refuses default secrets and loopback targets."""

    LOCAL = "local"
    PRODUCTION = "production"


class Part(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NatsSettings(Part):
    """How to reach the bus."""

    url: str = "nats://127.0.0.1:4222"
    user: str | None = None
    password: SecretStr | None = None
    connect_timeout_s: PositiveFloat = 5.0
    publish_timeout_s: PositiveFloat = 5.0
    replicas: PositiveInt = 1


class MongoSettings(Part):
    """How to reach the store."""

    url: SecretStr = SecretStr("mongodb://127.0.0.1:27017")
    database: str = "calliope"
    timeout_s: PositiveFloat = 4.0
    pool_size: PositiveInt = 64


class HttpSettings(Part):
    """Where this service answers HTTP: its API, or only health and metrics."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535)


class LogSettings(Part):
    """Logs: `json` for containers, `console` for people."""

    level: str = "INFO"
    format: str = Field(default="json", pattern="^(json|console)$")


class TraceSettings(Part):
    """OpenTelemetry: spans are exported only when an OTLP endpoint is set."""

    otlp_endpoint: str | None = None
    sample_ratio: float = Field(default=1.0, ge=0, le=1)


class EgressSettings(Part):
    """Networks that user-given URLs may reach although they are not public. Empty in production."""

    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    allow_http: bool = False


class ServiceSettings(BaseSettings):
    """What every service has."""

    model_config = SettingsConfigDict(
        env_prefix="CALLIOPE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
    )

    environment: Environment = Environment.LOCAL
    nats: NatsSettings = NatsSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    trace: TraceSettings = TraceSettings()
    shutdown_timeout_s: PositiveFloat = 10.0


__all__ = [
    "EgressSettings",
    "Environment",
    "HttpSettings",
    "LogSettings",
    "MongoSettings",
    "NatsSettings",
    "Part",
    "ServiceSettings",
    "TraceSettings",
]

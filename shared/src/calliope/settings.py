"""Parts of settings that several services share; each service composes its own frozen `Settings` from them.

Everything is read from environment variables: prefix `CALLIOPE_`, parts separated by `__`
(`CALLIOPE_NATS__URL`). Defaults work against the local stack; production mode refuses what is only fit for a laptop.
"""

from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

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

    url: str = Field(default="nats://127.0.0.1:4222", description="Servers of the bus, separated by commas.")
    user: str | None = Field(default=None, description="This service's own user; its permissions follow from it.")
    password: SecretStr | None = Field(default=None, description="Of that user.")
    connect_timeout_s: PositiveFloat = Field(default=5.0, description="Patience with one server.")
    start_timeout_s: PositiveFloat = Field(
        default=30.0, description="How long a start waits for the bus; then it fails, to be started anew."
    )
    replicas: PositiveInt = Field(default=1, description="Copies of streams; 3 in a cluster. Read by the provisioner.")


class MongoSettings(Part):
    """How to reach the store."""

    url: SecretStr = Field(
        default=SecretStr("mongodb://127.0.0.1:27017"), description="Address of the store, with its user and password."
    )
    database: str = Field(default="calliope", description="Name of the database.")
    timeout_s: PositiveFloat = Field(default=4.0, description="Patience with one operation.")
    pool_size: PositiveInt = Field(default=64, description="Connections at most.")


class HttpSettings(Part):
    """Where this service answers HTTP: its API, or only health and metrics."""

    host: str = Field(default="127.0.0.1", description="Where this service listens; `0.0.0.0` in a container.")
    port: int = Field(default=0, ge=0, le=65_535, description="Of its API, health and metrics; 0 takes a free one.")


class LogSettings(Part):
    """Logs: `json` for containers, `console` for people."""

    level: str = Field(default="INFO", description="Least severity that is logged.")
    format: Literal["json", "console"] = Field(default="json", description="`json` or `console`.")


class TraceSettings(Part):
    """OpenTelemetry: spans are exported only when an OTLP endpoint is set."""

    otlp_endpoint: str | None = Field(
        default=None,
        description="OTLP over HTTP: where spans are exported to, such as `http://collector:4318`; unset: nowhere.",
    )
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of traces that are kept.")


class EgressSettings(Part):
    """Networks that URLs of assistants may reach although they are not public. Empty in production."""

    allow: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Networks that URLs of assistants may reach although they are not public."
    )
    allow_http: bool = Field(default=False, description="Whether URLs of assistants may be plain `http://`.")


class ServiceSettings(BaseSettings):
    """What every service has."""

    model_config = SettingsConfigDict(
        env_prefix="CALLIOPE_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        nested_model_default_partial_update=True,
        env_ignore_empty=True,  # `NAME=` in an env file is a variable that nobody has filled in
    )

    environment: Environment = Field(
        default=Environment.LOCAL, description="`production` refuses what is only fit for a laptop."
    )
    nats: NatsSettings = NatsSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    trace: TraceSettings = TraceSettings()
    shutdown_timeout_s: PositiveFloat = Field(default=10.0, description="For work under way after SIGTERM.")


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

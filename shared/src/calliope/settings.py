"""Parts of settings that several services share; each service composes its own frozen `Settings` from them.

Everything is read from environment variables: prefix `CALLIOPE_`, parts separated by `__`
(`CALLIOPE_NATS__URL`). Defaults work against the local stack; production mode refuses what is only fit for a laptop.
"""

import ssl
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr, field_validator
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

    url: str = Field(
        default="nats://127.0.0.1:4222",
        description="Addresses of the NATS servers, separated by commas, such as "
        "`nats://nats-0:4222,nats://nats-1:4222`.",
    )
    user: str | None = Field(
        default=None,
        description="Name by which this service logs in at NATS. Give each service a user of its own: the bus "
        "decides by it what the service may read and write. Unset: no login, for the local stack.",
    )
    password: SecretStr | None = Field(default=None, description="Password of the user above.")
    connect_timeout_s: PositiveFloat = Field(
        default=5.0, description="Seconds to wait for a connection to one NATS server before the next is tried."
    )
    start_timeout_s: PositiveFloat = Field(
        default=30.0,
        description="Seconds that a starting service waits for the bus; then it ends with an error, to be started "
        "anew.",
    )
    replicas: PositiveInt | None = Field(
        default=None,
        description="How many NATS servers keep a copy of every event: 1 for a single server, 3 in a cluster. "
        "Takes effect when streams are created or updated. Unset: as many as there are, on a new bus 1.",
    )


class MongoSettings(Part):
    """How to reach the store."""

    url: SecretStr = Field(
        default=SecretStr("mongodb://127.0.0.1:27017"), description="Address of MongoDB, with its user and password."
    )
    database: str = Field(
        default="calliope", description="Name of the database in MongoDB; services of one installation share it."
    )
    timeout_s: PositiveFloat = Field(
        default=4.0, description="Seconds that one operation of the store may take before it counts as failed."
    )
    pool_size: PositiveInt = Field(default=64, description="Connections to the store that one process opens at most.")


class HttpSettings(Part):
    """Where this service answers the world outside."""

    host: str = Field(
        default="127.0.0.1",
        description="Address on which this service listens: `127.0.0.1` for this machine only, `0.0.0.0` in a "
        "container.",
    )
    port: int = Field(default=0, ge=0, le=65_535, description="Port on which it listens; 0 takes a free one.")


class HealthSettings(Part):
    """Where this service answers `/livez`, `/readyz` and `/metrics`, apart from everything that strangers reach."""

    host: str = Field(
        default="127.0.0.1",
        description="Address on which health and metrics are answered: `127.0.0.1` for this machine only, `0.0.0.0` "
        "in a container, whose port is not published.",
    )
    port: int = Field(
        default=0,
        ge=0,
        le=65_535,
        description="Port of health and metrics. A second service of the same kind on one machine needs another; 0 "
        "takes a free one.",
    )


class LogSettings(Part):
    """Logs: `json` for containers, `console` for people."""

    level: str = Field(
        default="INFO", description="Least severity that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`."
    )
    format: Literal["json", "console"] = Field(
        default="json", description="Form of the log: `json` for machines, `console` for people."
    )


class TraceSettings(Part):
    """OpenTelemetry: spans are exported only when an OTLP endpoint is set."""

    otlp_endpoint: str | None = Field(
        default=None,
        description="OTLP over HTTP: where spans are exported to, such as `http://collector:4318`; unset: nowhere.",
    )
    sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of traces that are exported, from 0 to 1; lower it when there are too many.",
    )


class EgressSettings(Part):
    """Networks that URLs of assistants may reach although they are not public, and whom TLS trusts."""

    allow: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(),
        description="Private networks that URLs in assistants (webhooks, tools, models of your own) may reach, as "
        'a JSON list such as `["10.0.0.0/8"]`. Empty: public addresses only, which protects your '
        "network.",
    )
    allow_http: bool = Field(
        default=False,
        description="Whether URLs in assistants may be plain `http://`; otherwise only `https://` is taken.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="File of certificate authorities (PEM) that are trusted beside the system's, such as your "
        "company's own: for URLs in assistants and, in the call-worker, for vendors.",
    )

    @field_validator("ca_file")
    @classmethod
    def _readable(cls, ca_file: Path | None) -> Path | None:
        if ca_file is None:
            return None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca_file)
        except OSError as exc:  # ssl's own errors, too
            raise ValueError(f"{ca_file} cannot be read as a file of certificates in PEM") from exc
        return ca_file


class PublicKeySettings(Part):
    """Public keys that secrets are sealed to where they arrive; who has only these cannot open what was sealed."""

    calls_public_key: str = Field(
        default="",
        description="Public key (base64 of 32 bytes) to which keys and tokens in assistants are sealed; "
        "call-workers hold its private half. `calliope-admin secrets new` makes a pair.",
    )
    webhooks_public_key: str = Field(
        default="",
        description="Public key (base64 of 32 bytes) to which webhook secrets are sealed; the webhooks service "
        "holds its private half. `calliope-admin secrets new` makes a pair.",
    )


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
        default=Environment.LOCAL,
        description="`local` for a laptop and tests; `production` refuses to start with settings that are only "
        "fit for a laptop.",
    )
    nats: NatsSettings = NatsSettings()
    health: HealthSettings = HealthSettings()
    log: LogSettings = LogSettings()
    trace: TraceSettings = TraceSettings()
    shutdown_timeout_s: PositiveFloat = Field(
        default=10.0, description="Seconds that work under way may take after SIGTERM before the process ends."
    )


__all__ = [
    "EgressSettings",
    "Environment",
    "HealthSettings",
    "HttpSettings",
    "LogSettings",
    "MongoSettings",
    "NatsSettings",
    "Part",
    "PublicKeySettings",
    "ServiceSettings",
    "TraceSettings",
]

"""Settings of the assistants service."""

from pydantic import Field, SecretStr

from calliope.settings import EgressSettings, HealthSettings, MongoSettings, Part, ServiceSettings


class SealingSettings(Part):
    """Public keys that secrets are sealed to; this service cannot open what it stores."""

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


class AssistantsSettings(ServiceSettings):
    """Everything the assistants service reads from the environment."""

    health: HealthSettings = HealthSettings(port=9082)
    mongo: MongoSettings = MongoSettings()
    egress: EgressSettings = EgressSettings()
    sealing: SealingSettings = SealingSettings()
    bootstrap_api_key: SecretStr | None = Field(
        default=None,
        description="First API key, for the local stack only; `calliope-admin keys create` makes keys elsewhere.",
    )
    bootstrap_organization: str = Field(
        default="org_local", description="Organization that this first key belongs to, for the local stack only."
    )

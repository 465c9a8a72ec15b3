"""Settings of the assistants service."""

from pydantic import Field, SecretStr

from calliope.settings import EgressSettings, HealthSettings, MongoSettings, PublicKeySettings, ServiceSettings


class AssistantsSettings(ServiceSettings):
    """Everything the assistants service reads from the environment."""

    health: HealthSettings = HealthSettings(port=9082)
    mongo: MongoSettings = MongoSettings()
    egress: EgressSettings = EgressSettings()
    sealing: PublicKeySettings = PublicKeySettings()
    bootstrap_api_key: SecretStr | None = Field(
        default=None,
        description="First API key, for the local stack only; `calliope-admin keys create` makes keys elsewhere.",
    )
    bootstrap_organization: str = Field(
        default="org_local", description="Organization that this first key belongs to, for the local stack only."
    )

"""Settings of the assistants service."""

from pydantic import Field, SecretStr

from calliope.settings import EgressSettings, HttpSettings, MongoSettings, Part, ServiceSettings


class SealingSettings(Part):
    """Public keys that secrets are sealed to; this service cannot open what it stores."""

    calls_public_key: str = Field(default="", description="base64 of 32 bytes; call-workers hold the private half.")
    webhooks_public_key: str = Field(default="", description="base64 of 32 bytes; webhooks holds the private half.")


class AssistantsSettings(ServiceSettings):
    """Everything the assistants service reads from the environment."""

    http: HttpSettings = HttpSettings(port=0)
    mongo: MongoSettings = MongoSettings()
    egress: EgressSettings = EgressSettings()
    sealing: SealingSettings = SealingSettings()
    bootstrap_api_key: SecretStr | None = Field(default=None, description="Local stack only: a first key.")
    bootstrap_organization: str = Field(default="org_local", description="Local stack only: whose key it is.")

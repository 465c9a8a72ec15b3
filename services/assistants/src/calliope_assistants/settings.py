"""Settings of the assistants service."""

from typing import Self

from pydantic import Field, SecretStr, model_validator

from calliope.settings import EgressSettings, Environment, HttpSettings, MongoSettings, Part, ServiceSettings


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

    @model_validator(mode="after")
    def _fit_for_production(self) -> Self:
        if not self.sealing.calls_public_key or not self.sealing.webhooks_public_key:
            raise ValueError("set CALLIOPE_SEALING__CALLS_PUBLIC_KEY and CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY")
        if self.environment is Environment.PRODUCTION and self.bootstrap_api_key is not None:
            raise ValueError("CALLIOPE_BOOTSTRAP_API_KEY is for the local stack; production makes keys by command")
        return self

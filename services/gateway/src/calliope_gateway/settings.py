"""Settings of the gateway."""

from pydantic import Field, PositiveFloat, PositiveInt

from calliope.settings import HttpSettings, Part, ServiceSettings


class LimitSettings(Part):
    """What one client may ask of the gateway."""

    body_bytes: PositiveInt = 256 * 1024
    body_timeout_s: PositiveFloat = 10.0
    carrier_body_bytes: PositiveInt = 64 * 1024
    requests_per_s: PositiveFloat = Field(default=50.0, description="Per API key.")
    burst: PositiveInt = 100
    concurrency: PositiveInt = Field(default=512, description="Requests under way at once, all clients together.")


class GatewaySettings(ServiceSettings):
    """Everything the gateway reads from the environment."""

    http: HttpSettings = HttpSettings(port=8080)
    limits: LimitSettings = LimitSettings()
    command_timeout_s: PositiveFloat = 8.0
    carrier_timeout_s: PositiveFloat = Field(default=10.0, description="Carriers wait 15 s at most.")
    key_cache_s: PositiveFloat = Field(default=1.0, description="How long a key is believed; bounds revocation.")

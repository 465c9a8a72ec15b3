"""Settings of the gateway."""

from pydantic import Field, PositiveFloat, PositiveInt

from calliope.settings import HttpSettings, Part, ServiceSettings


class LimitSettings(Part):
    """What one client may ask of the gateway."""

    body_bytes: PositiveInt = Field(default=256 * 1024, description="Largest body of the API.")
    body_timeout_s: PositiveFloat = Field(default=10.0, description="Until the whole body has arrived.")
    carrier_body_bytes: PositiveInt = Field(default=64 * 1024, description="Largest body of a carrier's hook.")
    requests_per_s: PositiveFloat = Field(default=50.0, description="Per API key.")
    burst: PositiveInt = Field(default=100, description="Per API key, at once.")
    unknown_keys_per_s: PositiveFloat = Field(
        default=20.0,
        description="Per client address: requests with API keys that are unknown, expired or revoked. Behind a proxy "
        "all clients have its address.",
    )
    unknown_keys_burst: PositiveInt = Field(default=200, description="Of those, at once.")
    concurrency: PositiveInt = Field(default=512, description="Requests under way at once, all clients together.")


class GatewaySettings(ServiceSettings):
    """Everything the gateway reads from the environment."""

    http: HttpSettings = HttpSettings(port=8080)
    limits: LimitSettings = LimitSettings()
    command_timeout_s: PositiveFloat = Field(default=8.0, description="Until a service must have answered.")
    carrier_timeout_s: PositiveFloat = Field(default=10.0, description="Carriers wait 15 s at most.")
    carrier_again_s: PositiveFloat = Field(
        default=0.7, description="A worker that has not answered a hook by then may be dead; one is asked again."
    )
    resume_wait_s: PositiveFloat = Field(
        default=20.0, description="How long a call that lost its worker waits for another before it ends."
    )
    key_cache_s: PositiveFloat = Field(
        default=1.0,
        description="How long a key is believed before it is asked about again. A revoked key is refused as soon as "
        "that is heard on the bus, and at the latest after this time.",
    )

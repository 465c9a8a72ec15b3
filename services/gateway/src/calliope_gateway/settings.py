"""Settings of the gateway."""

from ipaddress import IPv4Network, IPv6Network

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from calliope.settings import HealthSettings, HttpSettings, Part, PublicKeySettings, ServiceSettings


class LimitSettings(Part):
    """What one client may ask of the gateway."""

    body_bytes: PositiveInt = Field(
        default=256 * 1024, description="Largest body of an API request, in bytes; a larger one is refused (413)."
    )
    body_timeout_s: PositiveFloat = Field(
        default=10.0, description="Seconds until a request's whole body must have arrived."
    )
    carrier_body_bytes: PositiveInt = Field(
        default=64 * 1024, description="Largest body of a carrier's request, in bytes."
    )
    requests_per_s: PositiveFloat = Field(
        default=50.0, description="Requests per second that one API key may make on average; more are refused (429)."
    )
    burst: PositiveInt = Field(
        default=100, description="Requests that one API key may make at once, beyond the average."
    )
    unknown_keys_per_s: PositiveFloat = Field(
        default=20.0,
        description="Requests per second from one client address with API keys that are unknown, expired or revoked.",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")),
        description="Networks of the proxies in front: from them a client's address is the last one in "
        '`X-Forwarded-For`. Such as `["10.0.0.0/8"]`.',
    )
    connections: PositiveInt = Field(
        default=4_096,
        description="Connections that are held at once. Beyond it the one that waits longest without a request is "
        "closed for the newest.",
    )
    connections_per_address: PositiveInt = Field(
        default=256,
        description="Connections from one address at once; more are refused. Proxies that are trusted have no such "
        "limit. An IPv6 network of 64 bits counts as one address.",
    )
    unknown_keys_burst: PositiveInt = Field(
        default=200, description="Such requests from one address at once, beyond the average."
    )
    concurrency: PositiveInt = Field(
        default=512,
        description="API requests under way at once, of all clients together; more are refused (503). Raise it on "
        "large machines.",
    )
    hook_concurrency: PositiveInt = Field(
        default=512,
        description="Carriers' requests under way at once; more are refused (503). They have a limit of their own, so "
        "that a busy API keeps no call out.",
    )
    bodies_per_address: PositiveInt = Field(
        default=32,
        description="Requests from one address whose bodies are still on the way, at once and of each kind; more are "
        "refused (503). A body that came with its headers is not counted.",
    )
    refused_hooks_per_s: PositiveFloat = Field(
        default=10.0,
        description="Requests per second in the name of one carrier's account, from one address, that were refused for "
        "their signature or because nobody knows the call; beyond it they are refused without asking (429). Five times "
        "as many for all accounts that one address names.",
    )
    refused_hooks_burst: PositiveInt = Field(
        default=200, description="Such requests at once, beyond the average; also those that are not answered yet."
    )


class GatewaySettings(ServiceSettings):
    """Everything the gateway reads from the environment."""

    http: HttpSettings = HttpSettings(port=8080)
    health: HealthSettings = HealthSettings(port=9080)
    limits: LimitSettings = LimitSettings()
    sealing: PublicKeySettings = PublicKeySettings()
    command_timeout_s: PositiveFloat = Field(
        default=8.0,
        description="Seconds until the service that owns the matter must have answered; then the client gets 504.",
    )
    carrier_timeout_s: PositiveFloat = Field(
        default=12.0,
        description="Seconds in which a carrier's request is answered, whatever is away; more than 13 is 13, because "
        "Twilio waits for 15. Telnyx, which waits for 2, is answered within 1.7; what no call-worker took by then is "
        "kept, and each is given these seconds for it.",
    )
    carrier_again_s: PositiveFloat = Field(
        default=0.7,
        description="Seconds after which another call-worker is asked too, when the first has not answered a "
        "carrier's request.",
    )
    resume_wait_s: PositiveFloat = Field(
        default=20.0, description="Seconds that a call whose worker died waits for another worker before it ends."
    )
    key_cache_s: PositiveFloat = Field(
        default=1.0,
        description="Seconds for which a key is believed before it is asked about again. A revoked key is refused "
        "as soon as that is heard on the bus, and at the latest after this time.",
    )
    lame_duck_s: NonNegativeFloat = Field(
        default=5.0,
        description="Seconds after SIGTERM for which requests are still served while `/readyz` says 503 already, so "
        "that load balancers send new ones elsewhere first. 0 where nobody looks at `/readyz`.",
    )

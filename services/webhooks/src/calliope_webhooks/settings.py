"""Settings of webhooks."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr

from calliope.settings import EgressSettings, HealthSettings, MongoSettings, Part, ServiceSettings
from calliope_webhooks.retry import DEFAULT_STEPS_S


class SealingSettings(Part):
    """Keys that open signing secrets; several while they rotate."""

    private_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Private keys (base64) that open the webhook secrets, as a JSON list with the newest first. "
        "`calliope-admin secrets new` makes a pair; keep old ones until nothing is sealed to them.",
    )


class DeliverySettings(Part):
    """How deliveries are made."""

    schedule_s: tuple[NonNegativeFloat, ...] = Field(
        default=DEFAULT_STEPS_S,
        min_length=1,
        description="Seconds to wait before each attempt, as a JSON list: the first attempt, the second, and so "
        "on. After the last one the delivery is kept as `dead` and can be replayed.",
    )
    jitter: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share by which these waits vary at random, so that retries do not come all at once; 0.2 is "
        "up to a fifth.",
    )
    slow_s: NonNegativeFloat = Field(
        default=60.0, description="Least seconds to wait after a receiver answered 429 or did not answer in time."
    )
    timeout_s: PositiveFloat = Field(default=15.0, description="Seconds that one attempt may take, answer included.")
    connect_timeout_s: PositiveFloat = Field(
        default=5.0, description="Seconds of these until the receiver must be connected."
    )
    lease_margin_s: PositiveFloat = Field(
        default=15.0,
        description="Seconds beyond the time of two attempts after which the delivery of a sender that crashed is "
        "sent again.",
    )
    per_endpoint: PositiveInt = Field(
        default=4, description="Attempts under way at once to one endpoint, so that a slow one is not flooded."
    )
    per_organization: PositiveInt = Field(
        default=32, description="Attempts under way at once for one organization, so that none slows the others."
    )
    overall: PositiveInt = Field(default=128, description="Attempts under way at once in this process.")
    sweep_s: PositiveFloat = Field(
        default=15.0,
        description="Seconds between searches for deliveries that are due and were not woken for; a safety net.",
    )
    alarm_from_s: PositiveFloat = Field(
        default=15.0,
        description="Waits of at least so many seconds are handed to the bus, which survives a restart; shorter "
        "ones are kept in the process.",
    )
    endpoint_ttl_s: PositiveFloat = Field(
        default=5.0,
        description="Seconds for which an assistant's webhook addresses are remembered; a change takes effect "
        "after that at the latest.",
    )


class BreakerSettings(Part):
    """When an endpoint that is down is left alone, and for how long."""

    hard_failures: PositiveInt = Field(
        default=5,
        description="Timeouts and connection errors in a row after which an endpoint is left alone for a while.",
    )
    window_s: PositiveFloat = Field(default=300.0, description="Seconds for which an endpoint's answers are counted.")
    least_answers: PositiveInt = Field(
        default=10, description="Answers that are needed in that time before the share of failures counts."
    )
    failed_share: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="Share of failed answers, from 0 to 1, from which on an endpoint is left alone for a while.",
    )
    pause_s: PositiveFloat = Field(
        default=30.0, description="Seconds for which an endpoint is left alone first; they double each time."
    )
    longest_pause_s: PositiveFloat = Field(
        default=900.0, description="Seconds for which an endpoint is left alone at most."
    )


class WebhooksSettings(ServiceSettings):
    """Everything webhooks reads from the environment."""

    health: HealthSettings = HealthSettings(port=9083)
    mongo: MongoSettings = MongoSettings(pool_size=160)
    egress: EgressSettings = EgressSettings()
    sealing: SealingSettings = SealingSettings()
    delivery: DeliverySettings = DeliverySettings()
    breaker: BreakerSettings = BreakerSettings()
    shutdown_timeout_s: PositiveFloat = Field(
        default=20.0, description="Seconds that attempts under way may take after SIGTERM; more than one attempt takes."
    )

"""Settings of webhooks."""

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr

from calliope.settings import EgressSettings, MongoSettings, Part, ServiceSettings
from calliope_webhooks.retry import DEFAULT_STEPS_S


class SealingSettings(Part):
    """Keys that open signing secrets; several while they rotate."""

    private_keys: tuple[SecretStr, ...] = Field(default=(), description="base64; the newest first.")


class DeliverySettings(Part):
    """How deliveries are made."""

    schedule_s: tuple[NonNegativeFloat, ...] = Field(
        default=DEFAULT_STEPS_S,
        min_length=1,
        description="Wait before each attempt; the first is the wait before none.",
    )
    jitter: float = Field(default=0.2, ge=0, lt=1, description="Share by which waits differ.")
    slow_s: NonNegativeFloat = Field(default=60.0, description="Least wait after a 429 or a timeout.")
    timeout_s: PositiveFloat = Field(default=15.0, description="A whole attempt.")
    connect_timeout_s: PositiveFloat = Field(default=5.0, description="Of it, until connected.")
    lease_margin_s: PositiveFloat = Field(
        default=15.0, description="Besides two attempts' time: after it a crashed sender's delivery is sent again."
    )
    per_endpoint: PositiveInt = Field(default=4, description="Attempts at once to one endpoint.")
    per_organization: PositiveInt = Field(default=32, description="… of one organization.")
    overall: PositiveInt = Field(default=128, description="… of this process.")
    sweep_s: PositiveFloat = Field(default=15.0, description="How often rows that nobody was woken for are looked for.")
    alarm_from_s: PositiveFloat = Field(
        default=15.0, description="Waits this long are handed to the bus; shorter ones the process keeps itself."
    )
    endpoint_ttl_s: PositiveFloat = Field(default=5.0, description="How long an assistant's endpoints are remembered.")


class BreakerSettings(Part):
    """When an endpoint that is down is left alone, and for how long."""

    hard_failures: PositiveInt = Field(default=5, description="Timeouts and connection errors in a row.")
    window_s: PositiveFloat = Field(default=300.0, description="How far back answers are counted.")
    least_answers: PositiveInt = Field(default=10, description="Answers before the share of failures counts.")
    failed_share: float = Field(default=0.7, gt=0, le=1, description="Share of failures that opens it.")
    pause_s: PositiveFloat = Field(default=30.0, description="Doubles each time …")
    longest_pause_s: PositiveFloat = Field(default=900.0, description="… up to this.")


class WebhooksSettings(ServiceSettings):
    """Everything webhooks reads from the environment."""

    mongo: MongoSettings = MongoSettings(pool_size=160)
    egress: EgressSettings = EgressSettings()
    sealing: SealingSettings = SealingSettings()
    delivery: DeliverySettings = DeliverySettings()
    breaker: BreakerSettings = BreakerSettings()
    shutdown_timeout_s: PositiveFloat = Field(default=20.0, description="More than one attempt takes.")

"""Settings of the call-worker."""

from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, field_validator

from calliope.settings import EgressSettings, HttpSettings, Part, ServiceSettings
from calliope_call_worker.providers.settings import ProvidersSettings


class MediaSettings(Part):
    """The address that carriers connect their media to: this worker's own, not a load balancer's."""

    public_url: str | None = Field(default=None, description="wss://host/media of this worker; default: its own port.")
    start_deadline_s: PositiveFloat = Field(default=15.0, description="From the hook to the carrier's first media.")
    max_message_bytes: PositiveInt = Field(default=64 * 1024, description="Largest message of a carrier.")
    max_lead_s: PositiveFloat = Field(default=6.0, description="Audio that may wait at the carrier.")
    require_signature: bool = Field(default=True, description="Refuse media sockets that the carrier did not sign.")


class CallSettings(Part):
    """Patience of a call."""

    end_of_turn_s: PositiveFloat = Field(default=1.5, description="After a final without any other sign of its end.")
    interim_ceiling_s: PositiveFloat = Field(default=3.0, description="After an interim that is never finalised.")
    prepare_after_s: float = Field(default=0.25, ge=0, description="Think about interims this stable; 0: never.")
    tool_rounds: PositiveInt = Field(default=6, description="Model, tools, model … in one turn, at most.")
    last_resort: str = Field(
        default="We are sorry, we have a technical problem. Please call again later.",
        description="Said by the carrier's own voice when no other can speak.",
    )
    transfer_failed: str = Field(
        default="We are sorry, nobody could take your call. Please call again later.",
        description="Said by the carrier's own voice after a transfer that was not answered.",
    )
    lost_after_s: PositiveFloat = Field(
        default=600.0,
        description="A call that no worker has held for so long is ended as `worker_lost`; above the 540 s for which a "
        "worker that lost the bus keeps a call's facts.",
    )
    unsigned_refusals_per_minute: PositiveInt = Field(
        default=6,
        description="Hooks with a wrong signature, or that cannot be checked, may be a stranger's: of each number only "
        "so many a minute and worker make a record of a refused call; the others are counted.",
    )
    history_characters: PositiveInt = Field(default=60_000, description="Older turns are left out of requests.")


class AnalysisSettings(Part):
    """The work after the call."""

    at_once: NonNegativeInt = Field(default=4, description="Calls at once in this worker; 0 leaves them to others.")
    transcript_characters: PositiveInt = Field(default=60_000, description="What is older is left out.")
    answer_tokens: PositiveInt = Field(default=2_000, description="Longest answer of the model, in tokens.")
    check_deadline_s: PositiveFloat = Field(default=3.0, description="One check of an answer against its schema.")
    job_deadline_s: PositiveFloat = Field(default=300.0, description="All of one call; then it is tried again.")
    heartbeat_s: PositiveFloat = Field(default=8.0, description="Below a third of the durable's `ack_wait`.")


class CheckSettings(Part):
    """Checks of an assistant's vendors, asked for over HTTP."""

    deadline_s: PositiveFloat = Field(default=5.0, description="All vendors together; one that is slower is told so.")
    at_once: PositiveInt = Field(
        default=4, description="Checks under way in this worker; beyond it the answer is busy."
    )
    at_once_per_organization: PositiveInt = Field(default=2, description="Those of one organization among them.")


class RecordingsSettings(Part):
    """Where calls with `journal_inputs` leave what their turn taking saw; the files hold callers' words."""

    folder: Path | None = Field(default=None, description="One file a call, for `replay`; absent: none are kept.")
    max_call_bytes: PositiveInt = Field(default=8 * 1024 * 1024, description="Some hours of talk.")
    write_every_s: PositiveFloat = Field(
        default=0.5, description="How long lines wait for others; a worker that is killed loses them."
    )


class TwilioSettings(Part):
    """Twilio, and the installation's own account for assistants that bring none."""

    url: str = "https://api.twilio.com"
    account_sid: str | None = None
    auth_token: SecretStr | None = None


class TelnyxSettings(Part):
    """Telnyx, and the installation's own account for assistants that bring none."""

    url: str = "https://api.telnyx.com/v2"
    api_key: SecretStr | None = None
    connection_id: str | None = Field(default=None, description="The Call Control application of that account.")
    public_key: str | None = Field(
        default=None, description="Base64 Ed25519 key that signs hooks, unless a document names one."
    )


class CarriersSettings(Part):
    """How to reach the carriers."""

    twilio: TwilioSettings = TwilioSettings()
    telnyx: TelnyxSettings = TelnyxSettings()


class SealingSettings(Part):
    """Keys that open the secrets of assistants; several while they rotate."""

    private_keys: tuple[SecretStr, ...] = Field(default=(), description="base64; the newest first.")


class WorkerSettings(ServiceSettings):
    """Everything the call-worker reads from the environment."""

    http: HttpSettings = HttpSettings(port=0)
    public_url: str = Field(default="http://127.0.0.1:8080", description="Where carriers reach the gateway.")
    worker_id: str | None = Field(default=None, description="Default: made at start.")
    slots: PositiveInt = Field(default=100, description="Calls at once; a worker uses one core.")
    media: MediaSettings = MediaSettings()
    call: CallSettings = CallSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    checks: CheckSettings = CheckSettings()
    recordings: RecordingsSettings = RecordingsSettings()
    sealing: SealingSettings = SealingSettings()
    providers: ProvidersSettings = ProvidersSettings()
    carriers: CarriersSettings = CarriersSettings()
    egress: EgressSettings = EgressSettings()
    shutdown_timeout_s: PositiveFloat = Field(default=30.0, description="How long calls may go on after SIGTERM.")

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        """Paths are put behind it, and carriers sign the address that they were given."""
        return url.rstrip("/")

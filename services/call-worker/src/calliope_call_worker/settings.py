"""Settings of the call-worker."""

from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, SecretStr, field_validator

from calliope.contracts.document.time_zones import TimeZone
from calliope.settings import EgressSettings, HealthSettings, HttpSettings, Part, ServiceSettings
from calliope_call_worker.providers.settings import ProvidersSettings


class MediaSettings(Part):
    """The address that carriers connect their media to: this worker's own, not a load balancer's."""

    public_url: str | None = Field(
        default=None,
        description="Address at which carriers reach this very worker's audio socket, such as "
        "`wss://worker-0.example.com/media`: each worker has its own, because a call's audio must "
        "come to the worker that holds the call. Unset: its own port on this machine.",
    )
    start_deadline_s: PositiveFloat = Field(
        default=15.0,
        description="Seconds from accepting a call to the carrier's first audio; then the call ends as `no_media`.",
    )
    max_message_bytes: PositiveInt = Field(
        default=64 * 1024, description="Largest message that a carrier may send on the audio socket, in bytes."
    )
    max_lead_s: PositiveFloat = Field(
        default=6.0,
        description="Seconds of audio that are sent ahead to the carrier; more makes interruptions costlier, less "
        "risks gaps.",
    )
    require_signature: bool = Field(
        default=True, description="Whether audio sockets without the carrier's own signature are refused. Leave it on."
    )


class CallSettings(Part):
    """Patience of a call."""

    end_of_turn_s: PositiveFloat = Field(
        default=1.5,
        description="Seconds after the caller's last recognised words before they are answered, when the "
        "recogniser does not say that the turn is over.",
    )
    interim_ceiling_s: PositiveFloat = Field(
        default=3.0, description="Seconds before words are answered that the recogniser heard but never confirmed."
    )
    prepare_after_s: float = Field(
        default=0.12,
        ge=0,
        description="Seconds of the caller's silence after which a reply is prepared, when the words look finished and "
        "before the recogniser says that the turn is over; 0: never. Shorter is quicker and wastes more requests.",
    )
    preparations: NonNegativeInt = Field(
        default=1, description="Prepared replies of one turn at most; each is a request to the model that is paid for."
    )
    unfinished_wait_s: float = Field(
        default=0.6,
        ge=0,
        description="Seconds that an answer waits for more when the caller's last words lead on to others (`and`, "
        "`my`, `um`), in languages where such words are known; 0: not at all.",
    )
    false_interruption_s: PositiveFloat = Field(
        default=1.5,
        description="Seconds after an interruption of which no words are left, until the assistant goes on with the "
        "sentence that was cut.",
    )
    tool_rounds: PositiveInt = Field(
        default=6, description="How often the model may use tools in one turn before it has to speak."
    )
    time_zone: TimeZone = Field(
        default="UTC",
        description="Time zone of assistants that name none, such as `Europe/Madrid`: of the date and time that "
        "their models are told.",
    )
    last_resort: str | None = Field(
        default=None,
        description="Sentence that the carrier's own voice says when no voice of yours can speak, for assistants that "
        "have none of their own. Unset: one in the assistant's language.",
    )
    transfer_failed: str | None = Field(
        default=None,
        description="Sentence that the carrier's own voice says after a transfer that nobody answered, for assistants "
        "that have none of their own. Unset: one in the assistant's language.",
    )
    lost_after_s: PositiveFloat = Field(
        default=600.0,
        description="Seconds after which a call that no worker holds any more is ended as `worker_lost`. Keep it "
        "above 540: so long a worker that lost the bus may still hold the call.",
    )
    unsigned_refusals_per_minute: PositiveInt = Field(
        default=6,
        description="How many refused calls with a wrong signature leave a record, per number, worker and minute; "
        "they may be a stranger's. The others are only counted.",
    )
    history_characters: PositiveInt = Field(
        default=60_000,
        description="Characters of the conversation that are sent to the model; older turns are left out.",
    )


class AnalysisSettings(Part):
    """The work after the call."""

    at_once: NonNegativeInt = Field(
        default=4, description="How many ended calls this worker summarises at once; 0 leaves that to other workers."
    )
    transcript_characters: PositiveInt = Field(
        default=60_000,
        description="Characters of a call's transcript that are given to the model after the call; older words "
        "are left out.",
    )
    answer_tokens: PositiveInt = Field(
        default=2_000, description="Longest summary or structured data that the model may write, in tokens."
    )
    check_deadline_s: PositiveFloat = Field(
        default=3.0, description="Seconds that checking an answer against the assistant's JSON Schema may take."
    )
    job_deadline_s: PositiveFloat = Field(
        default=300.0, description="Seconds for all work after one call; then it is tried again later."
    )
    heartbeat_s: PositiveFloat = Field(
        default=8.0,
        description="Seconds between signs of life to the bus during that work. Keep it below 10, a third of the "
        "time after which the bus gives the work to another worker.",
    )


class CheckSettings(Part):
    """Checks of an assistant's vendors, asked for over HTTP."""

    deadline_s: PositiveFloat = Field(
        default=5.0,
        description="Seconds in which a check of an assistant asks all its vendors; slower ones are told so.",
    )
    at_once: PositiveInt = Field(
        default=4, description="Checks of assistants under way at once in this worker; more are refused as busy."
    )
    at_once_per_organization: PositiveInt = Field(
        default=2, description="Checks of one organization's assistants among them."
    )


class RecordingsSettings(Part):
    """Where calls with `journal_inputs` leave what their turn taking saw; the files hold callers' words."""

    folder: Path | None = Field(
        default=None,
        description="Folder for one file per call of assistants with `journal_inputs`, to replay turn taking "
        "offline. The files hold callers' words; deleting them is up to you. Unset: none are written.",
    )
    max_call_bytes: PositiveInt = Field(
        default=8 * 1024 * 1024, description="Largest such file of one call, in bytes; 8 MiB are some hours of talk."
    )
    write_every_s: PositiveFloat = Field(
        default=0.5,
        description="Seconds between writes to such files; a worker that is killed loses what it had not written.",
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
    connection_id: str | None = Field(
        default=None, description="Id of the Call Control application of that Telnyx account."
    )
    public_key: str | None = Field(
        default=None,
        description="Public key of that Telnyx account (base64, Ed25519), which verifies its requests when an "
        "assistant names none.",
    )


class CarriersSettings(Part):
    """How to reach the carriers."""

    twilio: TwilioSettings = TwilioSettings()
    telnyx: TelnyxSettings = TelnyxSettings()


class SealingSettings(Part):
    """Keys that open the secrets of assistants; several while they rotate."""

    private_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Private keys (base64) that open the secrets in assistants, as a JSON list with the newest "
        "first. `calliope-admin secrets new` makes a pair; keep old ones until nothing is sealed to "
        "them.",
    )


class WorkerSettings(ServiceSettings):
    """Everything the call-worker reads from the environment."""

    http: HttpSettings = HttpSettings(port=0)
    health: HealthSettings = HealthSettings(port=9081)
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        description="Public `https://` address of the gateway, as carriers reach it. Carriers sign it: it must be "
        "exactly what their console says.",
    )
    worker_id: str | None = Field(
        default=None, description="Name of this worker in events and logs. Unset: a new one is made at every start."
    )
    slots: PositiveInt = Field(
        default=100,
        description="Calls that this worker takes at once; more are left to others, or hear a busy tone. A worker "
        "uses one core.",
    )
    media: MediaSettings = MediaSettings()
    call: CallSettings = CallSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    checks: CheckSettings = CheckSettings()
    recordings: RecordingsSettings = RecordingsSettings()
    sealing: SealingSettings = SealingSettings()
    providers: ProvidersSettings = ProvidersSettings()
    carriers: CarriersSettings = CarriersSettings()
    egress: EgressSettings = EgressSettings()
    shutdown_timeout_s: PositiveFloat = Field(
        default=30.0,
        description="Seconds that calls may go on after SIGTERM; then they are handed over to other workers.",
    )

    @field_validator("public_url")
    @classmethod
    def _without_slash(cls, url: str) -> str:
        """Paths are put behind it, and carriers sign the address that they were given."""
        return url.rstrip("/")

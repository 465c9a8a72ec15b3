"""Port: carriers. A carrier is HTTP hooks in, REST out, and a media socket; one file per vendor knows its words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from calliope.contracts.calls import CarrierRequest, CarrierResponse, Direction, EndReason
from calliope_call_worker.providers.probe import Findings

VOICE_HOOK: Final = "/telephony/{carrier}/voice"
"""Where a carrier asks about a call, below our public URL."""
RESUME: Final = "/resume/"
"""In the address that is asked when a call's media ended."""
FORBIDDEN: Final = CarrierResponse(status=403, content_type="text/plain", body="the signature is not valid")


@dataclass(frozen=True, slots=True)
class CarrierAccount:
    """The account that a number's hooks are signed with and its REST calls are made with.

    `account_id` is what hooks name it by: Twilio's account, Telnyx's Call Control application. `public_key` is what
    they are signed with, where that is not the secret.
    """

    account_id: str
    secret: str
    public_key: str | None = None


@dataclass(frozen=True, slots=True)
class CarrierAction:
    """A command that the carrier is given over REST, in its own words; the same `command_id` acts once."""

    name: str
    body: Mapping[str, Any]
    command_id: str


@dataclass(frozen=True, slots=True)
class CarrierAnswer:
    """What a hook is answered; and, where the carrier reads no answers, what it is told over REST instead."""

    response: CarrierResponse
    action: CarrierAction | None = None


class HookKind(StrEnum):
    """What a hook is about. `FOLLOW_UP`: something we had asked for is done, and more was meant to come after it."""

    CALL = "call"
    MEDIA_ENDED = "media_ended"
    TRANSFER_ENDED = "transfer_ended"
    CALL_ENDED = "call_ended"
    FOLLOW_UP = "follow_up"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class VoiceHook:
    """A carrier's question or news of a call. Read before it is trusted: only to find the number's credentials."""

    carrier_call_id: str
    account_id: str
    from_number: str
    to_number: str
    our_number: str
    status: str
    kind: HookKind = HookKind.CALL
    direction: Direction = Direction.INBOUND
    """As the carrier states it; the numbers do not tell, a caller may have ours."""
    call_id: str = ""
    """Ours, as we had told it to the carrier; trusted only with the signature. Empty before we could tell it."""
    transfer_failed: bool = False
    ended: EndReason = EndReason.CALLER_HUNG_UP
    detail: str = ""
    then: CarrierAction | None = None
    at: datetime | None = None
    """When it happened; None for a question, which is always about now."""
    media_ended_at: datetime | None = None
    """When the carrier first asked what comes after the call's media, where it has to ask again."""


@dataclass(frozen=True, slots=True)
class CarrierLine:
    """A line for the carrier's own voice, and the language of that voice (see `languages.locale_of`)."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class MediaAnswer:
    """Where the carrier shall connect its media: our own address and a token that opens it once."""

    media_url: str
    token: str
    call_id: str
    after_url: str
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Whom the carrier shall connect the caller to; `after_url` is asked when that ends. `key` is of this transfer."""

    carrier_call_id: str
    to_number: str
    after_url: str
    caller_id: str | None
    key: str


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The carrier's stream begins."""

    stream_id: str
    carrier_call_id: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaFrame:
    """Caller audio, μ-law 8 kHz."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class MediaMark:
    """A mark came back: all audio before it was played, or cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class MediaDtmf:
    """A key was pressed."""

    digit: str


@dataclass(frozen=True, slots=True)
class MediaStopped:
    """The carrier ended the stream."""


MediaEvent = MediaStarted | MediaFrame | MediaMark | MediaDtmf | MediaStopped


class MediaCodec(Protocol):
    """Words of one media socket; no I/O."""

    def parse(self, text: str) -> MediaEvent | None:
        """One message of the carrier; None for what does not matter. Raises: ValueError, when it is malformed."""

    def audio(self, payload: bytes) -> tuple[str, ...]:
        """Play this audio after what was sent before. A ragged end may wait for more audio, or for the next mark."""

    def mark(self, name: str) -> tuple[str, ...]:
        """Tell us when everything before was played."""

    def clear(self) -> str:
        """Drop what is not played yet."""


class Carrier(Protocol):
    """One carrier's words: pure parts here, REST in `CarrierApi`."""

    @property
    def name(self) -> str:
        """As in the document and in hook paths."""

    @property
    def reads_answers(self) -> bool:
        """Whether it does what a hook is answered; the others act on commands alone."""

    def read_voice_hook(self, request: CarrierRequest) -> VoiceHook:
        """What the hook says. Raises: ValueError, when it is malformed."""

    def verify(self, request: CarrierRequest, account: CarrierAccount, public_url: str, now: float) -> bool:
        """Whether the account's secret signed this very request for our public URL."""

    def verify_media(self, headers: Mapping[str, str], account: CarrierAccount, media_url: str) -> bool:
        """Whether the media upgrade is signed as the vendor does; True where the vendor does not sign."""

    def answer_with_media(self, answer: MediaAnswer) -> CarrierAnswer:
        """Connect the call's media to us."""

    def answer_with_transfer(self, wanted: TransferRequest) -> CarrierAnswer:
        """Connect the caller to someone else; it changes nothing where the carrier was told so over REST before."""

    def refuse(self, reason: str) -> CarrierAnswer:
        """Do not take the call: `busy` or `rejected`."""

    def noted(self) -> CarrierAnswer:
        """The hook told something and asked nothing."""

    def leave(self) -> CarrierAnswer:
        """Another worker has the call: what says least at this carrier."""

    def end(self) -> CarrierAnswer:
        """Nothing more to do: hang up."""

    def say_and_end(self, line: CarrierLine, *, call_id: str, answered: bool) -> CarrierAnswer:
        """Let the carrier's own voice say it, then hang up: the last resort when ours cannot speak."""

    def codec(self) -> MediaCodec:
        """A codec for one media socket."""


class CarrierCommands(Protocol):
    """A carrier that acts on commands and not on answers. Every method has a deadline. Raises: ProviderError."""

    async def perform(self, account: CarrierAccount, carrier_call_id: str, action: CarrierAction) -> bool:
        """Give the command. False: nothing happened, as the call is over already."""

    async def still_up(self, account: CarrierAccount, carrier_call_id: str, media_ended_at: datetime | None) -> bool:
        """Whether the call outlived its media; asked a moment after that ended, which is told before a call's end is.

        `None`: it ended now.
        """


class CarrierProbe(Protocol):
    """A carrier's REST, asked whether calls would come to us. The caller sets the deadline."""

    async def check(self, account: CarrierAccount, hook_url: str, numbers: Sequence[str]) -> Findings:
        """The account, and for each number whether its calls are asked about at `hook_url`.

        Raises: ProviderError, when the carrier could not be asked.
        """


class CarrierApi(Protocol):
    """REST towards the carrier. Every method has a deadline. Raises: ProviderError."""

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        """End the call; a call that is over already is success."""

    async def transfer(self, account: CarrierAccount, wanted: TransferRequest) -> None:
        """Connect the caller to someone else. Stops the media stream.

        A carrier that knows commands again acts once for the same key; the others are not told twice.
        """

    async def ask_again(self, account: CarrierAccount, carrier_call_id: str, *, after_url: str, key: str) -> None:
        """Have the carrier end the media stream and ask what comes after it, as if it had broken off.

        A call that is over already is success. `key` is of this loss of the media, as in `transfer`.
        """

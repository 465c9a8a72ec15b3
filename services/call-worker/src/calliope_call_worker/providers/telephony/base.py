"""Port: carriers. A carrier is HTTP hooks in, REST out, and a media socket; one file per vendor knows its words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from calliope.contracts.calls import CarrierRequest, CarrierResponse


@dataclass(frozen=True, slots=True)
class CarrierAccount:
    """The account that a number's hooks are signed with and its REST calls are made with."""

    account_id: str
    secret: str
    public_key: str | None = None
    connection_id: str | None = None


@dataclass(frozen=True, slots=True)
class VoiceHook:
    """A carrier's question what to do with a call. Read before it is trusted: only to find the number's credentials."""

    carrier_call_id: str
    account_id: str
    from_number: str
    to_number: str
    our_number: str
    status: str
    transfer_failed: bool = False


@dataclass(frozen=True, slots=True)
class MediaAnswer:
    """Where the carrier shall connect its media: our own address and a token that opens it once."""

    media_url: str
    token: str
    call_id: str
    after_url: str


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """The carrier's stream begins."""

    stream_id: str
    carrier_call_id: str
    parameters: dict[str, str]


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
    """Words of one media socket; pure."""

    def parse(self, text: str) -> MediaEvent | None:
        """One message of the carrier; None for what does not matter. Raises: ValueError, when it is malformed."""

    def audio(self, payload: bytes) -> str:
        """Play this audio after what was sent before."""

    def mark(self, name: str) -> str:
        """Tell us when everything before was played."""

    def clear(self) -> str:
        """Drop what is not played yet."""


class Carrier(Protocol):
    """One carrier's words: pure parts here, REST in `CarrierApi`."""

    @property
    def name(self) -> str:
        """As in the document and in hook paths."""

    def read_voice_hook(self, request: CarrierRequest) -> VoiceHook:
        """What the hook says. Raises: ValueError, when it is malformed."""

    def verify(self, request: CarrierRequest, account: CarrierAccount, public_url: str, now: float) -> bool:
        """Whether the account's secret signed this very request for our public URL."""

    def verify_media(self, headers: Mapping[str, str], account: CarrierAccount, media_url: str) -> bool:
        """Whether the media upgrade is signed as the vendor does; True where the vendor does not sign."""

    def answer_with_media(self, answer: MediaAnswer) -> CarrierResponse:
        """Connect the call's media to us."""

    def refuse(self, reason: str) -> CarrierResponse:
        """Do not take the call: `busy` or `rejected`."""

    def end(self) -> CarrierResponse:
        """Nothing more to do: hang up."""

    def say_and_end(self, text: str) -> CarrierResponse:
        """Let the carrier's own voice say it, then hang up: the last resort when ours cannot speak."""

    def codec(self) -> MediaCodec:
        """A codec for one media socket."""


class CarrierApi(Protocol):
    """REST towards the carrier. Every method has a deadline. Raises: ProviderError."""

    async def hang_up(self, account: CarrierAccount, carrier_call_id: str) -> None:
        """End the call; a call that is over already is success."""

    async def transfer(
        self, account: CarrierAccount, carrier_call_id: str, *, to_number: str, after_url: str, caller_id: str | None
    ) -> None:
        """Connect the caller to someone else; `after_url` is asked when that ends. Stops the media stream."""

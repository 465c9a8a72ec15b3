"""One Media Stream of Twilio: signed on its way in, numbers as strings, `streamSid` in every message."""

import secrets
from dataclasses import dataclass, field

from calliope_sandbox.person import FRAME_MS
from calliope_sandbox.vendors import twilio_words as words
from calliope_sandbox.vendors.carrier_stream import CarrierStream


@dataclass(slots=True, eq=False, kw_only=True)
class MediaStream(CarrierStream):
    """See `CarrierStream`."""

    account_sid: str
    call_sid: str
    auth_token: str
    parameters: dict[str, str]
    sid: str = field(default_factory=lambda: "MZ" + secrets.token_hex(16))

    def headers(self) -> dict[str, str]:
        """See `CarrierStream`."""
        return {"X-Twilio-Signature": words.sign(self.url, {}, self.auth_token), "User-Agent": "TwilioProxy/1.1"}

    def hello(self) -> list[str]:
        """See `CarrierStream`."""
        return [words.connected(), words.start(self.sid, self.account_sid, self.call_sid, self.parameters)]

    def said(self, sequence: int, chunk: int, payload: str) -> list[str]:
        """See `CarrierStream`."""
        return [words.media(self.sid, sequence, chunk, chunk * FRAME_MS, payload)]

    def pressed(self, sequence: int, digit: str) -> str:
        """See `CarrierStream`."""
        return words.dtmf(self.sid, sequence, digit)

    def passed(self, sequence: int, mark: str) -> str:
        """See `CarrierStream`."""
        return words.mark(self.sid, sequence, mark)

    def stopped(self, sequence: int) -> str:
        """See `CarrierStream`."""
        return words.stop(self.sid, sequence, self.account_sid, self.call_sid)

"""How a provider failed, in one vocabulary for every vendor; nobody above sees a vendor's own exception."""

from enum import StrEnum

from calliope.errors import CalliopeError


class Failure(StrEnum):
    """What to do follows from the class: `FATAL` ones are not tried again in this call.

    `REFUSED`: the vendor has no such model, voice or address, or takes no request as ours. The others that are a
    refusal speak of one request of a model that is in good health. `REQUEST`: the vendor does not take this one.
    `TOO_LONG`: this conversation is too long for it. `BAD_CALL`: the model wrote a tool call that its own vendor cannot
    read. `DECLINED`: the model or its vendor does not answer to what was said.
    """

    KEY = "key"
    QUOTA = "quota"
    REFUSED = "refused"
    REQUEST = "request"
    TOO_LONG = "too_long"
    BAD_CALL = "bad_call"
    DECLINED = "declined"
    RATE_LIMITED = "rate_limited"
    DEADLINE = "deadline"
    DROPPED = "dropped"
    ERROR = "error"
    MALFORMED = "malformed"


FATAL = frozenset({Failure.KEY, Failure.QUOTA, Failure.REFUSED})
OF_ONE_REQUEST = frozenset({Failure.REQUEST, Failure.TOO_LONG, Failure.BAD_CALL, Failure.DECLINED})
"""Say nothing of the next request."""
_REASONS = {Failure.REQUEST: Failure.REFUSED, Failure.TOO_LONG: Failure.REFUSED, Failure.BAD_CALL: Failure.MALFORMED}


class ProviderError(CalliopeError):
    """One provider failed. `detail` is for the developer and never holds a secret or a caller's words."""

    def __init__(self, provider: str, failure: Failure, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{provider}: {failure}: {detail}")
        self.provider = provider
        self.failure = failure
        self.detail = detail[:500]
        self.retry_after_s = retry_after_s

    @property
    def fatal(self) -> bool:
        """Whether trying the same provider again in this call is pointless."""
        return self.failure in FATAL

    @property
    def reason(self) -> str:
        """The class in the words of `call.provider_failed`, which tells less of refusals."""
        return _REASONS.get(self.failure, self.failure).value


class EndlessAnswerError(ProviderError):
    """A model wrote more than an answer can be: what came of it stands, and it is not asked to go on."""

    def __init__(self, provider: str, detail: str) -> None:
        super().__init__(provider, Failure.MALFORMED, detail)


def failure_of_status(status: int) -> Failure:
    """HTTP status of a refusal -> class; 400 and 404 are our or the document's mistake, never worth a retry."""
    if status in {401, 403}:
        return Failure.KEY
    if status == 402:
        return Failure.QUOTA
    if status == 429:
        return Failure.RATE_LIMITED
    if status in {408, 504}:
        return Failure.DEADLINE
    return Failure.REFUSED if 400 <= status < 500 and status != 409 else Failure.ERROR

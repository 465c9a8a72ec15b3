"""Port: asking a vendor once whether a call could use it, and how its answer is told."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from calliope.contracts.calls import Stage
from calliope.contracts.checks import CheckedPart
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import LanguageModel
from calliope_call_worker.providers.tts.base import TextToSpeech


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known now of one part. Without `error` and `unchecked` it is good; `hint` may say for how long.

    `unchecked`: why this vendor gave no way to know. `number`: whose, where a carrier was asked about several.
    """

    what: CheckedPart
    error: ProviderError | None = None
    unchecked: str = ""
    hint: str = ""
    number: str = ""


Findings = tuple[Finding, ...]


class NoSuchApiError(ProviderError):
    """What was asked does not exist at this address, which says nothing about keys, models or voices."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider, Failure.REFUSED, "this address does not know how to tell")


class VendorProbe(Protocol):
    """An adapter that can ask its vendor about what it was made with: one or two small requests, nothing is spoken."""

    async def check(self) -> Findings:
        """What the vendor says. The caller sets the deadline.

        Raises: ProviderError, when the vendor could not be asked: it is slow, away, or wants fewer requests.
        """


class ProbedModel(LanguageModel, VendorProbe, Protocol):
    """A language model that can be checked."""


class ProbedVoice(TextToSpeech, VendorProbe, Protocol):
    """A voice that can be checked."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question to one vendor. `path` is where the document asks for it; `paths`, where each part stands.

    `secrets` are never shown, whatever the vendor repeats of them. `own_key`: the document's, not the installation's.
    """

    stage: Stage
    provider: str
    path: str
    paths: Mapping[CheckedPart, str]
    ask: Callable[[], Awaitable[Findings]]
    own_key: bool = True
    secrets: tuple[str, ...] = field(default=(), repr=False)


def good(*parts: CheckedPart) -> Findings:
    """These are as a call needs them."""
    return tuple(Finding(part) for part in parts)


def refused(error: ProviderError, about: CheckedPart) -> Findings:
    """What follows from a refusal: `about` is to blame, unless the vendor names the key or the account.

    Raises: ProviderError, when it is about none of them.
    """
    if isinstance(error, NoSuchApiError):
        raise error
    match error.failure:
        case Failure.KEY:
            return (Finding(CheckedPart.KEY, error),)
        case Failure.QUOTA:
            return (*good(CheckedPart.KEY), Finding(CheckedPart.ACCOUNT, error))
        case Failure.REFUSED | Failure.REQUEST | Failure.TOO_LONG:
            return (*good(CheckedPart.KEY), Finding(about, error))
        case _:
            raise error

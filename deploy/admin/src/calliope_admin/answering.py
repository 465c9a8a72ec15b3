"""Whether a number would be answered, and if not, why and what to do. Pure; of the document, contracts judge."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from calliope.contracts.assistants import ResolvedNumber
from calliope.contracts.document.answering import unanswered
from calliope.contracts.errors import ErrorCode, Problem
from calliope.contracts.workers import WorkerDescription

_HOOKS: Final = {
    "twilio": "In Twilio's console, under the number, “A call comes in” must be a webhook, HTTP POST, to {url}",
    "telnyx": "In Telnyx's portal, the Call Control application of the number must have the webhook URL {url}",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why nobody would answer, and the next step."""

    sentence: str
    advice: str


def unresolved(number: str, problem: Problem) -> Reason:
    """Nobody is found behind the number."""
    if problem.code is not ErrorCode.NOT_FOUND:
        return Reason(
            f"The assistants service cannot tell who answers {number} ({problem.message}).",
            "start it, and see `calliope-admin doctor`; workers go on with numbers that they have asked about before",
        )
    if "assistant" in problem.message:
        return Reason(f"The assistant of {number} was deleted.", _assign(number))
    return Reason(f"No organization of this installation has {number}.", _assign(number))


def reasons(resolved: ResolvedNumber, workers: Sequence[WorkerDescription]) -> list[Reason]:
    """Everything that keeps its calls from being answered, as far as can be known from here."""
    accounts = {carrier for worker in workers for carrier in worker.carriers}
    found = [
        Reason(f"{problem.message[:1].upper()}{problem.message[1:]} ({problem.path}).", problem.hint or "")
        for problem in unanswered(
            resolved.carrier, resolved.assistant.document, installation=accounts if workers else None
        )
    ]
    if not workers:
        found.append(Reason("No call-worker answers.", "start one: `python -m calliope_call_worker`"))
    elif not any(worker.free for worker in workers):
        words = f"No call-worker has a free slot ({len(workers)} asked)."
        found.append(Reason(words, "start more of them, or raise CALLIOPE_SLOTS"))
    return found


def hook_hints(resolved: ResolvedNumber, workers: Sequence[WorkerDescription]) -> list[str]:
    """What has to be set at the carrier, which only its owner can see."""
    addresses = sorted({worker.public_url for worker in workers}) or ["https://…"]
    return [_HOOKS[resolved.carrier].format(url=f"{url}/telephony/{resolved.carrier}/voice") for url in addresses]


def _assign(number: str) -> str:
    return f'give it to one: PUT /api/v1/phone-numbers/{number} with {{"assistant_id": "…", "carrier": "twilio"}}'

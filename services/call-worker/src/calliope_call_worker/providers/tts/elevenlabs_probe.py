"""What ElevenLabs' answers about a voice and about its models prove. Pure."""

from typing import Any, Final

from calliope.contracts.checks import CheckedPart
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.providers.probe import Finding, Findings, NoSuchApiError, good, refused
from calliope_call_worker.providers.tts.elevenlabs_words import NAME, error_of

KEY, VOICE, MODEL = CheckedPart.KEY, CheckedPart.VOICE, CheckedPart.MODEL
_MAY_NOT_LOOK: Final = "missing_permissions"
_SPEAKS_ONLY: Final = "this key may not read {}; it may well speak"


def voice_findings(status: int, body: Any) -> Findings:
    """Of `GET /v1/voices/{id}`. Raises: ProviderError, when the vendor is in trouble."""
    if status == 200:
        return good(KEY, VOICE)
    failure, name = _refusal(status, body)
    if status == 404 and not name:
        raise NoSuchApiError(NAME)
    if name == _MAY_NOT_LOOK:
        return (*good(KEY), Finding(VOICE, unchecked=_SPEAKS_ONLY.format("voices")))
    return refused(ProviderError(NAME, failure, f"{status} {name}".strip()), VOICE)


def model_finding(model: str, status: int, body: Any) -> Finding:
    """Of `GET /v1/models`."""
    if status != 200 or not isinstance(body, list):
        _, name = _refusal(status, body)
        why = _SPEAKS_ONLY.format("models") if name == _MAY_NOT_LOOK else f"its models were not told: {status} {name}"
        return Finding(MODEL, unchecked=why.strip())
    speaking = [
        str(one.get("model_id"))
        for one in body
        if isinstance(one, dict) and one.get("can_do_text_to_speech", True) is not False
    ]
    if model in speaking:
        return Finding(MODEL)
    error = ProviderError(NAME, Failure.REFUSED, f"no model {model} that speaks")
    return Finding(MODEL, error, hint=f"it has {', '.join(speaking[:8])}")


def _refusal(status: int, body: Any) -> tuple[Failure, str]:
    """The vendor's own name for what is wrong decides; the status where it has none that is known."""
    failure, name = (error_of(body) if isinstance(body, dict) else None) or (Failure.ERROR, "")
    return (failure_of_status(status) if failure is Failure.ERROR else failure), name

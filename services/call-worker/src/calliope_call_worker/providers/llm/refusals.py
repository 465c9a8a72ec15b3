"""Reads what a vendor says when it refuses, whatever the shape of its error: its class, its words. Pure.

Codes count before words and words before the status: a 400 may be about the key, the credit, the model, the
conversation or what the model itself wrote.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status

MAX_WORDS: Final = 300
_BY_CODE: Final[Mapping[str, Failure]] = {
    "invalid_api_key": Failure.KEY,
    "authentication_error": Failure.KEY,
    "insufficient_quota": Failure.QUOTA,
    "billing_hard_limit_reached": Failure.QUOTA,
    "billing_not_active": Failure.QUOTA,
    "billing_error": Failure.QUOTA,
    "enforced_spend_limit_reached": Failure.QUOTA,
    "model_not_found": Failure.REFUSED,
    "model_decommissioned": Failure.REFUSED,
    "model_not_active": Failure.REFUSED,
    "not_found_error": Failure.REFUSED,
    "tool_use_failed": Failure.BAD_CALL,
    "output_parse_failed": Failure.BAD_CALL,
    "json_validate_failed": Failure.BAD_CALL,
    "context_length_exceeded": Failure.TOO_LONG,
    "string_above_max_length": Failure.TOO_LONG,
    "request_too_large": Failure.TOO_LONG,
    "content_filter": Failure.DECLINED,
    "content_policy_violation": Failure.DECLINED,
    "responsibleaipolicyviolation": Failure.DECLINED,
}
_OF_NO_STATUS: Final[Mapping[str, Failure]] = {
    "permission_error": Failure.KEY,
    "rate_limit_exceeded": Failure.RATE_LIMITED,
    "rate_limit_error": Failure.RATE_LIMITED,
    "tokens": Failure.RATE_LIMITED,
    "requests": Failure.RATE_LIMITED,
    "timeout_error": Failure.DEADLINE,
    "invalid_request_error": Failure.REQUEST,
}
"""Of an error inside a stream that began well; where there is a status, that says the same."""
_BY_WORDS: Final = (
    (Failure.KEY, r"(incorrect|invalid|wrong|expired|revoked|missing) (api|x-api)[ -]?key"),
    (Failure.KEY, r"api[ -]?key (is )?(not |in)valid"),
    (Failure.QUOTA, r"credit balance|insufficient (credit|fund|balance|quota)|out of credit|used all available credit"),
    (Failure.QUOTA, r"exceeded your current quota|(spending|spend|usage) limit (was |has been )?(reached|exceeded)"),
    (Failure.REFUSED, r"model\b.{0,80}(does not exist|not exist|not found|decommissioned|not a valid model)"),
    (Failure.REFUSED, r"(unknown|invalid|no such) model\b(?! (output|response|answer))|not a valid model"),
    (Failure.REFUSED, r"model\b.{0,60}(was|has been|is) (retired|removed)"),
    (Failure.TOO_LONG, r"(context|prompt|input|conversation).{0,60}(too (long|large)|exceed|maximum)"),
    (Failure.TOO_LONG, r"maximum context|context (length|window|size)|request too large"),
    (Failure.TOO_LONG, r"reduce the length|too many (input )?tokens"),
    (Failure.BAD_CALL, r"failed to (call a function|parse tool call)|failed_generation"),
    (Failure.DECLINED, r"content[ _-]?(filter|policy|management|moderation)|usage guidelines|flagged|safety system"),
)
_WORDS: Final = tuple((failure, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for failure, pattern in _BY_WORDS)
_JUDGED_BY_WORDS: Final[Mapping[int, frozenset[Failure]]] = {
    **dict.fromkeys((400, 403, 422), frozenset(Failure)),
    429: frozenset({Failure.QUOTA}),
}
"""By status, the classes that words can tell. A 400 has been used for everything."""
_NO_SUCH_ADDRESS: Final = frozenset({404, 405, 410, 421})
_PLACES: Final = (
    "message",
    "detail",
    "error_description",
    "error_message",
    "msg",
    "error",
    "errors",
    "details",
    "title",
)
_NAMED: Final = ("code", "type", "status", "error_code")
_SECRETS: Final = (
    re.compile(r"\b(?:sk|pk|rk|xai|gsk|key|pplx|hf|r8|csk|fw)[-_][\w*.-]+|\bAIza[\w*-]+|\bBearer\s+\S+", re.IGNORECASE),
    re.compile(r"(?<=key provided: )\S+|(?<=key: )\S+", re.IGNORECASE),
    re.compile(r"\S*(?:\*{2,}|\u2022{2,}|\.{3,}\w)\S*"),
    re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{24,}\b"),
    re.compile(r"\S*://\S+|\S+@\S+"),
)
_HIDDEN: Final = "(hidden)"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error says: its codes as they are written, the parameter it names, the words for a person."""

    codes: tuple[str, ...] = ()
    parameter: str = ""
    words: str = ""


def read_refusal(body: Any) -> Refusal:
    """The error of a body or of an event: an object, a list, a text, at any of the usual places."""
    found = list(_levels(body, 4))
    codes = [str(level[name]) for level in found for name in _NAMED if _is_code(level.get(name))]
    parameter = next((level["param"] for level in found if isinstance(level.get("param"), str)), "")
    if not parameter:
        parameter = next((str(level["loc"][-1]) for level in found if level.get("loc") and _is_list(level["loc"])), "")
    said = (level[name] for level in reversed(found) for name in _PLACES if isinstance(level.get(name), str))
    words = body if isinstance(body, str) else next((text for text in said if text.strip()), "")
    sentence = next((code for code in codes if " " in code), "")
    return Refusal(tuple(code for code in codes if " " not in code), parameter, words or sentence)


def failure_of(refusal: Refusal, status: int | None) -> Failure:
    """The class of a refusal. `status` is None inside a stream that began well."""
    codes = [code.lower() for code in refusal.codes]
    for code in codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    if status is None:
        status = next((int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600), None)
    if status is None:
        told = next((_OF_NO_STATUS[code] for code in codes if code in _OF_NO_STATUS), Failure.ERROR)
        return told if told not in {Failure.ERROR, Failure.REQUEST} else _by_words(refusal.words) or told
    if failure := _by_words(refusal.words, _JUDGED_BY_WORDS.get(status, frozenset())):
        return failure
    if status == 413:
        return Failure.TOO_LONG
    if status in _NO_SUCH_ADDRESS:
        return Failure.REFUSED
    failure = failure_of_status(status)
    return Failure.REQUEST if failure is Failure.REFUSED else failure


def _by_words(words: str, judged: frozenset[Failure] = frozenset(Failure)) -> Failure | None:
    return next((failure for failure, pattern in _WORDS if failure in judged and pattern.search(words)), None)


def provider_error(
    provider: str,
    refusal: Refusal,
    status: int | None,
    retry_after_s: float | None,
    failure: Failure | None = None,
) -> ProviderError:
    """The error, with the vendor's own words. `failure` is what only this vendor can know."""
    failure = failure or failure_of(refusal, status)
    known = dict.fromkeys(part for part in (str(status or ""), *refusal.codes, refusal.parameter) if part)
    detail = " ".join(known)
    words = without_secrets(refusal.words)
    if words and failure is not Failure.DECLINED:  # that one may quote the caller
        detail = f"{detail}: {words}" if detail else words
    return ProviderError(provider, failure, detail or "an error without words", retry_after_s=retry_after_s)


def without_secrets(words: str) -> str:
    """The beginning of a vendor's words on one line, with nothing in it that may be a key, whole or masked."""
    line = " ".join(words.split())[: 4 * MAX_WORDS]
    for pattern in _SECRETS:
        line = pattern.sub(_HIDDEN, line)
    return line[:MAX_WORDS]


def _levels(body: Any, deep: int) -> Iterator[dict[str, Any]]:
    """The objects of an error, outermost first."""
    if _is_list(body):
        for one in body[:1]:
            yield from _levels(one, deep)
    elif isinstance(body, dict):
        yield body
        for name in _PLACES if deep else ():
            if isinstance(body.get(name), dict | list):
                yield from _levels(body[name], deep - 1)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value)


def _is_code(value: Any) -> bool:
    return (isinstance(value, str) and value not in {"", "error"}) or (
        isinstance(value, int) and not isinstance(value, bool)
    )

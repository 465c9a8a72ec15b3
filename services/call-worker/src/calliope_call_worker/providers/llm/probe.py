"""Asks for a language model: first for its description, which costs nothing, then for a few words of it."""

from collections.abc import Mapping
from typing import Any

import aiohttp
from aiohttp import ClientSession

from calliope.contracts.checks import CheckedPart
from calliope.egress import is_blocked
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.llm.base import LanguageModel, LlmRequest, UserMessage
from calliope_call_worker.providers.llm.streaming import Endpoint
from calliope_call_worker.providers.probe import Finding, Findings, good, refused
from calliope_call_worker.providers.wire import fail, get_json, retry_after_s

KEY, MODEL, ADDRESS = CheckedPart.KEY, CheckedPart.MODEL, CheckedPart.ADDRESS
# Some reasoning models answer 400 when the limit leaves them no room.
_FEW_WORDS = LlmRequest("Answer with one word.", (UserMessage("Say yes."),), max_tokens=16)
_UNKNOWN_MODEL = frozenset({"model_not_found", "not_found_error", "NOT_FOUND"})


async def check_model(model: LanguageModel, session: ClientSession, endpoint: Endpoint) -> Findings:
    """See `VendorProbe`. Where the description proves nothing, a request as calls make it does."""
    try:
        found = None if endpoint.model_url is None else await _described(session, endpoint, endpoint.model_url)
        return found or await _answering(model)
    except ProviderError as exc:
        return _about_address(exc)


async def check_address(session: ClientSession, endpoint: Endpoint) -> Findings:
    """For a server that is asked within calls only: whether it takes connections. Raises: ProviderError."""
    try:
        async with session.head(endpoint.url, allow_redirects=False):
            pass
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        try:
            fail(endpoint.provider, exc)
        except ProviderError as error:
            return _about_address(error)
    asked_in_calls = "this server is asked within calls only, as it is told who calls whom"
    return (*good(ADDRESS), Finding(MODEL, unchecked=asked_in_calls))


async def _described(session: ClientSession, endpoint: Endpoint, url: str) -> Findings | None:
    """What the description of the model proves; None, when it proves nothing.

    A 404 proves something only when it is about the model: behind other addresses this API may not exist. A 403 is
    what a key gets that may do nothing but chat.
    """
    try:
        answer = await get_json(session, url, provider=endpoint.provider, headers=endpoint.headers)
    except ProviderError as exc:
        if exc.failure is not Failure.MALFORMED:
            raise
        return None
    if answer.status == 200:
        return (*good(KEY), _lifecycle(endpoint.provider, answer.body if isinstance(answer.body, dict) else {}))
    error = endpoint.refusal(endpoint.provider, answer.status, answer.body, retry_after_s(answer.headers))
    if answer.status == 404 and _codes(answer.body) & _UNKNOWN_MODEL:
        return (*good(KEY), Finding(MODEL, error))
    if error.failure is Failure.KEY and answer.status != 403:
        return (Finding(KEY, error),)
    return None


def _lifecycle(provider: str, description: Mapping[str, Any]) -> Finding:
    """Catalogues keep models that are not served any more (Anthropic), and say when one ends (Anthropic, OpenAI)."""
    stage, ends = description.get("lifecycle"), description.get("shutdown_date")
    if stage == "retired":
        return Finding(
            MODEL, ProviderError(provider, Failure.REFUSED, "the model is retired: it is not served any more")
        )
    if stage == "deprecated":
        return Finding(MODEL, hint="the vendor will retire this model: choose its successor soon")
    if isinstance(ends, str) and ends:
        return Finding(MODEL, hint=f"the vendor ends this model on {ends[:10]}: choose its successor before")
    return Finding(MODEL)


async def _answering(model: LanguageModel) -> Findings:
    """What an answer proves; it is paid for, some 20 tokens."""
    try:
        async with model.stream(_FEW_WORDS) as events:
            async for _ in events:
                break
    except ProviderError as exc:
        if exc.failure in {Failure.DECLINED, Failure.BAD_CALL}:  # the model is well, it only does not like to be asked
            return good(KEY, MODEL)
        if is_blocked(exc):
            raise
        return refused(exc, MODEL)
    return good(KEY, MODEL)


def _about_address(error: ProviderError) -> Findings:
    """An address that must not be asked is a mistake of the document. Raises: ProviderError, for anything else."""
    if not is_blocked(error):
        raise error
    return (Finding(ADDRESS, error),)


def _codes(body: object) -> set[str]:
    """What a vendor calls its error, wherever it says so."""
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error") if isinstance(body, dict) else None
    return {str(error.get(name)) for name in ("code", "type", "status")} if isinstance(error, dict) else set()

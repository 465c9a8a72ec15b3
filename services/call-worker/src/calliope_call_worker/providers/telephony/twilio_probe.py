"""Whether calls to Twilio numbers come to us: the account, and where each number's calls are asked about.

Source: Twilio's documentation of the Account and IncomingPhoneNumber resources.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from calliope.contracts.checks import CheckedPart
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.providers.probe import Finding, Findings, NoSuchApiError, good, refused
from calliope_call_worker.providers.telephony.asking import each, same_address, shown
from calliope_call_worker.providers.telephony.base import CarrierAccount
from calliope_call_worker.providers.telephony.twilio import NAME, authorization
from calliope_call_worker.providers.wire import get_json, retry_after_s

ACCOUNT, NUMBER = CheckedPart.ACCOUNT, CheckedPart.NUMBER
_METHODS: Final = {"POST", "GET"}
_OVERRULES: Final = {"voice_application_sid": "a TwiML application", "trunk_sid": "a SIP trunk"}


class TwilioProbe:
    """See `CarrierProbe`."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")

    async def check(self, account: CarrierAccount, hook_url: str, numbers: Sequence[str]) -> Findings:
        """See `CarrierProbe`."""
        try:
            known = await self._get(account, ".json")
        except ProviderError as exc:
            return refused(exc, ACCOUNT)
        status = str(known.get("status") or "active")
        if status != "active":
            error = ProviderError(NAME, Failure.REFUSED, f"the account is {status}")
            return (*good(CheckedPart.KEY), Finding(ACCOUNT, error, hint="Twilio's console says why"))

        async def ask(number: str) -> Finding:
            return await self._number(account, hook_url, number)

        return (*good(CheckedPart.KEY, ACCOUNT), *await each(numbers, ask))

    async def _number(self, account: CarrierAccount, hook_url: str, number: str) -> Finding:
        page = await self._get(account, "/IncomingPhoneNumbers.json", {"PhoneNumber": number})
        held = [one for one in page.get("incoming_phone_numbers") or () if isinstance(one, dict)]
        mine = next((one for one in held if one.get("phone_number") == number), None)
        if mine is None:
            error = ProviderError(NAME, Failure.REFUSED, "the account does not own this number")
            return Finding(NUMBER, error, hint="is it in a subaccount, or at another carrier?", number=number)
        wrong = _wrong(mine, hook_url)
        if wrong is None:
            return Finding(NUMBER, number=number)
        hint = f'set "A call comes in" of the number to Webhook, {hook_url}, HTTP POST'
        return Finding(NUMBER, ProviderError(NAME, Failure.REFUSED, wrong), hint=hint, number=number)

    async def _get(
        self, account: CarrierAccount, path: str, query: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        answer = await get_json(
            self._session,
            f"{self._base_url}/2010-04-01/Accounts/{quote(account.account_id, safe='')}{path}",
            provider=NAME,
            headers=authorization(account),
            params=query,
        )
        said: Mapping[str, Any] = answer.body if isinstance(answer.body, dict) else {}
        if answer.status == 200:
            return said
        if answer.status == 404 and "code" not in said:
            raise NoSuchApiError(NAME)
        detail = f"{answer.status} {said.get('code', '')} {str(said.get('message', ''))[:200]}".strip()
        failure = failure_of_status(answer.status)
        raise ProviderError(NAME, failure, detail, retry_after_s=retry_after_s(answer.headers))


def _wrong(number: Mapping[str, Any], hook_url: str) -> str | None:
    """Why calls to this number are not asked about at our address, if they are not."""
    for name, what in _OVERRULES.items():
        if number.get(name):
            return f"its calls go to {what} ({number[name]}), so its voice URL counts for nothing"
    voice_url, method = str(number.get("voice_url") or ""), str(number.get("voice_method") or "POST").upper()
    if not same_address(voice_url, hook_url):
        return f"its voice URL is {shown(voice_url)}, not {hook_url}"
    return None if method in _METHODS else f"its voice URL is asked with {method}; it has to be POST or GET"

"""Whether calls to Telnyx numbers come to us: the application that tells of calls, and which numbers belong to it.

Source: Telnyx's documentation of Call Control applications and phone numbers.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from calliope.contracts.checks import CheckedPart
from calliope_call_worker.providers.errors import Failure, ProviderError, failure_of_status
from calliope_call_worker.providers.probe import Finding, Findings, NoSuchApiError, good, refused
from calliope_call_worker.providers.telephony.asking import each, same_address, shown
from calliope_call_worker.providers.telephony.base import CarrierAccount
from calliope_call_worker.providers.telephony.telnyx_api import NAME
from calliope_call_worker.providers.wire import get_json, retry_after_s

APPLICATION, ACCOUNT, NUMBER = CheckedPart.APPLICATION, CheckedPart.ACCOUNT, CheckedPart.NUMBER


class TelnyxProbe:
    """See `CarrierProbe`."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")

    async def check(self, account: CarrierAccount, hook_url: str, numbers: Sequence[str]) -> Findings:
        """See `CarrierProbe`."""
        try:
            said = await self._get(account, f"/call_control_applications/{quote(account.account_id, safe='')}")
        except ProviderError as exc:
            return refused(exc, APPLICATION)

        async def ask(number: str) -> Finding:
            return await self._number(account, number)

        application = Finding(APPLICATION) if (wrong := _wrong(_data(said), hook_url)) is None else wrong
        return (*good(CheckedPart.KEY), *_public_key(account), application, *await each(numbers, ask))

    async def _number(self, account: CarrierAccount, number: str) -> Finding:
        page = await self._get(account, "/phone_numbers", {"filter[phone_number]": number})
        held = [one for one in page.get("data") or () if isinstance(one, dict)]
        mine = next((one for one in held if one.get("phone_number") == number), None)
        if mine is None:
            error = ProviderError(NAME, Failure.REFUSED, "the account does not own this number")
            return Finding(NUMBER, error, hint="is it at another carrier, or in another account?", number=number)
        connection = str(mine.get("connection_id") or "")
        if connection == account.account_id:
            return Finding(NUMBER, number=number)
        other = f"belongs to connection {connection}" if connection else "belongs to no connection"
        error = ProviderError(NAME, Failure.REFUSED, f"it {other}, not to {account.account_id}")
        hint = f"assign the number to the Call Control application {account.account_id}"
        return Finding(NUMBER, error, hint=hint, number=number)

    async def _get(
        self, account: CarrierAccount, path: str, query: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {account.secret}"}
        answer = await get_json(self._session, self._base_url + path, provider=NAME, headers=headers, params=query)
        said: Mapping[str, Any] = answer.body if isinstance(answer.body, dict) else {}
        if answer.status == 200:
            return said
        if answer.status == 404 and "errors" not in said:
            raise NoSuchApiError(NAME)
        errors = [error for error in said.get("errors") or () if isinstance(error, dict)]
        words = ", ".join(f"{error.get('code')} {error.get('title', '')}" for error in errors)
        failure, wait_s = failure_of_status(answer.status), retry_after_s(answer.headers)
        raise ProviderError(NAME, failure, f"{answer.status} {words}".strip(), retry_after_s=wait_s)


def _data(said: Mapping[str, Any]) -> Mapping[str, Any]:
    data = said.get("data")
    return data if isinstance(data, dict) else {}


def _public_key(account: CarrierAccount) -> Findings:
    """Without it no hook can be told from a forged one, and every call is refused."""
    if account.public_key is not None:
        return ()
    error = ProviderError(NAME, Failure.REFUSED, "no public key is known, so no hook of Telnyx can be verified")
    return (Finding(ACCOUNT, error, hint="set telnyx_config.public_key: Telnyx shows it under Keys & Credentials"),)


def _wrong(application: Mapping[str, Any], hook_url: str) -> Finding | None:
    """Why the application does not tell us of calls, if it does not."""
    url, version = str(application.get("webhook_event_url") or ""), str(application.get("webhook_api_version") or "")
    hint = f"set the webhook URL of the application to {hook_url}, API version 2"
    if application.get("active") is False:
        why, hint = "the application is switched off", "activate the Call Control application"
    elif not same_address(url, hook_url):
        why = f"its webhook URL is {shown(url)}, not {hook_url}"
    elif version != "2":
        why = f"its webhooks are of API version {version or 'unknown'}, not 2"
    else:
        return None
    return Finding(APPLICATION, ProviderError(NAME, Failure.REFUSED, why), hint=hint)

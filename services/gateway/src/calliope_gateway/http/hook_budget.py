"""How many refused hooks one sender may cause: whose signature is wrong is known only after a worker was asked.

Carriers send the hooks of all their customers from the same addresses. So a budget counts for one account at one
address: who set a wrong token up slows only that account. All accounts that one address names together have a larger
one, because whoever invents hooks invents accounts too. What was answered well is not counted.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from calliope.contracts.calls import CarrierRequest, CarrierResponse
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError
from calliope.observability import metrics
from calliope.rate import RateLimit

ACCOUNTS_PER_ADDRESS: Final = 5
_REFUSALS: Final = {401, 403, 404}
_ACCOUNT: Final = {
    "twilio": re.compile(rb"(?:^|[?&])AccountSid=([A-Za-z0-9]{1,64})"),
    "telnyx": re.compile(rb'"connection_id"\s*:\s*"([A-Za-z0-9]{1,64})"'),
}
_SLOWED: Final = metrics.counter(
    "calliope_hooks_slowed_total", "Hooks refused because their sender had too many refused ones before.", "carrier"
)


class HookBudget:
    """Asked before a worker is."""

    def __init__(self, *, rate_per_s: float, burst: int) -> None:
        self._of_account = RateLimit(rate_per_s=rate_per_s, burst=burst)
        self._of_address = RateLimit(rate_per_s=rate_per_s * ACCOUNTS_PER_ADDRESS, burst=burst * ACCOUNTS_PER_ADDRESS)

    @contextmanager
    def asked(self, hook: CarrierRequest, client: str, now: float) -> Iterator["Asked"]:
        """Around asking a worker; the block says what was answered. Raises: CommandError `rate_limited`."""
        account = f"{client} {hook.carrier} {account_of(hook)}"
        wait_s = self._of_account.wait_s(account, now)
        if not wait_s and (wait_s := self._of_address.wait_s(client, now)):
            self._of_account.give_back(account)
        if wait_s:
            _SLOWED.labels(hook.carrier).inc()
            words = "too many requests of this account with a wrong signature came from your address"
            raise CommandError(ErrorCode.RATE_LIMITED, words, retry_after_s=max(wait_s, 1.0))
        asked = Asked()
        try:
            yield asked
        finally:
            if asked.answer is None or asked.answer.status not in _REFUSALS:
                self._of_account.give_back(account)
                self._of_address.give_back(client)


class Asked:
    """One question."""

    answer: CarrierResponse | None = None


def account_of(hook: CarrierRequest) -> str:
    """The account that a hook names; anybody may name any."""
    found = _ACCOUNT[hook.carrier].search(hook.path_and_query.encode() + b"&" + hook.body)
    return found[1].decode() if found else ""

"""Whose account at a carrier verifies a call's hooks and makes its requests: the assistant's, or the installation's."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from calliope.caches import BoundedCache
from calliope.contracts.assistants import SealedSecret, secret_context
from calliope.contracts.base import STORED
from calliope.contracts.document.spec import AssistantSpec, TelnyxConfig, TwilioConfig
from calliope.errors import PermanentError
from calliope.secrets import Opener
from calliope_call_worker.providers.errors import Failure, ProviderError
from calliope_call_worker.providers.telephony.base import CarrierAccount
from calliope_call_worker.settings import CarriersSettings

CACHE_BYTES: Final = 2 * 1024 * 1024
CONFIGS: Final = {"twilio": "twilio_config", "telnyx": "telnyx_config"}
"""Where the document holds the account of each carrier."""
_SECRETS: Final = {"twilio": "auth_token", "telnyx": "api_key"}


class NoAccountError(PermanentError):
    """Nobody has an account at the carrier that the call came from."""


async def with_known_key(
    accounts: Iterable[CarrierAccount], command: Callable[[CarrierAccount], Awaitable[None]]
) -> None:
    """Give a carrier a command with the first of these accounts whose key it knows; with none, it is not given.

    Raises: ProviderError, when the carrier refuses or fails for any other reason.
    """
    for account in accounts:
        try:
            await command(account)
        except ProviderError as exc:
            if exc.failure is not Failure.KEY:
                raise
        else:
            return


class CarrierAccounts:
    """Opens accounts without the document around them; what was opened is kept, as every hook needs one."""

    def __init__(self, settings: CarriersSettings, opener: Opener) -> None:
        self._settings = settings
        self._opener = opener
        self._opened: BoundedCache[tuple[str, ...], CarrierAccount] = BoundedCache(CACHE_BYTES)

    def of(
        self, carrier: str, config: Mapping[str, Any] | None, *, organization_id: str, assistant_id: str
    ) -> CarrierAccount:
        """The account for a call of this assistant; `config` is the carrier's part of its document, secrets sealed.

        Raises: PermanentError, when the secret does not open; NoAccountError, when there is no account at all.
        """
        if config is None:
            return _needed(carrier, own_account(carrier, self._settings))
        secret = config.get(_SECRETS[carrier])
        sealed = str(secret.get("sealed")) if isinstance(secret, Mapping) else str(secret)
        shown = sorted(f"{name}={value}" for name, value in config.items() if value is not secret)
        key = (carrier, organization_id, assistant_id, sealed, *shown)
        account = self._opened.get(key)
        if account is None:
            account = self._open(carrier, config, organization_id, assistant_id)
            self._opened.put(key, account, sum(map(len, key)) + len(account.secret))
        return account

    def _open(self, carrier: str, config: Mapping[str, Any], organization_id: str, assistant_id: str) -> CarrierAccount:
        plain, name, path = dict(config), _SECRETS[carrier], CONFIGS[carrier]
        if isinstance(sealed := plain.get(name), Mapping):
            context = secret_context(organization_id, assistant_id, (path, name))
            plain[name] = self._opener.open(SealedSecret.model_validate(sealed), context=context)
        try:
            if carrier == "twilio":
                return _twilio(TwilioConfig.model_validate(plain, context=STORED))
            return _telnyx(TelnyxConfig.model_validate(plain, context=STORED), self._settings)
        except ValidationError as exc:  # its words hold the secret
            fields = ", ".join(".".join(map(str, (path, *error["loc"]))) for error in exc.errors(include_input=False))
            raise PermanentError(f"the account of {assistant_id} is refused now: {fields}") from None


def account_for(carrier: str, spec: AssistantSpec, settings: CarriersSettings) -> CarrierAccount:
    """The account of an opened document. Raises: NoAccountError, when there is neither its own nor ours."""
    if carrier == "twilio" and spec.twilio_config is not None:
        return _twilio(spec.twilio_config)
    if carrier == "telnyx" and spec.telnyx_config is not None:
        return _telnyx(spec.telnyx_config, settings)
    return _needed(carrier, own_account(carrier, settings))


def own_account(carrier: str, settings: CarriersSettings) -> CarrierAccount | None:
    """The installation's account at a carrier; a variable that is set to nothing names none."""
    twilio, telnyx = settings.twilio, settings.telnyx
    if carrier == "twilio" and twilio.account_sid and twilio.auth_token and twilio.auth_token.get_secret_value():
        return CarrierAccount(twilio.account_sid, twilio.auth_token.get_secret_value())
    if carrier == "telnyx" and telnyx.connection_id and telnyx.api_key and telnyx.api_key.get_secret_value():
        return CarrierAccount(telnyx.connection_id, telnyx.api_key.get_secret_value(), telnyx.public_key or None)
    return None


def _twilio(config: TwilioConfig) -> CarrierAccount:
    return CarrierAccount(config.account_sid, config.auth_token.get_secret_value())


def _telnyx(config: TelnyxConfig, settings: CarriersSettings) -> CarrierAccount:
    key = config.public_key or settings.telnyx.public_key
    return CarrierAccount(config.connection_id, config.api_key.get_secret_value(), key)


def _needed(carrier: str, account: CarrierAccount | None) -> CarrierAccount:
    if account is None:
        raise NoAccountError(f"the assistant has no {carrier} account, and neither has this installation")
    return account

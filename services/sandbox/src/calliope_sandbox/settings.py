"""Settings of the sandbox: where it listens, and whose account every phone number belongs to."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

Account = Mapping[str, Any]

MEANING: Final = "meaning"
_PREFIX: Final = "CALLIOPE_SANDBOX_"
_ACCOUNT: Final = (
    "The account of every {} number that was not registered: JSON, as `PUT /sandbox/{}/numbers/{{number}}` takes."
)


class SettingsError(ValueError):
    """A variable that cannot be used; the text names it."""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """`CALLIOPE_SANDBOX_HOST` and so on; port 0 takes a free one. Loopback only."""

    host: str = field(default="127.0.0.1", metadata={MEANING: "Address on which it listens; loopback only."})
    port: int = field(default=8090, metadata={MEANING: "Port of its vendors and of its page; 0 takes a free one."})
    tls_port: int | None = field(
        default=None, metadata={MEANING: "Port on which it serves the same over TLS. Unset: nowhere."}
    )
    tls_ca_file: Path = field(
        default=Path("sandbox-ca.pem"),
        metadata={MEANING: "File to which it writes the authority of that TLS, for CALLIOPE_EGRESS__CA_FILE."},
    )
    twilio_account: Account | None = field(
        default=None, repr=False, metadata={MEANING: _ACCOUNT.format("Twilio", "twilio")}
    )
    telnyx_account: Account | None = field(
        default=None, repr=False, metadata={MEANING: _ACCOUNT.format("Telnyx", "telnyx")}
    )

    @property
    def accounts(self) -> dict[str, Account]:
        """By carrier."""
        found = {"twilio": self.twilio_account, "telnyx": self.telnyx_account}
        return {carrier: account for carrier, account in found.items() if account is not None}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "SandboxSettings":
        """Raises: SettingsError."""
        return cls(
            host=environment.get(f"{_PREFIX}HOST", "127.0.0.1"),
            port=_port("PORT", environment.get(f"{_PREFIX}PORT", "8090")),
            tls_port=_port("TLS_PORT", tls_port) if (tls_port := environment.get(f"{_PREFIX}TLS_PORT")) else None,
            tls_ca_file=Path(environment.get(f"{_PREFIX}TLS_CA_FILE") or "sandbox-ca.pem"),
            twilio_account=_account(environment, f"{_PREFIX}TWILIO_ACCOUNT"),
            telnyx_account=_account(environment, f"{_PREFIX}TELNYX_ACCOUNT"),
        )


def variables() -> dict[str, tuple[str, str]]:
    """Every variable with its default and its meaning."""
    shown = {each: "" if each.default is None else str(each.default) for each in fields(SandboxSettings)}
    return {f"{_PREFIX}{each.name.upper()}": (default, each.metadata[MEANING]) for each, default in shown.items()}


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise SettingsError(f"{_PREFIX}{name} must be a port from 0 to 65535, not {text!r}")
    return int(text)


def _account(environment: Mapping[str, str], name: str) -> Account | None:
    if not (text := environment.get(name, "")):
        return None
    try:
        account = json.loads(text)
    except ValueError as exc:
        raise SettingsError(f"{name} is not JSON: {exc}") from exc
    if not isinstance(account, dict):
        raise SettingsError(f"{name} must be a JSON object")
    return account

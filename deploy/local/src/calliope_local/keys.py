"""Keys of a local installation, made once and kept in its data folder, readable by its owner only."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from calliope import api_keys
from calliope.secrets import generate_key, public_key_of
from calliope_local.folder import FolderError


def _account_sid() -> str:
    return "AC" + secrets.token_hex(16)


def _auth_token() -> str:
    return secrets.token_hex(16)


def _connection_id() -> str:
    return str(10**18 + secrets.randbelow(10**18))


def _api_key() -> str:
    return "KEY" + secrets.token_hex(24)


def _signing_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class LocalKeys:
    """An API key, key pairs to seal secrets to call-workers and webhooks, accounts at the sandbox's carriers."""

    api_key: str = field(default_factory=api_keys.generate)
    calls_private: str = field(default_factory=generate_key)
    webhooks_private: str = field(default_factory=generate_key)
    twilio_account_sid: str = field(default_factory=_account_sid)
    twilio_auth_token: str = field(default_factory=_auth_token)
    telnyx_connection_id: str = field(default_factory=_connection_id)
    telnyx_api_key: str = field(default_factory=_api_key)
    telnyx_signing_key: str = field(default_factory=_signing_key)

    @property
    def calls_public(self) -> str:
        """What secrets of documents are sealed to."""
        return public_key_of(self.calls_private)

    @property
    def webhooks_public(self) -> str:
        """What signing secrets are sealed to."""
        return public_key_of(self.webhooks_private)

    @property
    def telnyx_public_key(self) -> str:
        """What the sandbox's Telnyx signs hooks with, as its portal would show it."""
        seed = base64.b64decode(self.telnyx_signing_key)
        return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()

    @classmethod
    def load_or_make(cls, file: Path) -> "LocalKeys":
        """The keys of this folder; those it does not have yet are added. Raises: FolderError."""
        stored = _stored(file) if file.exists() else {}
        keys = cls(**{key.name: stored[key.name] for key in fields(cls) if key.name in stored})
        if asdict(keys) != stored:
            write_private(file, asdict(keys))
        return keys


def _stored(file: Path) -> dict[str, str]:
    """Raises: FolderError, when the file is not what was written there."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        stored = None
    if not isinstance(stored, dict) or not all(isinstance(value, str) for value in stored.values()):
        raise FolderError(
            f"{file} does not hold the keys that were written there. Put them back; or remove the folder "
            f"{file.parent}, with all assistants in it, and begin anew: without them nobody can read what is sealed."
        )
    return stored


def write_private(file: Path, document: object) -> None:
    """Write JSON that only the owner can read; a reader sees all of it or what was there before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as output:
            json.dump(document, output, indent=2)
            output.write("\n")
        fresh.replace(file)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise

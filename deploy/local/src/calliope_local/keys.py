"""Keys of a local installation, made once and kept in its data folder, readable by its owner only."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from calliope import api_keys
from calliope.secrets import generate_key, public_key_of


@dataclass(frozen=True, slots=True)
class LocalKeys:
    """An API key, key pairs to seal secrets to call-workers and webhooks, and an account at the sandbox's Twilio."""

    api_key: str
    calls_private: str
    webhooks_private: str
    twilio_account_sid: str
    twilio_auth_token: str

    @property
    def calls_public(self) -> str:
        """What assistants seal secrets of documents to."""
        return public_key_of(self.calls_private)

    @property
    def webhooks_public(self) -> str:
        """What assistants seal signing secrets to."""
        return public_key_of(self.webhooks_private)

    @classmethod
    def load_or_make(cls, file: Path) -> "LocalKeys":
        """The keys of this folder."""
        if file.exists():
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        keys = cls(
            api_key=api_keys.generate(),
            calls_private=generate_key(),
            webhooks_private=generate_key(),
            twilio_account_sid="AC" + secrets.token_hex(16),
            twilio_auth_token=secrets.token_hex(16),
        )
        write_private(file, asdict(keys))
        return keys


def write_private(file: Path, document: object) -> None:
    """Write JSON that only the owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        json.dump(document, output, indent=2)
        output.write("\n")

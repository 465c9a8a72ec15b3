"""Sealing: whoever stores a secret cannot read it, only the holder of the private key can.

Scheme: ephemeral X25519, HKDF-SHA256, AES-256-GCM; the associated data is the place where the secret belongs
(`contracts.assistants.secret_context`). Wire form of `sealed`: base64(ephemeral public key, 32 bytes; ciphertext; tag).
The all-zero nonce is safe because every message has a fresh key. Same construction as HPKE base mode (RFC 9180).
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from calliope.contracts.assistants import SealedSecret
from calliope.contracts.document.types import MASK
from calliope.errors import PermanentError

_NONCE: Final = bytes(12)


def generate_key() -> str:
    """A new private key, base64 of 32 bytes."""
    return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()).decode()


def public_key_of(private_key: str) -> str:
    """The public half, base64 of 32 bytes."""
    return base64.b64encode(_private(private_key).public_key().public_bytes_raw()).decode()


class Sealer:
    """Seals to one public key. Holds nothing secret."""

    def __init__(self, public_key: str) -> None:
        raw = _decode(public_key)
        self._key = X25519PublicKey.from_public_bytes(raw)
        self.key_id = _key_id(raw)

    def seal(self, secret: str, *, context: str) -> SealedSecret:
        """Seal `secret` so that it opens only in `context`."""
        ephemeral = X25519PrivateKey.generate()
        ours = ephemeral.public_key().public_bytes_raw()
        key = _derive(ephemeral.exchange(self._key), ours, self._key.public_bytes_raw())
        sealed = ours + AESGCM(key).encrypt(_NONCE, secret.encode(), context.encode())
        return SealedSecret(key_id=self.key_id, sealed=base64.b64encode(sealed).decode(), last4=_last4(secret))


class Opener:
    """Opens what was sealed to any of the private keys; several, while keys rotate."""

    def __init__(self, private_keys: Iterable[str]) -> None:
        self._keys: Mapping[str, X25519PrivateKey] = {
            _key_id(key.public_key().public_bytes_raw()): key for key in map(_private, private_keys)
        }

    def open(self, secret: SealedSecret, *, context: str) -> str:
        """The secret. Raises: PermanentError, when the key is unknown or it was sealed for another place."""
        key = self._keys.get(secret.key_id)
        if key is None:
            raise PermanentError(f"a secret is sealed to key {secret.key_id}, which this service does not hold")
        raw = _decode(secret.sealed)
        theirs, box = raw[:32], raw[32:]
        derived = _derive(
            key.exchange(X25519PublicKey.from_public_bytes(theirs)), theirs, key.public_key().public_bytes_raw()
        )
        try:
            return AESGCM(derived).decrypt(_NONCE, box, context.encode()).decode()
        except InvalidTag as exc:
            raise PermanentError("a sealed secret does not open here: it was changed, or moved from elsewhere") from exc


def mask(secret: SealedSecret) -> str:
    """What a read shows: `"••••3f9a"`."""
    return MASK + secret.last4


def mask_of_plain(secret: str) -> str:
    """What a read shows of a secret that is not sealed."""
    return MASK + _last4(secret)


def _last4(secret: str) -> str:
    return secret[-4:] if len(secret) >= 12 else ""


def _private(key: str) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(_decode(key))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise PermanentError("a key or sealed secret is not base64") from exc


def _key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:12]


def _derive(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"calliope/seal/v1" + ephemeral + recipient)
    return kdf.derive(shared)

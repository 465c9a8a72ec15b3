"""Signatures of Standard Webhooks 1.0: which headers prove that a delivery is ours. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook


def signed_headers(event_id: str, body: bytes, secrets: Sequence[str], *, at_s: int) -> dict[str, str]:
    """The three headers of one attempt; one signature per secret, so that a rotation breaks no receiver.

    Raises: ValueError, when there is no secret, or one is empty or not base64.
    """
    if not secrets:
        raise ValueError("a delivery needs at least one signing secret")
    at = datetime.fromtimestamp(at_s, UTC)
    text = body.decode()
    try:
        signatures = [Webhook(secret).sign(event_id, at, text) for secret in secrets]
    except EmptyWebhookSecretError as exc:
        raise ValueError("a signing secret is empty") from exc
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signatures),
    }

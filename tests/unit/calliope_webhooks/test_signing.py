"""Signatures, checked by the library that receivers use."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from calliope_webhooks.signing import signed_headers

OLD, NEW = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2))
BODY = '{"id":"evt_1","text":"Grüße, ☎"}'.encode()


def now_s() -> int:
    return int(time.time())


def test_the_published_vector_of_standard_webhooks() -> None:
    """From the reference implementations' test suites."""
    headers = signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        at_s=1_614_265_330,
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_receiver_with_either_secret_verifies_during_a_rotation() -> None:
    headers = signed_headers("evt_1", BODY, [NEW, OLD], at_s=now_s())
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(BODY, headers)["id"] == "evt_1"


@given(text=st.text(max_size=200))
def test_every_body_verifies_as_sent(text: str) -> None:
    body = text.encode()
    Webhook(NEW).verify(body, signed_headers("evt_1", body, [NEW], at_s=now_s()), json_parse=False)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"webhook-id": "evt_2"},
        {"webhook-timestamp": str(now_s() - 1)},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
    ],
)
def test_a_changed_header_does_not_verify(spoilt: dict[str, str]) -> None:
    headers = signed_headers("evt_1", BODY, [NEW], at_s=now_s()) | spoilt
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, headers)


def test_a_changed_body_does_not_verify() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY + b" ", signed_headers("evt_1", BODY, [NEW], at_s=now_s()))


def test_an_old_attempt_does_not_verify() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, signed_headers("evt_1", BODY, [NEW], at_s=now_s() - 600))


@pytest.mark.parametrize("secrets", [[], ["whsec_"], ["whsec_not base64!"]])
def test_nothing_goes_out_unsigned(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match=r"secret|base64"):
        signed_headers("evt_1", BODY, secrets, at_s=1)

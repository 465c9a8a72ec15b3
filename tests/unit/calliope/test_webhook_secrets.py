"""What a client may bring as the signing secret of its webhooks, and how it is told otherwise."""

import base64
from typing import Any

import pytest

from calliope.webhook_secrets import new_secret, problem_of

EXAMPLE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    "secret",
    [
        *("whsec_" + base64.b64encode(b"k" * size).decode() for size in (24, 32, 64)),
        EXAMPLE,
        pytest.param(new_secret(), id="new"),
    ],
)
def test_a_standard_webhooks_secret_is_taken(secret: str) -> None:
    assert problem_of(secret) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (17, "must be text"),
        ([EXAMPLE], "must be text"),
        ("", "does not begin"),
        ("0123456789abcdef0123456789abcdef", "does not begin"),
        ("whsec_not base64!", "is not base64"),
        ("whsec_" + "é" * 40, "is not base64"),
        ("whsec_" + base64.b64encode(b"k" * 23).decode(), "holds 23 bytes"),
        ("whsec_" + base64.b64encode(b"k" * 65).decode(), "holds 65 bytes"),
        ("whsec_", "holds 0 bytes"),
    ],
)
def test_anything_else_is_refused_in_words_with_an_example_and_without_repeating_it(given: Any, words: str) -> None:
    problem = problem_of(given)

    assert problem is not None
    assert words in problem
    assert not given or str(given) in {"17", "whsec_"} or str(given) not in problem
    assert EXAMPLE in problem

"""Sealed secrets open only with the right key in the right place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calliope.errors import PermanentError
from calliope.secrets import Opener, Sealer, generate_key, mask, public_key_of

KEY = generate_key()
SEALER = Sealer(public_key_of(KEY))


@given(secret=st.text(max_size=200), context=st.text(max_size=50))
def test_what_was_sealed_opens(secret: str, context: str) -> None:
    assert Opener([KEY]).open(SEALER.seal(secret, context=context), context=context) == secret


@pytest.mark.promise("P8")
def test_a_secret_moved_elsewhere_does_not_open() -> None:
    sealed = SEALER.seal("sk-1", context="org_1|asst_1|twilio_config.auth_token")
    with pytest.raises(PermanentError, match="does not open here"):
        Opener([KEY]).open(sealed, context="org_2|asst_1|twilio_config.auth_token")


def test_an_unknown_key_is_named_and_refused() -> None:
    sealed = SEALER.seal("sk-1", context="x")
    with pytest.raises(PermanentError, match=sealed.key_id):
        Opener([generate_key()]).open(sealed, context="x")


def test_old_keys_open_while_they_are_listed() -> None:
    new = generate_key()
    sealed = SEALER.seal("sk-1", context="x")
    assert Opener([new, KEY]).open(sealed, context="x") == "sk-1"


def test_sealing_twice_gives_different_bytes() -> None:
    assert SEALER.seal("a", context="x").sealed != SEALER.seal("a", context="x").sealed


def test_a_mask_shows_the_end_of_long_secrets_only() -> None:
    assert mask(SEALER.seal("sk-abcdefgh3f9a", context="x")) == "••••3f9a"
    assert mask(SEALER.seal("short", context="x")) == "••••"

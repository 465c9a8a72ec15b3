"""Which webhook secrets sign: the current one and, for a day, those it replaced."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calliope.contracts.assistants import SealedSecret, secret_context
from calliope.contracts.errors import ErrorCode
from calliope.errors import CommandError
from calliope.sealed_documents import DocumentSealer, Owner
from calliope.secrets import Opener, Sealer, generate_key, public_key_of
from calliope.webhook_secrets import FIELD, new_secret
from calliope_assistants import webhook_keys
from calliope_assistants.adapters import shapes
from calliope_assistants.ports import AssistantRow
from calliope_assistants.webhook_keys import WebhookKey, WebhookKeys, key_of, without_mask

PRIVATE = generate_key()
SEALER = DocumentSealer(Sealer(public_key_of(generate_key())), Sealer(public_key_of(PRIVATE)))
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stored(secret: str) -> WebhookKey:
    return key_of(SEALER.signing_secret(secret, Owner("org_1", "asst_1")))


A, B, C, D = (stored(new_secret()) for _ in range(4))


def rotated(*keys: WebhookKey, every: timedelta = HOUR) -> WebhookKeys:
    """The first key, replaced by the others one by one from noon on."""
    first, *others = keys
    made = WebhookKeys(first)
    for count, key in enumerate(others):
        made = made.with_current(key, NOON + count * every)
    return made


def secrets_of(*keys: WebhookKey) -> list[str]:
    context = secret_context("org_1", "asst_1", (FIELD,))
    return [Opener([PRIVATE]).open(SealedSecret.model_validate(key.sealed), context=context) for key in keys]


def test_two_rotations_within_a_day_leave_all_three_signing_newest_first() -> None:
    keys = rotated(A, B, C)

    assert secrets_of(*keys.signing(NOON + 2 * HOUR)) == secrets_of(C, B, A)


def test_each_replaced_secret_signs_for_a_day_from_its_own_replacement() -> None:
    keys = rotated(A, B, C, every=6 * HOUR)

    assert keys.signing(NOON + 24 * HOUR - timedelta(seconds=1)) == (C, *keys.replaced)
    assert keys.signing(NOON + 24 * HOUR) == (C, keys.replaced[0])
    assert keys.signing(NOON + 30 * HOUR) == (C,)


def test_a_fourth_secret_is_refused_in_words_until_the_oldest_stops_signing() -> None:
    keys = rotated(A, B, C)

    with pytest.raises(CommandError) as refused:
        keys.with_current(D, NOON + 24 * HOUR - timedelta(seconds=1))

    assert refused.value.code is ErrorCode.CONFLICT
    assert "2026-11-29T12:00:00Z" in str(refused.value)
    later = keys.with_current(D, NOON + 24 * HOUR)
    assert [key.fingerprint for key in later.signing(NOON + 24 * HOUR)] == [
        key.fingerprint for key in (D, keys.current, keys.replaced[0])
    ]


def test_the_current_secret_sent_again_changes_nothing() -> None:
    secret = new_secret()
    keys = WebhookKeys(stored(secret))

    assert keys.with_current(stored(secret), NOON) is keys


def test_going_back_to_a_replaced_secret_counts_it_once() -> None:
    secrets = [new_secret() for _ in range(3)]
    keys = rotated(*map(stored, secrets))

    back = keys.with_current(stored(secrets[0]), NOON + 2 * HOUR)

    assert secrets_of(*back.signing(NOON + 3 * HOUR)) == [secrets[0], secrets[2], secrets[1]]


@pytest.mark.parametrize("given", [None, webhook_keys.shown(WebhookKeys(A))], ids=["null", "mask"])
def test_null_and_the_mask_that_a_read_shows_keep_the_stored_secret(given: str | None) -> None:
    assert without_mask({"name": "Anna", "webhook_secret": given}, WebhookKeys(A)) == ({"name": "Anna"}, None)


@pytest.mark.parametrize("keys", [None, WebhookKeys(A)], ids=["no secret", "another"])
def test_a_mask_that_stands_for_no_stored_secret_is_refused_without_repeating_it(keys: WebhookKeys | None) -> None:
    rest, problem = without_mask({"name": "Anna", "webhook_secret": "••••zzzz"}, keys)

    assert rest == {"name": "Anna"}
    assert problem is not None
    assert (problem.path, "zzzz" in problem.message) == ("webhook_secret", False)


def a_row(keys: WebhookKeys | None) -> AssistantRow:
    return AssistantRow("asst_1", "org_1", "anna", 1, 1, NOON, NOON, {"name": "Anna"}, webhook=keys)


def read_back(**changes: Any) -> WebhookKeys | None:
    fields = shapes.assistant_fields(a_row(rotated(A, B, C)))
    server = {"_id": "asst_1", "org_id": "org_1", "created_at": fields["updated_at"]}
    return shapes.assistant(fields | server | changes).webhook


@pytest.mark.parametrize("keys", [None, WebhookKeys(A), rotated(A, B, C)])
def test_keys_are_read_as_they_were_written(keys: WebhookKeys | None) -> None:
    assert read_back(webhook=shapes.assistant_fields(a_row(keys))["webhook"]) == keys


def test_rows_from_before_there_could_be_three_are_read() -> None:
    alone = {"current": '{"v": 1}', "previous": "null", "previous_until": None}
    both = {"current": '{"v": 2}', "previous": '{"v": 1}', "previous_until": "2026-11-29T12:00:00.000000+00:00"}

    assert read_back(webhook=alone) == WebhookKeys(WebhookKey({"v": 1}))
    assert read_back(webhook=both) == WebhookKeys(WebhookKey({"v": 2}), (WebhookKey({"v": 1}, NOON + 24 * HOUR),))

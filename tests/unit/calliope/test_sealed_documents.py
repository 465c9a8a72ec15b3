"""Secrets of a document are sealed where it arrives: all of them, bound to their owner, recognised in a repetition."""

import asyncio
from typing import Any

import pytest

from calliope.contracts.assistants import AssistantRequest, SealedSecret
from calliope.contracts.document.spec import SECRET_PATHS
from calliope.documents import copied, places
from calliope.errors import PermanentError
from calliope.sealed_documents import (
    SECRETS_IN_A_STEP,
    DigestKey,
    DocumentSealer,
    Owner,
    SealedDocument,
    without_secrets,
)
from calliope.secrets import Opener, Sealer, generate_key, public_key_of
from calliope.validation.expectations import whole_example
from calliope.webhook_secrets import FIELD, new_secret

CALLS, WEBHOOKS = generate_key(), generate_key()
SEALER = DocumentSealer(Sealer(public_key_of(CALLS)), Sealer(public_key_of(WEBHOOKS)))
OWNER = Owner("org_1", "asst_1")
KEY = DigestKey("key_1", b"cal_live_one")
CANARY = "canary-4b1f"


def filled(value: Any) -> dict[str, Any]:
    """A document with this value in every place of a secret."""
    document: dict[str, Any] = copied(whole_example(AssistantRequest))
    document.pop(FIELD, None)
    document["tts_settings"]["fallbacks"] = [{"provider": "deepgram", "api_key": ""}]
    document["tools_settings"]["custom_tools"][0]["headers"] = {"X-Key": "", "1st": ""}
    for pattern in SECRET_PATHS:
        for _, container, key in places(document, pattern):
            container[key] = copied(value)
    return document


async def sealed(document: dict[str, Any], owner: Owner = OWNER, key: DigestKey = KEY) -> SealedDocument:
    return await SEALER.seal(document, owner, digest_key=key)


def test_the_document_of_these_tests_has_every_secret() -> None:
    assert {pattern for pattern in SECRET_PATHS if list(places(filled(""), pattern))} == set(SECRET_PATHS)


@pytest.mark.promise("P8")
async def test_every_secret_is_sealed_and_what_was_sent_is_left_as_it_is() -> None:
    document = filled(CANARY)
    found = await sealed(document)
    assert CANARY not in str(found)
    assert found.refused == ()
    assert document == filled(CANARY)
    opener = Opener([CALLS])
    for pattern in SECRET_PATHS:
        for _, container, key in places(found.document, pattern):
            assert opener.open(SealedSecret.model_validate(container[key]), context=OWNER.context(pattern)) == CANARY


@pytest.mark.promise("P8")
@pytest.mark.parametrize("thief", [Owner("org_2", "asst_1"), Owner("org_1", "asst_2")])
async def test_what_was_sealed_opens_for_no_other_organization_and_no_other_assistant(thief: Owner) -> None:
    found = await sealed({"llm_provider_config": {"api_key": CANARY}})
    secret = SealedSecret.model_validate(found.document["llm_provider_config"]["api_key"])
    with pytest.raises(PermanentError):
        Opener([CALLS]).open(secret, context=thief.context(("llm_provider_config", "api_key")))


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    "wrong", [[CANARY], {"value": CANARY}, {"sealed": CANARY, "key_id": "x"}, f"{CANARY}\n", CANARY * 400, 17, True]
)
async def test_what_can_be_no_secret_is_named_and_goes_no_further(wrong: Any) -> None:
    document = filled(wrong)
    expected = {".".join(path) for pattern in SECRET_PATHS for path, *_ in places(document, pattern)}
    found = await sealed(document)
    assert CANARY not in str(found)
    assert {problem.path for problem in found.refused} == expected


async def test_a_mask_and_null_go_on_as_they_were_sent() -> None:
    patch = {"llm_provider_config": {"api_key": "••••3f9a"}, "stt_settings": {"api_key": None}, FIELD: "••••3f9a"}
    found = await sealed(patch)
    assert found.document == patch
    assert not found.webhook_secret.brought


async def test_a_secret_of_the_clients_own_is_sealed_to_webhooks_and_never_shown() -> None:
    own = new_secret()
    found = await sealed({"name": "Anna", FIELD: own})
    assert (found.document, found.made, found.webhook_secret.brought) == ({"name": "Anna"}, None, True)
    assert Opener([WEBHOOKS]).open(found.webhook_secret.sealed, context=OWNER.context((FIELD,))) == own
    again = await sealed({FIELD: own}, key=DigestKey("key_2", b"cal_live_two"))
    assert again.webhook_secret.fingerprint == found.webhook_secret.fingerprint


async def test_a_secret_that_cannot_sign_is_named_and_goes_no_further() -> None:
    found = await sealed({FIELD: [CANARY]})
    assert CANARY not in str(found)
    assert [problem.path for problem in found.refused] == [FIELD]


async def test_without_one_a_secret_is_made_and_is_not_in_what_goes_on() -> None:
    found = await sealed({"name": "Anna"})
    assert found.made is not None
    assert found.made not in str(found)
    assert Opener([WEBHOOKS]).open(found.webhook_secret.sealed, context=OWNER.context((FIELD,))) == found.made


async def test_the_same_request_is_recognised_and_another_secret_is_not() -> None:
    one, again, other = [without_secrets((await sealed(filled(each))).document) for each in ("a", "a", "b")]
    assert one == again
    assert one[0] == other[0], "nothing of a secret is left in the document itself"
    assert one[1] != other[1]


async def test_a_new_assistants_id_has_no_part_in_what_is_recognised() -> None:
    """Repeated after midnight, a request would make an assistant of another id."""
    document = {**filled("a"), FIELD: new_secret()}
    one, other = [await sealed(document, Owner("org_1", id_)) for id_ in ("asst_1", "asst_2")]
    assert without_secrets(one.document) == without_secrets(other.document)
    assert one.webhook_secret.digest == other.webhook_secret.digest


@pytest.mark.promise("P8")
async def test_a_short_secret_cannot_be_guessed_from_its_digest_without_the_api_key() -> None:
    ours, theirs = [await sealed(filled("1234"), key=DigestKey("key_1", key)) for key in (b"one", b"two")]
    assert not set(without_secrets(ours.document)[1]) & set(without_secrets(theirs.document)[1])
    assert "cal_live" not in repr(KEY)


async def test_others_go_on_while_many_secrets_are_sealed() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    tools = [{"headers": {f"X-{number}": "v" for number in range(20)}} for _ in range(3)]
    async with asyncio.TaskGroup() as tasks:
        beside = tasks.create_task(others(), name="others")
        await sealed({"tools_settings": {"custom_tools": tools}})
        beside.cancel()
    assert turns >= 60 // SECRETS_IN_A_STEP

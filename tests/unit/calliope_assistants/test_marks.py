"""Which repeated requests are the same one, although sealing is random: across API keys and versions, too."""

from typing import Any

from calliope.contracts.assistants import CreateAssistant, CreateAssistantV2, UpdateAssistantV2
from calliope.sealed_documents import DigestKey, Owner
from calliope.webhook_secrets import new_secret
from calliope_assistants.commands import hash_of, mark_of_write
from calliope_assistants.ports import may_be_the_same
from support.sealing import DIGEST_KEY, SEALER, beside

DOCUMENT: dict[str, Any] = {"name": "Anna", "llm_provider_config": {"api_key": "sk-one"}}
OTHER_KEY = DigestKey("key_2", b"cal_live_another")


async def mark(document: dict[str, Any], key: DigestKey = DIGEST_KEY, assistant_id: str = "asst_1") -> str:
    sealed = await SEALER.seal(document, Owner("org_1", assistant_id), digest_key=key)
    return mark_of_write(CreateAssistantV2(assistant_id=assistant_id, document=sealed.document, **beside(sealed)))


def with_key(api_key: str, **more: Any) -> dict[str, Any]:
    return {**DOCUMENT, "llm_provider_config": {"api_key": api_key}, **more}


async def test_the_same_request_has_the_same_mark_also_after_midnight() -> None:
    document = with_key("sk-one", webhook_secret=new_secret())
    assert await mark(document) == await mark(document, assistant_id="asst_of_the_next_day")


async def test_another_secret_and_another_text_are_another_request() -> None:
    one = await mark(DOCUMENT)
    for other in (with_key("sk-two"), {**DOCUMENT, "name": "Berta"}, with_key("sk-one", webhook_secret=new_secret())):
        assert not may_be_the_same(one, await mark(other))


async def test_a_request_repeated_with_another_api_key_is_compared_by_all_but_its_secrets() -> None:
    one = await mark(DOCUMENT)
    assert may_be_the_same(one, await mark(DOCUMENT, OTHER_KEY))
    assert not may_be_the_same(one, await mark({**DOCUMENT, "name": "Berta"}, OTHER_KEY))


async def test_a_request_repeated_through_a_gateway_of_another_version_is_believed() -> None:
    """Else a deploy between the two would let a client write twice, or be told that it sent another request."""
    older = hash_of(CreateAssistant(document=DOCUMENT).model_dump(mode="json"))
    assert may_be_the_same(older, await mark(DOCUMENT))
    assert may_be_the_same(older, older)
    assert not may_be_the_same(older, hash_of({}))


async def test_a_revision_that_is_meant_is_part_of_the_request() -> None:
    sealed = await SEALER.seal(DOCUMENT, Owner("org_1", "asst_1"), digest_key=DIGEST_KEY)
    one, other = (
        UpdateAssistantV2(assistant_id="asst_1", patch=sealed.document, if_revision=number, **beside(sealed))
        for number in (1, 2)
    )
    assert mark_of_write(one) != mark_of_write(other)

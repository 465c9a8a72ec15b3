"""Documents are opened once a revision, within a number of bytes, and their JSON Schemas are not checked anew."""

import asyncio
from typing import Any

import pytest

from calliope.contracts import schemas
from calliope.contracts.assistants import PinnedAssistant, secret_context
from calliope.contracts.base import STORED
from calliope.contracts.document.spec import AssistantSpec
from calliope.secrets import Opener, Sealer, generate_key, public_key_of
from calliope_call_worker.opened_documents import SECRETS_IN_A_STEP, OpenedDocuments, open_spec

KEY = generate_key()
SCHEMA = {"type": "object", "properties": {"day": {"type": "string", "enum": ["monday", None]}}}
TOOL = {"name": "book", "description": "Books.", "url": "https://example.com/book", "parameters": SCHEMA}


def a_document(**changes: Any) -> dict[str, Any]:
    sealed = Sealer(public_key_of(KEY)).seal(
        "a-secret-token",
        context=secret_context("org_1", "asst_1", ("tools_settings", "custom_tools", "*", "auth_token")),
    )
    tool = TOOL | {"auth_token": sealed.model_dump()}
    return {
        "name": "Ann",
        "llm_provider_config": {"api_key": "k"},
        "tools_settings": {"custom_tools": [TOOL, tool | {"name": "cancel"}]},
        "custom_settings": {"structured_data_schema": SCHEMA},
        **changes,
    }


def pinned(revision: int = 1, **changes: Any) -> PinnedAssistant:
    return PinnedAssistant(id="asst_1", organization_id="org_1", revision=revision, document=a_document(**changes))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Schemas that are checked."""
    seen: list[Any] = []
    monkeypatch.setattr(schemas, "validator_for", seen.append)
    return seen


async def test_an_opened_document_is_the_stored_one_with_its_secrets(checked: list[Any]) -> None:
    before = a_document()
    kept = pinned()
    spec = await open_spec(kept, Opener([KEY]))

    first, second = spec.tools_settings.custom_tools
    assert second.auth_token is not None
    assert second.auth_token.get_secret_value() == "a-secret-token"
    assert (first.parameters, second.parameters, spec.custom_settings.structured_data_schema) == (SCHEMA,) * 3
    assert checked == []
    assert kept.document["custom_settings"] == before["custom_settings"]
    assert isinstance(kept.document["tools_settings"]["custom_tools"][1]["auth_token"], dict)


async def test_it_is_what_reading_all_of_it_would_make(checked: list[Any]) -> None:
    plain = a_document()
    plain["tools_settings"]["custom_tools"][1]["auth_token"] = "a-secret-token"
    assert await open_spec(pinned(), Opener([KEY])) == AssistantSpec.model_validate(plain, context=STORED)


async def test_a_revision_is_opened_once_and_another_one_anew() -> None:
    documents = OpenedDocuments(Opener([KEY]))
    assert documents.known("org_1", "asst_1", 1) is None
    first = await documents.open(pinned())
    assert await documents.open(pinned(name="Bob")) is first
    assert documents.known("org_1", "asst_1", 1) is first
    assert (await documents.open(pinned(2, name="Bob"))).name == "Bob"


async def test_opened_documents_are_bounded_by_bytes() -> None:
    documents = OpenedDocuments(Opener([KEY]), max_bytes=1_000_000)
    for revision in range(1, 101):
        await documents.open(pinned(revision, llm_settings={"system_prompt": "x" * 20_000}))
    known = [revision for revision in range(1, 101) if documents.known("org_1", "asst_1", revision) is not None]
    assert 5 < len(known) < 15
    assert known[-1] == 100


async def test_headers_of_a_tool_are_opened_and_those_stored_in_clear_are_taken_as_they_are() -> None:
    context = secret_context("org_1", "asst_1", ("tools_settings", "custom_tools", "*", "headers", "*"))
    sealed = Sealer(public_key_of(KEY)).seal("Bearer of {{news}}", context=context).model_dump()
    tool = TOOL | {"headers": {"Authorization": sealed, "X-Older": "plain", "1": sealed}}
    spec = await open_spec(pinned(tools_settings={"custom_tools": [tool]}), Opener([KEY]))
    headers = {name: value.get_secret_value() for name, value in spec.tools_settings.custom_tools[0].headers.items()}
    assert headers == {"Authorization": "Bearer of {{news}}", "X-Older": "plain", "1": "Bearer of {{news}}"}
    assert "Bearer of" not in repr(spec)


async def test_others_go_on_while_many_secrets_are_opened() -> None:
    """Opening a secret takes a tenth of a millisecond or more, and a document can hold hundreds."""
    sealed = Sealer(public_key_of(KEY)).seal(
        "v", context=secret_context("org_1", "asst_1", ("tools_settings", "custom_tools", "*", "headers", "*"))
    )
    tools = [TOOL | {"name": f"t{n}", "headers": {f"X-{m}": sealed.model_dump() for m in range(20)}} for n in range(3)]
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        beside = tasks.create_task(others(), name="others")
        await open_spec(pinned(tools_settings={"custom_tools": tools}), Opener([KEY]))
        beside.cancel()
    assert turns >= 60 // SECRETS_IN_A_STEP

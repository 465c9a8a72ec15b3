"""Assistants through the bus, against a real store: names, revisions, repeated commands, tenants, secrets."""

import asyncio
import base64
from typing import Any

import pytest

from calliope.contracts.assistants import AssistantPage, Endpoints, PinnedAssistant, SealedSecret, secret_context
from calliope.contracts.errors import ErrorCode
from calliope.contracts.subjects import Command, Entity
from calliope.errors import CommandError
from calliope.secrets import Opener
from support.assistants import CANARY, Asking, a_document, as_read
from support.sealing import CALLS_KEY, WEBHOOKS_KEY

HOOK = "https://hooks.example.com/calls"
OWN_SECRET = "whsec_" + base64.b64encode(b"a secret of the client, 32 bytes").decode()


async def refused(work: Any) -> ErrorCode | str:
    with pytest.raises(CommandError) as caught:
        await work
    return caught.value.code


async def test_a_created_assistant_can_be_read_with_its_secrets_masked(asking: Asking) -> None:
    created = await asking.create(description="Front desk")
    read = await asking.get(created.id)
    assert read == as_read(created)
    assert read.revision == 1
    shown = {"api_key": "••••3f9a", "model": None, "base_url": None, "request_format": "openai"}
    assert read.document["llm_provider_config"] == shown


async def test_a_name_is_unique_whatever_its_case_and_width(asking: Asking) -> None:
    await asking.create(name="Anna")
    assert await refused(asking.create(name="\uff21\uff2e\uff2e\uff21")) is ErrorCode.CONFLICT


async def test_of_twenty_assistants_of_one_name_at_once_one_is_made_and_told_of(asking: Asking) -> None:
    async def create() -> bool:
        try:
            await asking.create(name="Anna")
        except CommandError as exc:
            if exc.code is not ErrorCode.CONFLICT:
                raise
            return False
        return True

    async with asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(create()) for _ in range(20)]
    assert sum(writer.result() for writer in writers) == 1
    assert len((await asking.ask(Command.ASSISTANTS_LIST, {}))["items"]) == 1
    await asking.create(name="Berta")
    assert len(await asking.events(2)) == 2


async def test_a_writer_is_warned_of_an_unknown_model_and_a_reader_is_not(asking: Asking) -> None:
    async def changed(**patch: Any) -> list[str]:
        answer = await asking.ask(Command.ASSISTANTS_UPDATE, {"assistant_id": created.id, "patch": patch})
        return [warning["path"] for warning in answer["warnings"]]

    created = await asking.create(llm_provider_config={"api_key": CANARY, "model": "gpt4o"})
    assert [warning.path for warning in created.warnings or ()] == ["llm_provider_config.model"]
    assert await changed(description="Front desk") == ["llm_provider_config.model"]
    assert await changed(llm_provider_config={"model": "gpt-4o"}) == []
    assert (await asking.get(created.id)).warnings is None


async def test_another_organization_may_use_the_name(asking: Asking, stranger: Asking) -> None:
    await asking.create(name="Anna")
    await stranger.create(name="Anna")


async def test_renaming_onto_a_taken_name_is_refused(asking: Asking) -> None:
    await asking.create(name="Anna")
    berta = await asking.create(name="Berta")
    rename = {"assistant_id": berta.id, "patch": {"name": "anna"}}
    assert await refused(asking.ask(Command.ASSISTANTS_UPDATE, rename)) is ErrorCode.CONFLICT
    assert (await asking.get(berta.id)).revision == 1


async def test_a_deleted_assistant_frees_its_name(asking: Asking) -> None:
    first = await asking.create(name="Anna")
    await asking.ask(Command.ASSISTANTS_DELETE, {"assistant_id": first.id})
    second = await asking.create(name="Anna")
    assert second.id != first.id
    assert await refused(asking.get(first.id)) is ErrorCode.NOT_FOUND


async def test_a_write_onto_an_old_revision_is_refused(asking: Asking) -> None:
    created = await asking.create()
    patch = {"assistant_id": created.id, "patch": {"description": "x"}, "if_revision": 1}
    await asking.ask(Command.ASSISTANTS_UPDATE, patch)
    assert await refused(asking.ask(Command.ASSISTANTS_UPDATE, patch)) is ErrorCode.PRECONDITION_FAILED
    replace = {"assistant_id": created.id, "document": a_document(), "if_revision": 1}
    assert await refused(asking.ask(Command.ASSISTANTS_REPLACE, replace)) is ErrorCode.PRECONDITION_FAILED
    delete = {"assistant_id": created.id, "if_revision": 1}
    assert await refused(asking.ask(Command.ASSISTANTS_DELETE, delete)) is ErrorCode.PRECONDITION_FAILED


async def test_of_many_writers_at_once_on_one_revision_one_wins(asking: Asking) -> None:
    created = await asking.create()

    async def write(text: str) -> bool:
        patch = {"assistant_id": created.id, "patch": {"description": text}, "if_revision": 1}
        try:
            await asking.ask(Command.ASSISTANTS_UPDATE, patch)
        except CommandError as exc:
            if exc.code is not ErrorCode.PRECONDITION_FAILED:
                raise
            return False
        return True

    async with asyncio.TaskGroup() as tasks:
        writers = [tasks.create_task(write(str(n))) for n in range(20)]
    assert sum(writer.result() for writer in writers) == 1
    assert (await asking.get(created.id)).revision == 2


@pytest.mark.promise("P3")
async def test_a_command_sent_fifty_times_at_once_has_one_effect_and_equal_answers(asking: Asking) -> None:
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(asking.create(command_id="key-1")) for _ in range(50)]
    first = runs[0].result()
    assert all(run.result() == first for run in runs)
    page = AssistantPage.model_validate(await asking.ask(Command.ASSISTANTS_LIST, {}))
    assert [item.id for item in page.items] == [first.id]
    (event,) = await asking.events(1)
    assert event.entity_id == first.id


async def test_an_update_repeated_with_its_key_is_done_once(asking: Asking) -> None:
    created = await asking.create()
    patch = {"assistant_id": created.id, "patch": {"description": "x"}, "if_revision": 1}
    first = await asking.ask(Command.ASSISTANTS_UPDATE, patch, command_id="k")
    assert await asking.ask(Command.ASSISTANTS_UPDATE, patch, command_id="k") == first
    assert (await asking.get(created.id)).revision == 2


async def test_a_key_used_for_another_request_is_refused(asking: Asking) -> None:
    await asking.create(command_id="key-1")
    assert await refused(asking.create(command_id="key-1", name="Berta")) is ErrorCode.IDEMPOTENCY_MISMATCH


async def test_a_refused_request_does_not_use_its_key_up(asking: Asking) -> None:
    assert await refused(asking.create(command_id="k", webhook_url="http://10.0.0.1/")) is ErrorCode.INVALID
    await asking.create(command_id="k")


async def test_the_same_key_in_another_organization_is_another_command(asking: Asking, stranger: Asking) -> None:
    ours, theirs = await asking.create(command_id="k"), await stranger.create(command_id="k")
    assert ours.id != theirs.id


@pytest.mark.promise("P8")
async def test_two_organizations_never_see_each_other(asking: Asking, stranger: Asking) -> None:
    created = await asking.create()
    ref = {"assistant_id": created.id}
    for subject, payload in (
        (Command.ASSISTANTS_GET, ref),
        (Command.ASSISTANTS_UPDATE, {**ref, "patch": {"description": "stolen"}}),
        (Command.ASSISTANTS_REPLACE, {**ref, "document": a_document()}),
        (Command.ASSISTANTS_DELETE, ref),
        (Command.ASSISTANTS_ENDPOINTS, ref),
        (Command.ASSISTANTS_PIN, ref),
        (Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, ref),
        (Command.PHONE_NUMBERS_ASSIGN, {"number": "+15550009999", "spec": ref}),
    ):
        assert await refused(stranger.ask(subject, payload)) is ErrorCode.NOT_FOUND, subject
    assert (await stranger.ask(Command.ASSISTANTS_LIST, {}))["items"] == []
    assert await asking.get(created.id) == as_read(created)


async def test_a_webhook_secret_is_shown_once_and_sealed_to_webhooks(asking: Asking) -> None:
    created = await asking.create(command_id="k", webhook_url=HOOK)
    secret = created.webhook_secret
    assert secret is not None
    assert secret.startswith("whsec_")
    shown = f"••••{secret[-4:]}"
    assert (await asking.get(created.id)).webhook_secret == shown
    assert (await asking.create(command_id="k", webhook_url=HOOK)).webhook_secret == shown
    assert await _signing_secrets(asking, created.id) == [secret]


async def test_a_rotated_webhook_secret_leaves_the_old_one_signing(asking: Asking) -> None:
    created = await asking.create(webhook_url=HOOK)
    ref = {"assistant_id": created.id}
    rotated = await asking.ask(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, ref, command_id="r")
    again = await asking.ask(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, ref, command_id="r")
    assert again["webhook_secret"] == "••••" + rotated["webhook_secret"][-4:]
    assert await _signing_secrets(asking, created.id) == [rotated["webhook_secret"], created.webhook_secret]


async def test_two_rotations_within_a_day_leave_every_secret_signing_and_a_third_is_refused(asking: Asking) -> None:
    created = await asking.create(webhook_url=HOOK)
    ref = {"assistant_id": created.id}
    secrets = [created.webhook_secret or ""]
    for key in ("r1", "r2"):
        rotated = await asking.ask(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, ref, command_id=key)
        secrets.insert(0, rotated["webhook_secret"])
    assert await _signing_secrets(asking, created.id) == secrets

    with pytest.raises(CommandError, match="The next can be set at 20") as caught:
        await asking.ask(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, ref, command_id="r3")
    assert caught.value.code is ErrorCode.CONFLICT
    again = await asking.ask(Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET, ref, command_id="r2")
    assert again["webhook_secret"] == f"••••{secrets[0][-4:]}"
    assert await _signing_secrets(asking, created.id) == secrets


async def test_a_secret_that_the_client_brings_signs_from_the_first_event_and_is_never_shown(asking: Asking) -> None:
    created = await asking.create(command_id="k", webhook_url=HOOK, webhook_secret=OWN_SECRET)
    assert created.webhook_secret == f"••••{OWN_SECRET[-4:]}"
    assert await asking.create(command_id="k", webhook_url=HOOK, webhook_secret=OWN_SECRET) == created
    assert "webhook_secret" not in created.document
    assert await _signing_secrets(asking, created.id) == [OWN_SECRET]


async def test_a_patch_with_another_secret_replaces_it_once_however_often_it_is_sent(asking: Asking) -> None:
    created = await asking.create(webhook_url=HOOK)
    ref = {"assistant_id": created.id}
    for _ in range(4):
        patched = await asking.ask(Command.ASSISTANTS_UPDATE, {**ref, "patch": {"webhook_secret": OWN_SECRET}})
    assert await _signing_secrets(asking, created.id) == [OWN_SECRET, created.webhook_secret]

    whole = {**ref, "document": {**a_document(webhook_url=HOOK), "webhook_secret": patched["webhook_secret"]}}
    await asking.ask(Command.ASSISTANTS_REPLACE, whole)
    assert await _signing_secrets(asking, created.id) == [OWN_SECRET, created.webhook_secret]
    events = await asking.events(6, Entity.ASSISTANT)
    assert [event.data["fields"] for event in events[1:3]] == [["webhook_secret"], []]


async def test_a_secret_that_cannot_sign_is_refused_with_all_else_that_is_wrong(asking: Asking) -> None:
    with pytest.raises(CommandError) as caught:
        await asking.create(webhook_url="http://10.0.0.1/", webhook_secret="hunter2 hunter2")
    assert {problem.path for problem in caught.value.problem.fields} == {"webhook_url", "webhook_secret"}
    assert "hunter2" not in caught.value.problem.model_dump_json()


async def _signing_secrets(asking: Asking, assistant_id: str) -> list[str]:
    answer = await asking.ask(Command.ASSISTANTS_ENDPOINTS, {"assistant_id": assistant_id})
    context = secret_context(asking.organization, assistant_id, ("webhook_secret",))
    opener = Opener([WEBHOOKS_KEY])
    return [opener.open(secret, context=context) for secret in Endpoints.model_validate(answer).signing_secrets]


@pytest.mark.promise("P8")
async def test_a_call_worker_can_open_what_it_pins_and_nobody_else(asking: Asking) -> None:
    created = await asking.create()
    answer = await asking.ask(Command.ASSISTANTS_PIN, {"assistant_id": created.id})
    pinned: Any = PinnedAssistant.model_validate(answer)
    sealed = SealedSecret.model_validate(pinned.document["llm_provider_config"]["api_key"])
    context = secret_context(asking.organization, created.id, ("llm_provider_config", "api_key"))
    assert Opener([CALLS_KEY]).open(sealed, context=context) == f"sk-{CANARY}-3f9a"


@pytest.mark.promise("P3")
async def test_events_count_without_holes_and_name_what_changed(asking: Asking) -> None:
    created = await asking.create()
    ref = {"assistant_id": created.id}
    await asking.ask(Command.ASSISTANTS_UPDATE, {**ref, "patch": {"description": "x", "is_active": False}})
    await asking.ask(Command.ASSISTANTS_DELETE, ref)
    events = await asking.events(3, Entity.ASSISTANT)
    assert [(event.sequence, event.name) for event in events] == [(1, "created"), (2, "updated"), (3, "deleted")]
    assert events[1].data["fields"] == ["description", "is_active"]
    assert {event.organization for event in events} == {asking.organization}


async def test_a_list_goes_page_by_page_newest_first(asking: Asking) -> None:
    made = [(await asking.create(name=f"A{n}")).id for n in range(5)]
    seen, cursor = [], None
    while True:
        answer = await asking.ask(Command.ASSISTANTS_LIST, {"limit": 2, "cursor": cursor})
        seen += [item["id"] for item in answer["items"]]
        cursor = answer["next_cursor"]
        if cursor is None:
            break
        assert cursor.replace("-", "").replace("_", "").isalnum(), "a cursor goes into a URL as it is"
    assert seen == made[::-1]


async def test_a_cursor_that_is_none_of_ours_is_refused(asking: Asking) -> None:
    for subject in (Command.ASSISTANTS_LIST, Command.CALL_RECORDS_LIST):
        assert await refused(asking.ask(subject, {"cursor": "not a cursor"})) is ErrorCode.INVALID


async def test_a_page_of_long_documents_is_shorter_than_asked_never_refused(asking: Asking) -> None:
    prompt = {"system_prompt": "é" * 15_000}
    made = [(await asking.create(name=f"A{n}", llm_settings=prompt)).id for n in range(10)]
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        answer = await asking.ask(Command.ASSISTANTS_LIST, {"limit": 50, "cursor": cursor})
        seen += [item["id"] for item in answer["items"]]
        cursor, pages = answer["next_cursor"], pages + 1
    assert seen == made[::-1]
    assert pages > 1


async def test_a_document_that_could_not_be_shown_is_not_stored(asking: Asking) -> None:
    """Answers are at most 256 KiB; what is stored must fit one, sealed and completed."""
    tools = [
        {
            "name": f"t{n}",
            "description": "d",
            "url": "https://example.com/",
            "parameters": {"description": "x" * 12_500},
        }
        for n in range(20)
    ]
    assert await refused(asking.create(tools_settings={"custom_tools": tools})) is ErrorCode.TOO_LARGE
    assert (await asking.ask(Command.ASSISTANTS_LIST, {}))["items"] == []


async def test_numbers_beyond_64_bits_in_a_schema_are_refused_or_kept(asking: Asking) -> None:
    schema = {"type": "object", "maxProperties": 10**30}
    try:
        created = await asking.create(custom_settings={"structured_data_schema": schema})
    except CommandError as exc:
        assert exc.code is ErrorCode.INVALID  # noqa: PT017
    else:
        assert (await asking.get(created.id)).id == created.id

"""`/api/v1/assistants` and `/api/v1/phone-numbers`."""

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from calliope.contracts.assistants import (
    AssignPhoneNumber,
    Assistant,
    AssistantPage,
    AssistantRef,
    AssistantRequest,
    CreateAssistantV2,
    DeleteAssistant,
    Deleted,
    ListAssistants,
    ListPhoneNumbers,
    PhoneNumber,
    PhoneNumberList,
    PhoneNumberRef,
    PhoneNumberSpec,
    ReplaceAssistantV2,
    RotateWebhookSecretV2,
    UpdateAssistantV2,
    WrittenAssistant,
)
from calliope.contracts.checks import AssistantCheck
from calliope.contracts.identity import Scope
from calliope.contracts.subjects import Command
from calliope.idempotency import command_key, id_made_by
from calliope.sealed_documents import Owner, SealedDocument
from calliope_gateway.http.reading import build, read_query, read_revision
from calliope_gateway.http.routes import Asked, Route, json_response, model_response

_ASSISTANTS = "/api/v1/assistants"
_NUMBERS = "/api/v1/phone-numbers"
CHECK_S: Final = 8.0
"""A worker answers a check within 5 s; the rest is for the way."""


def _shown(assistant: Assistant, *, made: str | None = None, status: int = 200) -> web.Response:
    """The assistant; `made` is the signing secret that was made for this request, shown if it was taken."""
    document = assistant.flat()
    if isinstance(assistant, WrittenAssistant):
        took = document.pop("took_webhook_secret")
        document["webhook_secret"] = made if took and made is not None else document["webhook_secret"]
    headers = {"ETag": f'"{assistant.revision}"'}
    if status == 201:
        headers["Location"] = f"{_ASSISTANTS}/{assistant.id}"
    return json_response(document, status=status, headers=headers)


async def _create(asked: Asked) -> web.StreamResponse:
    body, command = await asked.body(), asked.command_id
    known_by = None if command is None else command_key(asked.organization, Command.ASSISTANTS_CREATE, command)
    assistant_id = id_made_by("asst", asked.organization, known_by, datetime.now(UTC))
    sealed = await _sealed(asked, body, assistant_id)
    payload = CreateAssistantV2(assistant_id=assistant_id, document=sealed.document, **sealed.beside)
    written = await _write(asked, Command.ASSISTANTS_CREATE_V2, payload)
    return _shown(written, made=sealed.made, status=201)


async def _get(asked: Asked) -> web.StreamResponse:
    assistant = await asked.commands.call(
        Command.ASSISTANTS_GET,
        build(AssistantRef, assistant_id=asked.part("assistant_id")),
        reply_type=Assistant,
        organization=asked.organization,
    )
    return _shown(assistant)


async def _list(asked: Asked) -> web.StreamResponse:
    page = await asked.commands.call(
        Command.ASSISTANTS_LIST,
        read_query(asked.request, ListAssistants),
        reply_type=AssistantPage,
        organization=asked.organization,
    )
    return json_response({"items": [item.flat() for item in page.items], "next_cursor": page.next_cursor})


async def _update(asked: Asked) -> web.StreamResponse:
    ref, revision, body = _ref(asked), read_revision(asked.request), await asked.body()
    sealed = await _sealed(asked, body, ref.assistant_id)
    payload = UpdateAssistantV2(
        assistant_id=ref.assistant_id, patch=sealed.document, if_revision=revision, **sealed.beside
    )
    return _shown(await _write(asked, Command.ASSISTANTS_UPDATE_V2, payload), made=sealed.made)


async def _replace(asked: Asked) -> web.StreamResponse:
    ref, revision, body = _ref(asked), read_revision(asked.request), await asked.body()
    sealed = await _sealed(asked, body, ref.assistant_id)
    payload = ReplaceAssistantV2(
        assistant_id=ref.assistant_id, document=sealed.document, if_revision=revision, **sealed.beside
    )
    return _shown(await _write(asked, Command.ASSISTANTS_REPLACE_V2, payload), made=sealed.made)


async def _delete(asked: Asked) -> web.StreamResponse:
    await asked.commands.call(
        Command.ASSISTANTS_DELETE,
        build(DeleteAssistant, assistant_id=asked.part("assistant_id"), if_revision=read_revision(asked.request)),
        reply_type=Deleted,
        organization=asked.organization,
        command_id=asked.command_id,
    )
    return web.Response(status=204)


async def _rotate(asked: Asked) -> web.StreamResponse:
    ref = _ref(asked)
    secret, made = asked.sealer.new_webhook_secret(Owner(asked.organization, ref.assistant_id))
    payload = RotateWebhookSecretV2(assistant_id=ref.assistant_id, webhook_secret=secret)
    return _shown(await _write(asked, Command.ASSISTANTS_ROTATE_WEBHOOK_SECRET_V2, payload), made=made)


async def _check(asked: Asked) -> web.StreamResponse:
    check = await asked.commands.call(
        Command.VENDORS_CHECK,
        build(AssistantRef, assistant_id=asked.part("assistant_id")),
        reply_type=AssistantCheck,
        organization=asked.organization,
        command_id=asked.command_id,
        timeout_s=CHECK_S,
    )
    return model_response(check)


def _ref(asked: Asked) -> AssistantRef:
    return build(AssistantRef, assistant_id=asked.part("assistant_id"))


async def _sealed(asked: Asked, document: dict[str, Any], assistant_id: str) -> SealedDocument:
    """The document as it goes on: from here nobody but a call-worker reads a secret in it."""
    return await asked.sealer.seal(document, Owner(asked.organization, assistant_id), digest_key=asked.digest_key)


async def _write(
    asked: Asked,
    command: Command,
    payload: CreateAssistantV2 | UpdateAssistantV2 | ReplaceAssistantV2 | RotateWebhookSecretV2,
) -> WrittenAssistant:
    return await asked.commands.call(
        command, payload, reply_type=WrittenAssistant, organization=asked.organization, command_id=asked.command_id
    )


async def _assign(asked: Asked) -> web.StreamResponse:
    number = await asked.commands.call(
        Command.PHONE_NUMBERS_ASSIGN,
        build(AssignPhoneNumber, number=asked.part("number"), spec=await asked.body()),
        reply_type=PhoneNumber,
        organization=asked.organization,
        command_id=asked.command_id,
    )
    return model_response(number)


async def _numbers(asked: Asked) -> web.StreamResponse:
    numbers = await asked.commands.call(
        Command.PHONE_NUMBERS_LIST,
        read_query(asked.request, ListPhoneNumbers),
        reply_type=PhoneNumberList,
        organization=asked.organization,
    )
    return json_response(numbers.model_dump(mode="json", exclude={"items": {"__all__": {"warnings"}}}))


async def _release(asked: Asked) -> web.StreamResponse:
    await asked.commands.call(
        Command.PHONE_NUMBERS_RELEASE,
        build(PhoneNumberRef, number=asked.part("number")),
        reply_type=Deleted,
        organization=asked.organization,
        command_id=asked.command_id,
    )
    return web.Response(status=204)


ROUTES = (
    Route("POST", _ASSISTANTS, _create, "createAssistant", "Create an assistant", Scope.ASSISTANTS_WRITE,
          Assistant, 201, body=AssistantRequest),
    Route("GET", _ASSISTANTS, _list, "listAssistants", "List assistants, newest first", Scope.ASSISTANTS_READ,
          AssistantPage, query=ListAssistants),
    Route("GET", _ASSISTANTS + "/{assistant_id}", _get, "getAssistant", "Get an assistant", Scope.ASSISTANTS_READ,
          Assistant),
    Route("PATCH", _ASSISTANTS + "/{assistant_id}", _update, "updateAssistant",
          "Change parts of an assistant (JSON merge patch: null restores the default)", Scope.ASSISTANTS_WRITE,
          Assistant, body=AssistantRequest, merge_patch=True, guarded=True),
    Route("PUT", _ASSISTANTS + "/{assistant_id}", _replace, "replaceAssistant", "Replace an assistant",
          Scope.ASSISTANTS_WRITE, Assistant, body=AssistantRequest, guarded=True),
    Route("DELETE", _ASSISTANTS + "/{assistant_id}", _delete, "deleteAssistant", "Delete an assistant",
          Scope.ASSISTANTS_WRITE, None, 204, guarded=True),
    Route("POST", _ASSISTANTS + "/{assistant_id}/webhook-secret", _rotate, "rotateWebhookSecret",
          "Make a new webhook secret; the old one signs too for 24 hours, at most three at a time",
          Scope.ASSISTANTS_WRITE, Assistant),
    Route("POST", _ASSISTANTS + "/{assistant_id}/check", _check, "checkAssistant",
          "Ask every vendor of an assistant whether a call could use it: keys, models, voices, accounts, numbers",
          Scope.ASSISTANTS_WRITE, AssistantCheck),
    Route("GET", _NUMBERS, _numbers, "listPhoneNumbers", "List the numbers that assistants answer",
          Scope.PHONE_NUMBERS_READ, PhoneNumberList, query=ListPhoneNumbers),
    Route("PUT", _NUMBERS + "/{number}", _assign, "assignPhoneNumber", "Let an assistant answer a number",
          Scope.PHONE_NUMBERS_WRITE, PhoneNumber, body=PhoneNumberSpec),
    Route("DELETE", _NUMBERS + "/{number}", _release, "releasePhoneNumber", "Let nobody answer a number any more",
          Scope.PHONE_NUMBERS_WRITE, None, 204),
)  # fmt: skip

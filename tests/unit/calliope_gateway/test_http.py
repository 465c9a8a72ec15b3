"""The HTTP surface: what is passed on, and what is refused before. What holds for every route: test_every_route.py."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from calliope import api_keys
from calliope.contracts.call_records import CallEventPage, ListCallEvents, ListTranscript, TranscriptPage
from calliope.contracts.calls import CarrierResponse, Stage
from calliope.contracts.checks import AssistantCheck, CheckedPart, CheckOutcome, VendorCheck
from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.contracts.subjects import Command
from calliope.errors import CommandError, invalid, unavailable
from calliope_gateway.http.errors import STATUS
from support.http_surface import ASSISTANT, AUTH, KEY, LIMITS, NOW, READER, Client, FakeBus, gateway


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
async def client(bus: FakeBus) -> AsyncIterator[Client]:
    async with gateway(bus) as client:
        yield client


async def test_a_document_is_passed_on_whole_with_its_idempotency_key(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.ASSISTANTS_CREATE_V2] = ASSISTANT
    answer = await client.post("/api/v1/assistants", json={"name": "Anna"}, headers={**AUTH, "Idempotency-Key": "k1"})
    assert answer.status == 201
    assert answer.headers["Location"] == "/api/v1/assistants/asst_1"
    assert answer.headers["ETag"] == '"7"'
    assert (await answer.json())["name"] == "Anna"
    _, payload, organization, command_id = bus.last(Command.ASSISTANTS_CREATE_V2)
    assert (payload.document, organization, command_id) == ({"name": "Anna"}, "org_1", "k1")


async def test_a_refusal_names_the_fields(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.ASSISTANTS_CREATE_V2] = invalid(
        "no", FieldProblem(path="llm_settings.x", message="unknown field")
    )
    answer = await client.post("/api/v1/assistants", json={}, headers=AUTH)
    assert answer.status == 422
    assert answer.content_type == "application/problem+json"
    body = await answer.json()
    assert body["code"] == "invalid"
    assert body["errors"] == [{"path": "llm_settings.x", "message": "unknown field"}]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Basic x"}, 401),
        ({"Authorization": "Bearer "}, 401),
        ({"Authorization": "Bearer sk-123"}, 401),
        ({"Authorization": f"Bearer {KEY[:-1]}"}, 401),
        ({"Authorization": f"Bearer {api_keys.generate()}"}, 401),
        ({"Authorization": f"Bearer {READER}"}, 403),
    ],
)
async def test_without_a_key_that_may_nothing_is_asked(
    client: Client, bus: FakeBus, headers: dict[str, str], status: int
) -> None:
    answer = await client.post("/api/v1/assistants", json={}, headers=headers)
    assert answer.status == status
    assert Command.ASSISTANTS_CREATE_V2 not in [asked[0] for asked in bus.asked]


async def test_a_check_is_answered_with_what_the_vendors_said(client: Client, bus: FakeBus) -> None:
    failed = VendorCheck(
        path="llm_provider_config.api_key",
        stage=Stage.LLM,
        provider="openai",
        what=CheckedPart.KEY,
        outcome=CheckOutcome.FAILED,
        reason="key",
        duration_ms=12.5,
    )
    bus.answers[Command.VENDORS_CHECK] = AssistantCheck(
        assistant_id="asst_1", revision=7, checked_at=NOW, ok=False, checks=(failed,), problems=(failed,)
    )
    answer = await client.post("/api/v1/assistants/asst_1/check", headers=AUTH)
    body = await answer.json()
    assert (answer.status, body["ok"], body["problems"][0]["path"]) == (200, False, "llm_provider_config.api_key")
    _, payload, organization, _ = bus.last(Command.VENDORS_CHECK)
    assert (payload.assistant_id, organization) == ("asst_1", "org_1")


async def test_a_check_that_no_worker_has_a_place_for_is_503_with_retry_after(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.VENDORS_CHECK] = CommandError(ErrorCode.BUSY, "others are under way", retry_after_s=5.0)
    answer = await client.post("/api/v1/assistants/asst_1/check", headers=AUTH)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


async def test_if_match_becomes_the_expected_revision(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.ASSISTANTS_UPDATE_V2] = CommandError(ErrorCode.PRECONDITION_FAILED, "revision is 8")
    answer = await client.patch("/api/v1/assistants/asst_1", json={}, headers={**AUTH, "If-Match": '"7"'})
    assert answer.status == 412
    assert bus.last(Command.ASSISTANTS_UPDATE_V2)[1].if_revision == 7
    for malformed in ("seven", "9" * 5_000, "1_0", "-1"):
        answer = await client.patch("/api/v1/assistants/asst_1", json={}, headers={**AUTH, "If-Match": malformed})
        assert answer.status == 400, malformed[:10]


async def test_an_unknown_query_parameter_is_refused(client: Client) -> None:
    answer = await client.get("/api/v1/calls?limt=5", headers=AUTH)
    assert answer.status == 422
    assert (await answer.json())["errors"][0]["hint"] == "did you mean 'limit'?"


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("since=yesterday", "since", "such as 2026-01-31T09:00:00Z"),
        ("since=2026-01-31T09:00:00+01:00", "since", "the + of a time zone is written %2B"),
        ("since=9999-12-31T23:59:59-23:59", "since", "years 1 to 9999"),
        ("until=0001-01-01T00:00:00%2B23:59", "until", "years 1 to 9999"),
        ("until=1900000000", "until", "such as 2026-01-31T09:00:00Z"),
        ("number=+15550001111", "number", "the + is written %2B"),
        ("number=15552002222", "number", "did you mean '+15552002222'?"),
        ("number=%2B1%20(555)%20000-2222", "number", "did you mean '+15550002222'?"),
        ("number=.*", "number", "such as +15550001111"),
        ("number=%00", "number", "such as +15550001111"),
        ("problem=opanai", "problem", "did you mean openai?"),
        ("problem=LLM", "problem", "did you mean llm?"),
        ("problem=quote", "problem", "A tool of this name is tool:quote"),
        ("limit=1&limit=2", "limit", "send it once"),
        ("problem=llm,key", "problem", "a stage such as llm"),
        ("ended_reason=bored", "ended_reason", "caller_hung_up"),
    ],
)
async def test_a_wrong_filter_of_calls_is_refused_in_words(client: Client, query: str, field: str, words: str) -> None:
    answer = await client.get(f"/api/v1/calls?{query}", headers=AUTH)
    assert answer.status == 422
    (problem,) = (await answer.json())["errors"]
    assert problem["path"] == field
    assert words in problem["message"]


@pytest.mark.parametrize("page", ["events", "transcript"])
@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("after=-1", "after", "must be a whole number"),
        ("after=evt_1", "after", "must be a whole number"),
        ("after=9007199254740993", "after", "must be a whole number"),
        ("limit=0", "limit", "must be a whole number from 1"),
        ("limit=1001", "limit", "must be a whole number from 1"),
        ("after=1&after=2", "after", "send it once"),
        ("cursor=abc", "cursor", "unknown parameter"),
    ],
)
async def test_a_page_of_a_call_that_cannot_be_is_refused_in_words(
    client: Client, page: str, query: str, field: str, words: str
) -> None:
    answer = await client.get(f"/api/v1/calls/call_1/{page}?{query}", headers=AUTH)
    assert answer.status == 422
    (problem,) = (await answer.json())["errors"]
    assert problem["path"] == field
    assert words in problem["message"]


async def test_pages_of_a_call_are_asked_for_as_they_were_wanted(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.CALL_RECORDS_LIST_EVENTS] = CallEventPage(items=(), next_after=107)
    bus.answers[Command.CALL_RECORDS_LIST_TRANSCRIPT] = TranscriptPage(items=())
    answer = await client.get("/api/v1/calls/call_1/events?after=7", headers=AUTH)
    assert (answer.status, (await answer.json())["next_after"]) == (200, 107)
    assert bus.last(Command.CALL_RECORDS_LIST_EVENTS)[1] == ListCallEvents(call_id="call_1", after=7, limit=100)
    assert (await client.get("/api/v1/calls/call_1/transcript?limit=9", headers=AUTH)).status == 200
    assert bus.last(Command.CALL_RECORDS_LIST_TRANSCRIPT)[1] == ListTranscript(call_id="call_1", limit=9)


async def test_an_owner_that_is_away_is_503_with_retry_after(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.CALL_RECORDS_GET] = unavailable("the store is away", retry_after_s=2.0)
    answer = await client.get("/api/v1/calls/call_1", headers=AUTH)
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "2"


async def test_a_bug_is_told_as_nothing_but_internal(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.CALL_RECORDS_GET] = RuntimeError("secret detail")
    answer = await client.get("/api/v1/calls/call_1", headers=AUTH)
    assert answer.status == 500
    assert "secret" not in await answer.text()


async def test_too_many_requests_of_one_key_are_429(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.CALL_RECORDS_GET] = CommandError(ErrorCode.NOT_FOUND, "no")
    statuses = [(await client.get("/api/v1/calls/x", headers=AUTH)).status for _ in range(LIMITS.burst + 1)]
    assert statuses == [404] * LIMITS.burst + [429]


async def test_a_carrier_hook_is_passed_on_raw(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.CALLS_ACCEPT] = CarrierResponse(status=200, body="<Response/>")
    answer = await client.post(
        "/telephony/twilio/voice?x=%2B1&y=", data=b"From=%2B1&Empty=", headers={"X-Twilio-Signature": "sig"}
    )
    assert (answer.status, answer.content_type, await answer.text()) == (200, "application/xml", "<Response/>")
    hook = bus.last(Command.CALLS_ACCEPT)[1]
    assert hook.path_and_query == "/telephony/twilio/voice?x=%2B1&y="
    assert hook.body == b"From=%2B1&Empty="
    assert ("X-Twilio-Signature", "sig") in hook.headers


@pytest.mark.parametrize(
    "path", ["/telephony/twilio/voice", "/telephony/twilio/resume/call_1", "/telephony/telnyx/voice"]
)
async def test_a_hook_by_get_is_passed_on_with_its_query(client: Client, bus: FakeBus, path: str) -> None:
    bus.answers[Command.CALLS_ACCEPT] = CarrierResponse(status=200, body="<Response/>")
    answer = await client.get(f"{path}?CallSid=CA1&From=%2B1&Empty=", headers={"X-Twilio-Signature": "sig"})
    assert (answer.status, await answer.text()) == (200, "<Response/>")
    assert answer.headers["Cache-Control"] == "no-store"
    hook = bus.last(Command.CALLS_ACCEPT)[1]
    assert (hook.method, hook.path_and_query) == ("GET", f"{path}?CallSid=CA1&From=%2B1&Empty=")
    assert (hook.body, ("X-Twilio-Signature", "sig") in hook.headers) == (b"", True)


@pytest.mark.parametrize("path", ["/api/v1/assistants", "/telephony/twilio/voice"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_encoded_as_it_says_is_a_bad_request(client: Client, path: str, encoding: str) -> None:
    headers = {**AUTH, "Content-Type": "application/json", "Content-Encoding": encoding}
    answer = await client.post(path, data=b'{"name": "Anna"}', headers=headers)
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid")


async def test_without_a_free_worker_the_caller_hears_busy(client: Client, bus: FakeBus) -> None:
    bus.answers[Command.CALLS_ACCEPT] = unavailable("nobody answers this at the moment")
    answer = await client.post("/telephony/twilio/voice", data=b"")
    assert answer.status == 200
    assert '<Reject reason="busy"/>' in await answer.text()


@pytest.mark.parametrize("path", ["/", "/telephony/unknown/voice", "/api/v1/nothing", "/api/v2/assistants"])
async def test_an_unknown_path_is_a_problem_document(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 404
    assert (await answer.json())["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/asistants", "did you mean /api/v1/assistants?"),
        ("/v1/assistants", "did you mean /api/v1/assistants?"),
        ("/api/v1/phone_numbers", "did you mean /api/v1/phone-numbers?"),
        ("/api/v1/call/call_1", "/docs shows every path"),
        ("/", "no such path; /docs shows every path"),
    ],
)
async def test_an_unknown_path_is_told_the_nearest_and_where_all_are(client: Client, path: str, words: str) -> None:
    assert words in (await (await client.get(path)).json())["detail"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/calls", "calls are not placed over the API yet"),
        ("/api/v1/phone-numbers", "PUT /api/v1/phone-numbers/{number}"),
    ],
)
async def test_what_other_systems_take_is_told_what_to_do_instead(client: Client, path: str, words: str) -> None:
    answer = await client.post(path, json={}, headers=AUTH)
    assert answer.status == 405
    assert words in (await answer.json())["detail"]


async def test_a_wrong_method_says_which_are_right(client: Client) -> None:
    answer = await client.delete("/api/v1/assistants", headers=AUTH)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, POST"


async def test_every_reference_of_the_openapi_document_leads_somewhere(client: Client) -> None:
    text = await (await client.get("/openapi.json")).text()
    api = await (await client.get("/openapi.json")).json()

    for name in re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text):
        assert name in api["components"]["schemas"]
    assert '"$ref":"#/$defs' not in text


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({"nats": {"url": "nats://user:secret@127.0.0.1:4333,nats://127.0.0.1:4444"}}, "127.0.0.1:4333"),
        ({"environment": "production", "nats": {"url": "nats://user:secret@bus.internal:4222"}}, "{host}"),
    ],
)
async def test_the_bus_is_named_where_it_is_local_and_left_open_elsewhere(settings: dict[str, Any], host: str) -> None:
    async with gateway(FakeBus(), **settings) as client:
        text = await (await client.get("/asyncapi.json")).text()
        document = await (await client.get("/asyncapi.json")).json()
    assert document["servers"]["nats"]["host"] == host
    assert "secret@" not in text
    assert "bus.internal" not in text


async def test_the_docs_page_needs_no_network(client: Client) -> None:
    answer = await client.get("/docs")
    text = await answer.text()
    assert "http://" not in text
    assert "https://" not in text
    assert "connect-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_the_docs_page_writes_text_and_never_markup(client: Client) -> None:
    """Descriptions and examples come from a document; none of them can become a script of the page."""
    page = await (await client.get("/docs")).text()
    assert [name for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write") if name in page] == []


def test_every_error_code_has_a_status() -> None:
    assert set(STATUS) == set(ErrorCode)

"""`/api/v1/calls` and `/api/v1/webhook-deliveries`."""

from aiohttp import web

from calliope.contracts.call_records import (
    CallEventPage,
    CallPage,
    CallRecord,
    CallRef,
    EventPageQuery,
    EventsAfter,
    ListCallEvents,
    ListCalls,
    ListTranscript,
    TranscriptPage,
    TranscriptPageQuery,
)
from calliope.contracts.identity import Scope
from calliope.contracts.subjects import Command
from calliope.contracts.webhooks import Delivery, DeliveryPage, ListDeliveries, ReplayDelivery
from calliope_gateway.http.reading import build, read_query
from calliope_gateway.http.routes import Asked, Route, model_response

_CALLS = "/api/v1/calls"
_DELIVERIES = "/api/v1/webhook-deliveries"


async def _get(asked: Asked) -> web.StreamResponse:
    record = await asked.commands.call(
        Command.CALL_RECORDS_GET,
        build(CallRef, call_id=asked.part("call_id"), after=read_query(asked.request, EventsAfter).after),
        reply_type=CallRecord,
        organization=asked.organization,
    )
    return model_response(record)


async def _events(asked: Asked) -> web.StreamResponse:
    wanted = read_query(asked.request, EventPageQuery)
    page = await asked.commands.call(
        Command.CALL_RECORDS_LIST_EVENTS,
        build(ListCallEvents, call_id=asked.part("call_id"), after=wanted.after, limit=wanted.limit),
        reply_type=CallEventPage,
        organization=asked.organization,
    )
    return model_response(page)


async def _transcript(asked: Asked) -> web.StreamResponse:
    wanted = read_query(asked.request, TranscriptPageQuery)
    page = await asked.commands.call(
        Command.CALL_RECORDS_LIST_TRANSCRIPT,
        build(ListTranscript, call_id=asked.part("call_id"), after=wanted.after, limit=wanted.limit),
        reply_type=TranscriptPage,
        organization=asked.organization,
    )
    return model_response(page)


async def _list(asked: Asked) -> web.StreamResponse:
    page = await asked.commands.call(
        Command.CALL_RECORDS_LIST,
        read_query(asked.request, ListCalls),
        reply_type=CallPage,
        organization=asked.organization,
    )
    return model_response(page)


async def _deliveries(asked: Asked) -> web.StreamResponse:
    page = await asked.commands.call(
        Command.DELIVERIES_LIST,
        read_query(asked.request, ListDeliveries),
        reply_type=DeliveryPage,
        organization=asked.organization,
    )
    return model_response(page)


async def _replay(asked: Asked) -> web.StreamResponse:
    delivery = await asked.commands.call(
        Command.DELIVERIES_REPLAY,
        build(ReplayDelivery, delivery_id=asked.part("delivery_id")),
        reply_type=Delivery,
        organization=asked.organization,
        command_id=asked.command_id,
    )
    return model_response(delivery, status=202)


ROUTES = (
    Route("GET", _CALLS, _list, "listCalls", "List calls, newest first", Scope.CALLS_READ, CallPage, query=ListCalls),
    Route("GET", _CALLS + "/{call_id}", _get, "getCall", "Get a call with its transcript and events", Scope.CALLS_READ,
          CallRecord, query=EventsAfter),
    Route("GET", _CALLS + "/{call_id}/events", _events, "listCallEvents", "List the events of a call, in their order",
          Scope.CALLS_READ, CallEventPage, query=EventPageQuery),
    Route("GET", _CALLS + "/{call_id}/transcript", _transcript, "listCallTranscript",
          "List what both sides said during a call, as it was heard", Scope.CALLS_READ, TranscriptPage,
          query=TranscriptPageQuery),
    Route("GET", _DELIVERIES, _deliveries, "listWebhookDeliveries", "List webhook deliveries, newest first",
          Scope.WEBHOOKS_READ, DeliveryPage, query=ListDeliveries),
    Route("POST", _DELIVERIES + "/{delivery_id}/replay", _replay, "replayWebhookDelivery",
          "Send a delivery again, with the same webhook-id", Scope.WEBHOOKS_WRITE, Delivery, 202),
)  # fmt: skip

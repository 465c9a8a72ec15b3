"""Builds the assistants service: the only file that knows every adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from calliope.errors import CalliopeError, PermanentError, TransientError
from calliope.messaging.broker import Bus, BusLostError, Watchdog, build_broker, ready, start, stop
from calliope.messaging.dead_letters import DeadLetters
from calliope.messaging.outbox_publish import OutboxPublisher
from calliope.observability.health import Health, serve
from calliope.runtime.supervise import Supervisor
from calliope.sealed_documents import DocumentSealer
from calliope.secrets import Sealer
from calliope.storage.calls import STORE, StoreRefusedError
from calliope_assistants.adapters.mongo import MongoStore
from calliope_assistants.adapters.mongo_calls import MongoCallEvents
from calliope_assistants.adapters.mongo_commands import MongoCommandLog
from calliope_assistants.adapters.mongo_identity import MongoKeys, MongoOrganizations, complete_older_rows
from calliope_assistants.adapters.mongo_rows import MongoAssistants, MongoNumbers, MongoOutbox
from calliope_assistants.commands import Once
from calliope_assistants.edge import SERVICE
from calliope_assistants.handlers import Handlers
from calliope_assistants.identity.bootstrap import add_first_key, say_if_nobody_can_ask
from calliope_assistants.identity.handlers import IdentityHandlers
from calliope_assistants.model import Rules
from calliope_assistants.outbox import Relay
from calliope_assistants.service import Parts
from calliope_assistants.settings import AssistantsSettings
from calliope_assistants.store_check import answer_store_checks

STORE_PAUSE_S: Final = 0.5
SUMMARIES_AT_ONCE: Final = 100

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: AssistantsSettings) -> AsyncIterator[None]:
    """The service while the block lasts; it answers when its health says ready."""
    store = MongoStore(settings.mongo)
    bus = build_broker(settings.nats, SERVICE)
    relay = Relay(MongoOutbox(store), OutboxPublisher(bus), DeadLetters(bus))
    once = Once(MongoCommandLog(store))
    Handlers(
        parts=Parts(
            rules=Rules(settings.egress, Sealer(settings.sealing.calls_public_key)),
            numbers=MongoNumbers(store),
            written=relay.wake,
        ),
        sealer=DocumentSealer.of(settings.sealing),
        rows_of=lambda organization_id: MongoAssistants(store, organization_id),
        calls=MongoCallEvents(store),
        once=once,
        retry_event=relay.retry,
    ).subscribe(bus)
    IdentityHandlers(MongoOrganizations(store), MongoKeys(store), once, relay.wake).subscribe(bus)
    answer_store_checks(bus, store)
    bus.dependencies.add(STORE, store.check_writes)
    jobs = Supervisor()
    health = Health(
        {"bus": lambda: ready(bus), "store": store.ping, "jobs": jobs.check},
        notices={"outbox": relay.notice, "bus": bus.dependencies.notice},
    )
    try:
        async with serve(health, settings.health), jobs:
            jobs.start("health.loop", health.watch_loop)
            jobs.start(
                "assistants.begin", lambda: _begin(settings, store, bus, relay, jobs), ends_process=(CalliopeError,)
            )
            yield
    finally:
        await stop(bus)
        store.close()


async def _begin(settings: AssistantsSettings, store: MongoStore, bus: Bus, relay: Relay, jobs: Supervisor) -> None:
    """Answer as soon as the store is there. Raises: PermanentError, TransientError, when bus or store refuse us."""
    await _prepare(settings, store)
    await start(bus)
    jobs.start("bus.watchdog", Watchdog(bus).run, ends_process=(BusLostError,))
    jobs.start("outbox.relay", relay.run)
    jobs.start("calls.summarize", lambda: _summarize(MongoCallEvents(store)))


async def _summarize(calls: MongoCallEvents) -> None:
    """Summaries for calls that were recorded by another version, once; lists find them by filters then."""
    made = 0
    while True:
        try:
            done = await calls.summarize(SUMMARIES_AT_ONCE)
        except TransientError as exc:
            log.warning("calls.summaries_later", error=str(exc))
            await asyncio.sleep(STORE_PAUSE_S)
            continue
        except Exception:
            log.exception("calls.summaries_failed")  # these calls are told as they are read; the service goes on
            return
        made += done
        if done == 0:
            if made:
                log.info("calls.summarized", calls=made)
            return


async def _prepare(settings: AssistantsSettings, store: MongoStore) -> None:
    """A store that is away is waited for; health says so meanwhile. Raises: PermanentError, when it refuses."""
    while True:
        try:
            await complete_older_rows(store)
            await store.prepare()
            await _bootstrap(settings, store)
        except StoreRefusedError as exc:
            raise PermanentError(f"{exc}. This does not heal by itself; mend it and start again") from exc
        except (TransientError, TimeoutError) as exc:
            log.warning("store.awaited", error=str(exc))
            await asyncio.sleep(STORE_PAUSE_S)
        else:
            return


async def _bootstrap(settings: AssistantsSettings, store: MongoStore) -> None:
    """The local stack's first key, which the settings refuse in production; or how to make one."""
    keys = MongoKeys(store)
    if settings.bootstrap_api_key is not None:
        key = settings.bootstrap_api_key.get_secret_value()
        await add_first_key(MongoOrganizations(store), keys, settings.bootstrap_organization, key)
    await say_if_nobody_can_ask(keys)

"""Builds the call-worker: the only file that knows every adapter."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from calliope import egress, garbage
from calliope.contracts.calls import EndReason, Stage
from calliope.contracts.workers import WorkerDescription
from calliope.ids import new_id
from calliope.messaging.broker import Bus, Watchdog, build_broker, ready, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.messaging.commands import Responder
from calliope.observability import metrics
from calliope.observability.health import Health
from calliope.secrets import Opener
from calliope_call_worker.adapters.analysis_work import AnalysisWork
from calliope_call_worker.adapters.directory import BusDirectory
from calliope_call_worker.adapters.journal import NatsJournals
from calliope_call_worker.adapters.lease import NatsLeases
from calliope_call_worker.adapters.numbers import BusNumbers
from calliope_call_worker.adapters.open_calls import NatsOpenCalls
from calliope_call_worker.adapters.pins import KeepingDirectory, NatsPins
from calliope_call_worker.adapters.recordings import FileRecordings
from calliope_call_worker.analysis.analyst import Analyst
from calliope_call_worker.analysis.checking import Check, schema_checker
from calliope_call_worker.analysis.job import AnalysisJob
from calliope_call_worker.call import Call, CallParts
from calliope_call_worker.checks.check import AssistantChecks
from calliope_call_worker.handlers import SERVICE, answer_carriers, answer_checks, describe_worker
from calliope_call_worker.intake import Intake
from calliope_call_worker.lines import LineCache
from calliope_call_worker.lost_calls import LostCalls
from calliope_call_worker.media import MediaEndpoint, WaitingCall
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.plan import CallPlan, own_account
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.errors import ProviderError
from calliope_call_worker.providers.probes import VendorProbes
from calliope_call_worker.providers.registry import Providers, open_providers
from calliope_call_worker.providers.telephony.base import RESUME, CarrierApi, CarrierProbe
from calliope_call_worker.providers.telephony.telnyx import Telnyx
from calliope_call_worker.providers.telephony.telnyx_api import TelnyxApi
from calliope_call_worker.providers.telephony.telnyx_probe import TelnyxProbe
from calliope_call_worker.providers.telephony.twilio import Twilio, TwilioApi
from calliope_call_worker.providers.telephony.twilio_probe import TwilioProbe
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.registry import LiveCalls
from calliope_call_worker.settings import CarriersSettings, WorkerSettings
from calliope_call_worker.tools.http import HttpTools

log = structlog.get_logger(__name__)

LAST_FACTS_S = 5.0
_CALLS = metrics.gauge("calliope_worker_calls", "Calls that hold a slot now.")
_TASKS = metrics.gauge("calliope_worker_tasks", "Tasks of the event loop now; back to where it was when calls end.")


class Worker:
    """One worker process: its calls, its slots, its place in the queue of those who accept."""

    def __init__(self, settings: WorkerSettings, bus: Bus, outside: "Outside", tasks: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._tasks = tasks
        self._changed = asyncio.Event()
        self._draining = False
        self._lines = LineCache()
        self._media_url = settings.media.public_url or ""
        self._http_tools = HttpTools(outside.tools)
        self._providers = outside.providers
        telnyx = TelnyxApi(outside.carriers, settings.carriers.telnyx.url)
        self._apis: dict[str, CarrierApi] = {
            "twilio": TwilioApi(outside.carriers, settings.carriers.twilio.url),
            "telnyx": telnyx,
        }
        self.worker_id = settings.worker_id or new_id("worker")
        self.live = LiveCalls(settings.slots, self._changed.set)
        self.leases = NatsLeases(bus, self.worker_id)
        self.pins = NatsPins(bus)
        opener = Opener(key.get_secret_value() for key in settings.sealing.private_keys)
        journals = NatsJournals(bus, self._spawn)
        commands = CommandClient(bus)
        directory = BusDirectory(commands)
        self.open_calls = NatsOpenCalls(bus)
        self.recordings = FileRecordings(settings.recordings)
        self._accept = answer_carriers(
            bus,
            Intake(
                settings=settings,
                worker_id=self.worker_id,
                carriers={"twilio": Twilio(), "telnyx": Telnyx()},
                orders=CarrierOrders({"telnyx": telnyx}, self._spawn, self._order_failed, self._line_over),
                directory=KeepingDirectory(directory, self.pins),
                journals=journals,
                leases=self.leases,
                open_calls=self.open_calls,
                opener=opener,
                live=self.live,
                refusals=Refusals(
                    journals,
                    self._spawn,
                    worker_id=self.worker_id,
                    unsigned_per_minute=settings.call.unsigned_refusals_per_minute,
                ),
                start=self._start,
                media_url=lambda: self._media_url,
            ),
        )
        describe_worker(bus, self.worker_id, self.describe)
        self.media = MediaEndpoint(settings.media, self._waiting, lambda: self._media_url)
        job = AnalysisJob(
            journals=journals,
            directory=directory,
            pins=self.pins,
            opener=opener,
            analyst=Analyst(self._providers.for_analysis, outside.check, settings.analysis, settings.call.time_zone),
            settings=settings.analysis,
        )
        self.lost_calls = LostCalls(
            settings=settings,
            open_calls=self.open_calls,
            journals=journals,
            directory=directory,
            opener=opener,
            apis=self._apis,
        )
        self.analysis = AnalysisWork(bus, job, settings.analysis)
        self._check = answer_checks(
            bus,
            AssistantChecks(
                directory=directory,
                numbers=BusNumbers(commands),
                opener=opener,
                probes=VendorProbes(self._providers, _carrier_probes(outside.carriers, settings.carriers), settings),
                settings=settings.checks,
            ),
        )

    def describe(self) -> WorkerDescription:
        """As an operator sees it."""
        settings = self._settings
        return WorkerDescription(
            worker_id=self.worker_id,
            slots=settings.slots,
            calls=len(self.live),
            accepting=not (self.live.full or self._draining),
            public_url=settings.public_url,
            media_url=self._media_url,
            carriers=tuple(name for name in self._apis if own_account(name, settings.carriers) is not None),
            at=datetime.now(UTC),
        )

    @property
    def accepting(self) -> Responder:
        """Its subscription to carrier requests."""
        return self._accept

    def listening_on(self, host: str, port: int) -> None:
        """Where carriers reach this worker's media, unless settings say otherwise."""
        self._media_url = self._media_url or f"ws://{host}:{port}/media"

    async def keep_slots(self) -> None:
        """Leave the queue of accepting workers when full or draining, and come back."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self.live.full or self._draining:
                await self._accept.pause()
            else:
                await self._accept.resume()

    async def free_slot(self) -> None:
        """Readiness. Raises: RuntimeError."""
        if self._draining or self.live.full:
            raise RuntimeError("draining" if self._draining else "no free slot")

    async def drain(self, within_s: float) -> None:
        """Take no more calls; let those that run end; hand the rest over to other workers."""
        self._draining = True
        self.analysis.stop_taking()
        await self._accept.pause()
        await self._check.pause()
        log.info("worker.draining", calls=len(self.live))
        try:
            async with asyncio.timeout(within_s):
                while len(self.live):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log.info("worker.handing_over", calls=len(self.live))
        for call in self.live:
            await call.abandon()

    async def _start(self, plan: CallPlan, journal: Journal) -> None:
        """Raises: StageError, when a provider that the call needs cannot be had."""
        parts = self._parts(plan, journal)
        call = Call(plan, parts)
        parts.providers.failures.listen(call.provider_failed)
        self.live.register(call)
        self._spawn(self._run(call), "call.run")

    def _parts(self, plan: CallPlan, journal: Journal) -> CallParts:
        return CallParts(
            settings=self._settings,
            journal=journal,
            providers=self._providers.for_call(plan.spec, plan.call_id, plan.facts),
            carrier_api=self._apis[plan.carrier.name],
            http_tools=self._http_tools,
            lines=self._lines,
            spawn=self._spawn,
            after_url=f"{self._settings.public_url}/telephony/{plan.carrier.name}{RESUME}{plan.call_id}",
            recorder=self.recordings.open(plan.call_id) if plan.spec.journal_inputs else None,
        )

    async def _run(self, call: Call) -> None:
        with structlog.contextvars.bound_contextvars(call_id=call.plan.call_id):
            try:
                await call.run()
            finally:
                self.live.release(call.plan.call_id)
                if call.abandoned:
                    self.leases.drop(call.plan.call_id)  # at once: this worker may be about to take it anew
                else:
                    await self.leases.release(call.plan.call_id)
                if call.told:
                    await self.open_calls.forget(call.plan.call_id)

    def _order_failed(self, call_id: str, error: ProviderError, action: str) -> None:
        call = self.live.get(call_id)
        if isinstance(call, Call) and not call.ending:
            call.provider_failed(Stage.CARRIER, error, action)

    def _line_over(self, call_id: str) -> None:
        call = self.live.get(call_id)
        if call is not None and not call.ending:
            call.line_ended(EndReason.CALLER_HUNG_UP, "")

    def _waiting(self, call_id: str) -> WaitingCall | None:
        call = self.live.get(call_id)
        return call if isinstance(call, Call) else None

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        return self._tasks.create_task(_guarded(work, name), name=name)


def _carrier_probes(session: aiohttp.ClientSession, settings: CarriersSettings) -> dict[str, CarrierProbe]:
    return {
        "twilio": TwilioProbe(session, settings.twilio.url),
        "telnyx": TelnyxProbe(session, settings.telnyx.url),
    }


async def _guarded(work: Coroutine[Any, Any, Any], name: str) -> Any:
    """One call's bug must not end the others: logged whole, and over."""
    try:
        return await work
    except Exception:
        log.exception("task.crashed", task=name)
        return None


@dataclass(frozen=True, slots=True)
class Outside:
    """Ways out: to providers, to carriers, the guarded one for what users define, and who checks schemas."""

    providers: Providers
    carriers: aiohttp.ClientSession
    tools: aiohttp.ClientSession
    check: Check


@asynccontextmanager
async def running(settings: WorkerSettings) -> AsyncIterator[Worker]:
    """The worker while the block lasts; leaving it drains."""
    bus = build_broker(settings.nats, SERVICE)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        outside = Outside(
            providers=await stack.enter_async_context(open_providers(settings.providers, settings.egress)),
            carriers=await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())),
            tools=await stack.enter_async_context(egress.session(settings.egress, total_s=60.0, limit=0)),
            check=await stack.enter_async_context(schema_checker(deadline_s=settings.analysis.check_deadline_s)),
        )
        stack.push_async_callback(stop, bus)
        async with asyncio.TaskGroup() as tasks:
            worker = Worker(settings, bus, outside, tasks)
            await worker.recordings.prepare()
            async with _serving(worker, bus, settings) as health:
                _CALLS.set_function(lambda: len(worker.live))
                _TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
                await start(bus)
                background = [
                    tasks.create_task(health.watch_loop(), name="health.loop"),
                    tasks.create_task(Watchdog(bus).run(), name="bus.watchdog"),
                    tasks.create_task(worker.leases.renew(), name="leases.renew"),
                    tasks.create_task(worker.keep_slots(), name="slots.keep"),
                    tasks.create_task(worker.pins.run(), name="pins.write"),
                    tasks.create_task(worker.lost_calls.run(), name="lost_calls.close"),
                    tasks.create_task(worker.analysis.run(), name="analysis.work"),
                    tasks.create_task(worker.recordings.run(), name="recordings.write"),
                    tasks.create_task(garbage.collect(lambda: len(worker.live) == 0), name="garbage.collect"),
                ]
                garbage.freeze()
                log.info("worker.ready", worker_id=worker.worker_id, slots=settings.slots)
                yield worker
                await worker.drain(settings.shutdown_timeout_s)
                for task in background:
                    task.cancel()
            await worker.recordings.flush()
            tasks.create_task(_last_facts(), name="worker.last_facts")


async def _last_facts() -> None:
    """Facts that still wait for the bus get a moment; then what is left of this process's tasks is ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    pumps = {task for task in others if task.get_name() == "journal.pump"}
    if pumps:
        await asyncio.wait(pumps, timeout=LAST_FACTS_S)
    for task in pumps:
        task.cancel()


@asynccontextmanager
async def _serving(worker: Worker, bus: Bus, settings: WorkerSettings) -> AsyncIterator[Health]:
    health = Health({"bus": lambda: ready(bus), "slot": worker.free_slot})
    app = web.Application()
    health.add_to(app)
    app.router.add_routes(worker.media.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.http.host, settings.http.port).start()
        host, port = runner.addresses[0][:2]
        worker.listening_on(host, int(port))
        yield health
    finally:
        await runner.cleanup()

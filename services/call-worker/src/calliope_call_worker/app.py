"""Builds the call-worker: the only file that knows every adapter."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp import web

from calliope import egress, garbage
from calliope.http_listener import ConnectionLimits, listening
from calliope.ids import new_id
from calliope.messaging.broker import Bus, BusLostError, Watchdog, build_broker, ready, start, stop
from calliope.messaging.command_client import CommandClient
from calliope.observability import metrics
from calliope.observability.health import Health, serve
from calliope.runtime.isolated_tasks import IsolatedTasks
from calliope.runtime.loop_share import LoopShare
from calliope.runtime.supervise import Supervisor
from calliope.secrets import Opener
from calliope_call_worker.accounts import CarrierAccounts, own_account
from calliope_call_worker.adapters.analysis_work import AnalysisWork
from calliope_call_worker.adapters.dependencies import watch_dependencies
from calliope_call_worker.adapters.directory import BusDirectory
from calliope_call_worker.adapters.journal import NatsJournals
from calliope_call_worker.adapters.lease import NatsLeaseStore
from calliope_call_worker.adapters.number_resolver import BusNumberResolver
from calliope_call_worker.adapters.numbers import BusNumbers
from calliope_call_worker.adapters.open_calls import NatsOpenCalls
from calliope_call_worker.adapters.pins import NatsPins
from calliope_call_worker.adapters.playbacks import NatsPlaybacks
from calliope_call_worker.adapters.recordings import FileRecordings
from calliope_call_worker.analysis.analyst import Analyst
from calliope_call_worker.analysis.checking import SchemaChecker, schema_checker
from calliope_call_worker.analysis.job import AnalysisJob
from calliope_call_worker.call import Call, CallParts
from calliope_call_worker.calls.authenticate import HookAuthenticator
from calliope_call_worker.calls.documents import CallDocuments
from calliope_call_worker.calls.hooks import CarrierHooks, carrier_hooks
from calliope_call_worker.calls.operate import OperatedCalls
from calliope_call_worker.calls.start import after_url
from calliope_call_worker.checks.check import AssistantChecks
from calliope_call_worker.handlers import (
    SERVICE,
    answer_carriers,
    answer_checks,
    answer_operators,
    decline_calls,
    describe_worker,
)
from calliope_call_worker.lines import LineCache
from calliope_call_worker.lost_calls import LostCalls
from calliope_call_worker.media import MediaEndpoint
from calliope_call_worker.opened_documents import OpenedDocuments
from calliope_call_worker.orders import CarrierOrders
from calliope_call_worker.ownership.lease import LeaseKeeper
from calliope_call_worker.plan import CallPlan
from calliope_call_worker.ports import Journal
from calliope_call_worker.providers.probes import VendorProbes
from calliope_call_worker.providers.registry import Providers, open_providers
from calliope_call_worker.providers.telephony.base import CarrierApi, CarrierProbe
from calliope_call_worker.providers.telephony.telnyx import Telnyx
from calliope_call_worker.providers.telephony.telnyx_api import TelnyxApi
from calliope_call_worker.providers.telephony.telnyx_probe import TelnyxProbe
from calliope_call_worker.providers.telephony.twilio import Twilio, TwilioApi
from calliope_call_worker.providers.telephony.twilio_probe import TwilioProbe
from calliope_call_worker.refusals import Refusals
from calliope_call_worker.settings import CarriersSettings, WorkerSettings
from calliope_call_worker.silent_owners import SilentOwners
from calliope_call_worker.tools.http import HttpTools
from calliope_call_worker.tools.toolbox import CHECK_S
from calliope_call_worker.worker import NewCall, RequestQueue, Worker

log = structlog.get_logger(__name__)

SPARE_CONNECTIONS = 64
HOOKS_SHARE = 0.25
"""Of the event loop, for hooks that no known account signed: above a thousand a second, of 0.2 ms each."""
HOOKS_BURST_S = 0.5
"""As many as 1,000 questions about calls of other workers, such as after one died."""
_CALLS = metrics.gauge("calliope_worker_calls", "Calls that hold a slot now.")
_ACCEPTING = metrics.gauge("calliope_worker_accepting", "Whether this worker would take a call now: 1 or 0.")
_TASKS = metrics.gauge("calliope_worker_tasks", "Tasks of the event loop now; back to where it was when calls end.")


@dataclass(frozen=True, slots=True)
class Outside:
    """Ways out: to providers, to carriers, the guarded one for what users define, and who checks schemas."""

    providers: Providers
    carriers: aiohttp.ClientSession
    tools: aiohttp.ClientSession
    checker: SchemaChecker


@dataclass(frozen=True, slots=True)
class Shared:
    """What several parts of one worker share."""

    settings: WorkerSettings
    bus: Bus
    outside: Outside
    opener: Opener
    apis: dict[str, CarrierApi]
    telnyx: TelnyxApi
    commands: CommandClient
    directory: BusDirectory
    numbers: BusNumberResolver
    pins: NatsPins
    documents: CallDocuments
    authenticator: HookAuthenticator
    journals: NatsJournals
    playbacks: NatsPlaybacks
    leases: LeaseKeeper
    open_calls: NatsOpenCalls
    recordings: FileRecordings


@asynccontextmanager
async def running(settings: WorkerSettings) -> AsyncIterator[Worker]:
    """The worker while the block lasts; leaving it drains."""
    bus = build_broker(settings.nats, SERVICE)
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        outside = await _outside(stack, settings)
        stack.push_async_callback(stop, bus)
        journals = await stack.enter_async_context(NatsJournals(bus))
        tasks = await stack.enter_async_context(IsolatedTasks())
        worker_id = settings.worker_id or new_id("worker")
        shared = _shared(settings, bus, outside, journals, worker_id)
        await shared.recordings.prepare()
        worker = _worker(shared, tasks, worker_id)
        hooks = _carrier_hooks(shared, worker, tasks)
        share = LoopShare(HOOKS_SHARE, HOOKS_BURST_S)
        accepting = answer_carriers(bus, hooks, share, tasks.spawn)
        declining = decline_calls(bus, hooks, share, tasks.spawn)
        for queue in (accepting, declining):
            stack.push_async_callback(queue.pause)  # what they begin are tasks of this block
        checking = _check_assistants(shared)
        lost_calls = _lost_calls(shared)
        describe_worker(bus, worker_id, worker.describe)
        operated = OperatedCalls(worker_id, worker.live, lost_calls, lambda call: worker.release(call, accepting))
        answer_operators(bus, worker_id, operated)
        analysis = _analysis(shared)
        _CALLS.set_function(lambda: len(worker.live))
        _ACCEPTING.set_function(lambda: worker.describe().accepting)
        _TASKS.set_function(lambda: len(asyncio.all_tasks(loop)))
        async with Supervisor() as jobs, _serving(worker, jobs, bus, settings) as health:
            await start(bus)
            jobs.start("health.loop", health.watch_loop)
            jobs.start("bus.watchdog", Watchdog(bus).run, ends_process=(BusLostError,))
            jobs.start("leases.renew", shared.leases.renew)
            jobs.start("slots.keep", lambda: worker.keep_slots(accepting))
            jobs.start("routes.write", shared.numbers.run)
            jobs.start("lost_calls.close", lost_calls.run)
            jobs.start("silent_owners.ask", _silent_owners(shared, worker, hooks).run)
            jobs.start("analysis.work", analysis.run)
            jobs.start("recordings.write", shared.recordings.run)
            jobs.start("garbage.collect", lambda: garbage.collect(lambda: len(worker.live) == 0))
            garbage.freeze()
            health.start()
            log.info("worker.ready", worker_id=worker_id, slots=settings.slots)
            yield worker
            analysis.stop_taking()
            await worker.drain((accepting, checking), within_s=settings.shutdown_timeout_s)
        await shared.recordings.flush()


async def _outside(stack: AsyncExitStack, settings: WorkerSettings) -> Outside:
    return Outside(
        providers=await stack.enter_async_context(open_providers(settings.providers, settings.egress)),
        carriers=await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())),
        tools=await stack.enter_async_context(egress.session(settings.egress, total_s=60.0, limit=0)),
        checker=await stack.enter_async_context(schema_checker()),
    )


def _shared(settings: WorkerSettings, bus: Bus, outside: Outside, journals: NatsJournals, worker_id: str) -> Shared:
    telnyx = TelnyxApi(outside.carriers, settings.carriers.telnyx.url)
    commands = CommandClient(bus)
    opener = Opener(key.get_secret_value() for key in settings.sealing.private_keys)
    directory, numbers, pins = BusDirectory(commands), BusNumberResolver(bus, commands), NatsPins(bus)
    documents = CallDocuments(directory, pins, OpenedDocuments(opener))
    return Shared(
        settings=settings,
        bus=bus,
        outside=outside,
        opener=opener,
        apis={"twilio": TwilioApi(outside.carriers, settings.carriers.twilio.url), "telnyx": telnyx},
        telnyx=telnyx,
        commands=commands,
        directory=directory,
        numbers=numbers,
        pins=pins,
        documents=documents,
        authenticator=HookAuthenticator(settings, CarrierAccounts(settings.carriers, opener), numbers, documents),
        journals=journals,
        playbacks=NatsPlaybacks(bus),
        leases=LeaseKeeper(NatsLeaseStore(bus), worker_id, on_renewed_again=journals.verify),
        open_calls=NatsOpenCalls(bus),
        recordings=FileRecordings(settings.recordings),
    )


def _worker(shared: Shared, tasks: IsolatedTasks, worker_id: str) -> Worker:
    settings = shared.settings
    return Worker(
        worker_id=worker_id,
        settings=settings,
        carriers=[name for name in shared.apis if own_account(name, settings.carriers) is not None],
        tasks=tasks,
        leases=shared.leases,
        open_calls=shared.open_calls,
        new_call=_new_call(shared, tasks),
    )


def _new_call(shared: Shared, tasks: IsolatedTasks) -> NewCall:
    lines, http_tools, settings = LineCache(), HttpTools(shared.outside.tools), shared.settings

    def build(plan: CallPlan, journal: Journal) -> Call:
        providers = shared.outside.providers.for_call(plan.spec, plan.call_id, plan.organization_id, plan.facts)
        call = Call(
            plan,
            CallParts(
                settings=settings,
                journal=journal,
                providers=providers,
                carrier_api=shared.apis[plan.carrier.name],
                http_tools=http_tools,
                check=shared.outside.checker.check(plan.organization_id, deadline_s=CHECK_S, formats=False),
                lines=lines,
                spawn=tasks.spawn,
                after_url=after_url(plan, settings.public_url),
                playbacks=shared.playbacks,
                recorder=shared.recordings.open(plan.call_id) if plan.spec.journal_inputs else None,
            ),
        )
        providers.failures.listen(call.provider_failed)
        return call

    return build


def _carrier_hooks(shared: Shared, worker: Worker, tasks: IsolatedTasks) -> CarrierHooks:
    settings = shared.settings
    return carrier_hooks(
        settings=settings,
        worker_id=worker.worker_id,
        carriers={"twilio": Twilio(), "telnyx": Telnyx()},
        orders=CarrierOrders({"telnyx": shared.telnyx}, tasks.spawn, worker.command_failed, worker.line_over),
        numbers=shared.numbers,
        documents=shared.documents,
        authenticator=shared.authenticator,
        journals=shared.journals,
        playbacks=shared.playbacks,
        leases=shared.leases,
        open_calls=shared.open_calls,
        live=worker.live,
        refusals=Refusals(
            shared.journals,
            tasks.spawn,
            worker_id=worker.worker_id,
            unsigned_per_minute=settings.call.unsigned_refusals_per_minute,
        ),
        spawn=tasks.spawn,
        start=worker.start,
        media_url=lambda: worker.media_url,
    )


def _check_assistants(shared: Shared) -> RequestQueue:
    settings = shared.settings
    probes = _carrier_probes(shared.outside.carriers, settings.carriers)
    checks = AssistantChecks(
        directory=shared.directory,
        numbers=BusNumbers(shared.commands),
        opener=shared.opener,
        probes=VendorProbes(shared.outside.providers, probes, settings),
        settings=settings.checks,
    )
    return answer_checks(shared.bus, checks)


def _carrier_probes(session: aiohttp.ClientSession, settings: CarriersSettings) -> dict[str, CarrierProbe]:
    return {
        "twilio": TwilioProbe(session, settings.twilio.url),
        "telnyx": TelnyxProbe(session, settings.telnyx.url),
    }


def _analysis(shared: Shared) -> AnalysisWork:
    settings, outside = shared.settings, shared.outside
    check = outside.checker.check("analysis", deadline_s=settings.analysis.check_deadline_s)
    job = AnalysisJob(
        journals=shared.journals,
        directory=shared.directory,
        pins=shared.pins,
        opener=shared.opener,
        analyst=Analyst(outside.providers.for_analysis, check, settings.analysis, settings.call.time_zone),
        settings=settings.analysis,
    )
    watch_dependencies(shared.bus, shared.directory)
    return AnalysisWork(shared.bus, job, settings.analysis)


def _lost_calls(shared: Shared) -> LostCalls:
    return LostCalls(
        settings=shared.settings,
        open_calls=shared.open_calls,
        journals=shared.journals,
        authenticator=shared.authenticator,
        apis=shared.apis,
    )


def _silent_owners(shared: Shared, worker: Worker, hooks: CarrierHooks) -> SilentOwners:
    async def take_up(carrier: str, call_id: str) -> None:
        await worker.can_accept()
        await hooks.take_up(carrier, call_id)

    return SilentOwners(
        settings=shared.settings,
        open_calls=shared.open_calls,
        journals=shared.journals,
        authenticator=shared.authenticator,
        apis=shared.apis,
        take_up=take_up,
        runs_here=lambda call_id: worker.live.get(call_id) is not None,
    )


@asynccontextmanager
async def _serving(worker: Worker, jobs: Supervisor, bus: Bus, settings: WorkerSettings) -> AsyncIterator[Health]:
    """Media, and health beside it: ready is a worker that serves the calls it holds, whether it takes more or not."""
    able = {"bus": lambda: ready(bus), "accepting": worker.can_accept, "jobs": jobs.check}
    health = Health({}, able=able, notices={"bus": bus.dependencies.notice}, started=False)
    media = MediaEndpoint(settings.media, worker.waiting, lambda: worker.media_url)
    app = web.Application()
    app.router.add_routes(media.routes())
    # A call has one socket, and many come from one address of their carrier; twice that, for calls that come anew.
    per_address = 2 * settings.slots + SPARE_CONNECTIONS
    limits = ConnectionLimits(overall=2 * per_address, per_address=per_address)
    async with (
        serve(health, settings.health),
        listening(
            app, "media", host=settings.http.host, port=settings.http.port, limits=limits, shutdown_timeout_s=2.0
        ) as (host, port),
    ):
        worker.listening_on(host, port)
        yield health

"""Creates and updates what `streams.py` says; the only place that may. Running it again changes nothing.

python -m calliope.messaging.provision        # --help tells its variables; exit 0 when everything is as declared

await check(bus, durables=[streams.WEBHOOKS_FANOUT])            # at start: raises ProvisionError, in words
tasks.create_task(keep_checking(bus, [...]), name="bus.check")  # each minute: counts and logs, goes on
"""

import asyncio
import itertools
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import nats
import structlog
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from calliope.errors import PermanentError, TransientError
from calliope.messaging.broker import Bus, absent, is_refusal, refusal, shown
from calliope.messaging.differences import durable_differences, stream_differences
from calliope.messaging.streams import DURABLES, STREAMS, Durable, Stream
from calliope.observability import metrics
from calliope.runtime.process import job_of
from calliope.settings import NatsSettings, ServiceSettings

CHECK_EVERY_S: Final = 60.0
_TIMEOUT_S: Final = 5.0
_UNCHANGEABLE: Final = frozenset({10012, 10052})
"""The server's words for: a durable, a stream that exists cannot be changed so."""
_TOO_FEW_SERVERS: Final = 10074

log = structlog.get_logger()

_WRONG: Final = metrics.gauge("calliope_bus_provision_problems", "Streams and durables missing or different.")


class ProvisionError(PermanentError):
    """Something on the bus is missing or not as declared: run the provisioner."""


async def provision(jetstream: JetStreamContext, *, replicas: int | None = None) -> list[str]:
    """Make the server agree with `streams.py`; returns what was changed.

    Without `replicas`, which nobody chose then, no stream gets fewer copies: as many as there are, on a new bus one.
    Raises: ProvisionError, when something cannot be changed; everything else is.
    """
    changed: list[str] = []
    refused: list[str] = []
    replicas = replicas or await _most_copies(jetstream)
    for stream in STREAMS:
        problems = await _stream_problems(jetstream, stream, replicas)
        put = jetstream.add_stream if problems is None else jetstream.update_stream
        if problems != []:
            await _put(f"stream {stream.name}", problems, put(stream.config(replicas)), changed, refused)
    for durable in DURABLES:
        problems = await _durable_problems(jetstream, durable, replicas)
        if problems != []:
            config = durable.config(replicas)
            await _put(
                f"durable {durable.name}", problems, jetstream.add_consumer(durable.stream, config), changed, refused
            )
    if refused:
        raise ProvisionError("; ".join(dict.fromkeys(refused)))
    return changed


async def _most_copies(jetstream: JetStreamContext) -> int:
    """Of any stream of ours that exists; 1 when there is none."""
    most = 1
    for stream in STREAMS:
        try:
            info = await jetstream.stream_info(stream.name)
        except NotFoundError:
            continue
        most = max(most, info.config.num_replicas or 1)
    return most


async def _put(
    what: str, problems: list[str] | None, change: Awaitable[object], changed: list[str], refused: list[str]
) -> None:
    """Create or change one thing, and note what came of it."""
    try:
        await change
    except APIError as exc:
        if exc.err_code == _TOO_FEW_SERVERS:
            refused.append(
                "CALLIOPE_NATS__REPLICAS asks for copies on several servers, and NATS is a single one: "
                "make it a cluster, or set it to 1"
            )
        elif exc.err_code in _UNCHANGEABLE:
            named = ", ".join(problems or ())
            refused.append(
                f"{what} differs in {named}, and NATS refuses the change ({exc.description}): {_advice(what)}"
            )
        else:
            raise
    else:
        changed.append(f"created {what}" if problems is None else f"updated {what}: {', '.join(problems)}")


def _advice(what: str) -> str:
    kind, name = what.split()
    if kind == "stream":
        return f"stop the services, save it with `nats stream backup {name}`, delete it, and provision again"
    return "delete it and provision again; its service then reads the stream anew, and knows what it has done"


async def check(bus: Bus, *, durables: Iterable[Durable] = (), streams: Iterable[Stream] = ()) -> None:
    """What this service needs is there and as declared.

    Raises: ProvisionError, naming every difference; TransientError, when the server does not answer.
    """
    jetstream = bus.jetstream
    found: list[str] = []
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            for stream in streams:
                found += _in_words(f"stream {stream.name}", await _stream_problems(jetstream, stream))
            for durable in durables:
                found += _in_words(f"durable {durable.name}", await _durable_problems(jetstream, durable))
    except (NatsError, OSError, TimeoutError) as exc:
        raise TransientError("JetStream does not answer") from exc
    _WRONG.set(len(found))
    if found:
        raise ProvisionError(f"run `python -m calliope.messaging.provision`: {'; '.join(found)}")


async def keep_checking(
    bus: Bus, durables: Sequence[Durable] = (), streams: Sequence[Stream] = (), *, every_s: float = CHECK_EVERY_S
) -> None:
    """For ever: a durable deleted while we run is seen, logged and counted; provisioning it again heals."""
    while True:
        await asyncio.sleep(every_s)
        try:
            await check(bus, durables=durables, streams=streams)
        except ProvisionError as exc:
            log.error("bus.not_as_declared", detail=str(exc))  # noqa: TRY400 - the words say it all
        except TransientError:
            log.warning("bus.check_failed")


async def _stream_problems(
    jetstream: JetStreamContext, stream: Stream, replicas: int | None = None
) -> list[str] | None:
    """Fields that differ; None when there is no such stream."""
    try:
        info = await jetstream.stream_info(stream.name)
    except NotFoundError:
        return None
    return stream_differences(info.config, stream, replicas)


async def _durable_problems(
    jetstream: JetStreamContext, durable: Durable, replicas: int | None = None
) -> list[str] | None:
    try:
        info = await jetstream.consumer_info(durable.stream, durable.name)
    except NotFoundError:
        return None
    return durable_differences(info.config, durable, replicas)


def _in_words(what: str, problems: list[str] | None) -> list[str]:
    if problems is None:
        return [f"{what} is missing"]
    return [f"{what} differs in {', '.join(problems)}"] if problems else []


async def provision_at(settings: NatsSettings) -> list[str]:
    """Connect, provision, leave; tried again for `start_timeout_s`, because a cluster may be electing its leader.

    Raises: TransientError, when it does not work in time; PermanentError, when the server refuses us.
    """
    servers = shown(settings.url)
    errors: list[str] = []

    async def note(error: Exception) -> None:
        if not errors:
            log.warning("bus.awaited", servers=servers, error=str(error) or type(error).__name__)
        errors[:] = [str(error) or type(error).__name__]

    try:
        async with asyncio.timeout(settings.start_timeout_s):
            for attempt in itertools.count():
                try:
                    return await _provision_once(settings, note)
                except (NatsError, OSError, TimeoutError) as exc:
                    await note(exc)
                    if is_refusal(exc):
                        raise PermanentError(refusal(servers, exc)) from exc
                await asyncio.sleep(min(0.1 * 2 ** min(attempt, 8), 2.0))
    except TimeoutError:
        pass
    raise TransientError(f"{absent(servers, settings.start_timeout_s)} The last error: {''.join(errors) or 'none'}")


async def _provision_once(settings: NatsSettings, note: Callable[[Exception], Awaitable[None]]) -> list[str]:
    connection = await nats.connect(
        settings.url.split(","),
        name="calliope-provision",
        user=settings.user,
        password=settings.password.get_secret_value() if settings.password else None,
        connect_timeout=int(settings.connect_timeout_s) or 1,
        allow_reconnect=False,
        error_cb=note,  # the client's own one prints
    )
    try:
        return await provision(connection.jetstream(timeout=_TIMEOUT_S), replicas=settings.replicas)
    finally:
        await connection.close()


async def _work(settings: ServiceSettings) -> None:
    changed = await provision_at(settings.nats)
    log.info("bus.provisioned", changed=changed)


def main() -> int:
    """The job before the services."""
    says = "Creates the streams and durable consumers of the bus, or updates them; running it again changes nothing."
    return job_of("provision", ServiceSettings, _work, says=says)


if __name__ == "__main__":
    sys.exit(main())

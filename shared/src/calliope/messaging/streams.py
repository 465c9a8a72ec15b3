"""Everything that exists on the bus, as data: streams, the key-value bucket, durable consumers.

Only `messaging/provision.py` creates or changes these; services name them:

    FANOUT = streams.WEBHOOKS_FANOUT
    @consumer(router, FANOUT)                 # calliope.messaging.broker
    async def fan_out(event: Event) -> None: ...
"""

from dataclasses import dataclass
from typing import Final

from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from calliope.contracts import subjects

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""Largest message, headers included: far below the server's 1 MiB, where crossing it closes the connection."""

_DAY_S: Final = 24 * 60 * 60
_SPARE_DELIVERIES: Final = 5


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream; `kv` buckets are streams too. Retention is by limits: nothing is deleted because somebody read it."""

    name: str
    subjects: tuple[str, ...]
    max_age_s: float
    duplicate_window_s: float = 120
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_per_subject: int = -1
    schedules: bool = False
    bucket: bool = False
    direct: bool = False
    """Any replica answers reads of it, many messages at once; see `direct_get.py`."""

    def config(self, replicas: int = 1) -> StreamConfig:
        """What the server is told."""
        return StreamConfig(
            name=self.name,
            subjects=list(self.subjects),
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW if self.bucket else DiscardPolicy.OLD,
            max_age=self.max_age_s,
            duplicate_window=self.duplicate_window_s,
            max_msg_size=self.max_message_bytes,
            max_msgs_per_subject=self.max_per_subject,
            num_replicas=replicas,
            allow_direct=self.direct,
            allow_rollup_hdrs=self.bucket or self.schedules,
            deny_delete=self.bucket,
            allow_msg_schedules=self.schedules,
            allow_msg_ttl=self.schedules or self.bucket,
        )


@dataclass(frozen=True, slots=True)
class Durable:
    """One durable pull consumer, shared by all replicas of a service; named `<service>-<what>`.

    `max_deliver` is where *we* give up and write the dead letter. The server's own limit lies a little above: a crash
    during the last delivery, or a dead letter that could not be stored, must not lose the message in silence.
    """

    name: str
    stream: str
    subjects: tuple[str, ...]
    ack_wait_s: float
    max_deliver: int
    max_ack_pending: int
    retry_delays_s: tuple[float, ...]
    """Between deliveries; the last one repeats. At most 60 s each: a delayed message holds its place in the queue."""

    @property
    def service(self) -> str:
        """The service that reads it."""
        return self.name.rpartition("-")[0]

    @property
    def subject(self) -> str:
        """The filter, for those who need exactly one."""
        return self.subjects[0]

    def retry_delay_s(self, deliveries: int) -> float:
        """How long to wait after delivery number `deliveries` failed."""
        return self.retry_delays_s[min(max(deliveries, 1), len(self.retry_delays_s)) - 1]

    def config(self, replicas: int = 1) -> ConsumerConfig:
        """What the server is told."""
        return ConsumerConfig(
            durable_name=self.name,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait_s,
            max_deliver=self.max_deliver + _SPARE_DELIVERIES,
            max_ack_pending=self.max_ack_pending,
            filter_subjects=list(dict.fromkeys((*self.subjects, subjects.replays(self.stream, self.name)))),
            num_replicas=replicas,
        )


EVENTS: Final = Stream(
    "EVENTS",
    (subjects.ALL_EVENTS, subjects.replays("EVENTS")),
    max_age_s=14 * _DAY_S,
    duplicate_window_s=600,
    direct=True,
)

DEAD: Final = Stream(
    "DEAD",
    (
        subjects.DEAD_LETTERS,
        subjects.REPLAYED_LETTERS,
        # Safety net: what a consumer dropped without a dead letter of ours is a bug, and is seen here.
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
        "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
    ),
    max_age_s=30 * _DAY_S,
    duplicate_window_s=600,
    # A dead letter is the message plus headers that say why.
    max_message_bytes=2 * MAX_MESSAGE_BYTES,
)

SCHED: Final = Stream(
    "SCHED",
    # The server demands that a schedule's target lies in the schedule's own stream.
    (subjects.SCHEDULES, subjects.ALL_DUE, subjects.replays("SCHED")),
    max_age_s=3 * _DAY_S,
    max_per_subject=1,
    schedules=True,
)

CALLS_BUCKET: Final = "calls"
CALLS: Final = Stream(
    f"KV_{CALLS_BUCKET}",
    (f"$KV.{CALLS_BUCKET}.>",),
    max_age_s=5,
    duplicate_window_s=5,
    max_per_subject=1,
    bucket=True,
)
"""Who owns a live call: key call_id, renewed every second. No markers: an expired lease must read as absent."""

OPEN_CALLS: Final = Stream("OPEN_CALLS", (subjects.OPEN_CALLS,), max_age_s=EVENTS.max_age_s, max_per_subject=1)
"""Calls that began and are not known to have ended: subject `calliope.open_call.<call_id>`. Its content is what a
worker claimed last to do for a call that lost its owner; nothing at first."""

PINS_BUCKET: Final = "pins"
PINS: Final = Stream(
    f"KV_{PINS_BUCKET}",
    (f"$KV.{PINS_BUCKET}.>",),
    # As long as the calls that were taken with them can be analysed.
    max_age_s=EVENTS.max_age_s,
    max_per_subject=1,
    bucket=True,
)
"""Revisions of assistants that calls were taken with, secrets sealed: key `<organization>.<assistant>.<revision>`."""

ROUTES_BUCKET: Final = "routes"
ROUTES: Final = Stream(
    f"KV_{ROUTES_BUCKET}",
    (f"$KV.{ROUTES_BUCKET}.>",),
    max_age_s=EVENTS.max_age_s,
    max_per_subject=1,
    bucket=True,
)
"""Where calls to a number went last, secrets sealed: key is the number's digits. Read while its owner is away."""

PLAYBACK_BUCKET: Final = "playback"
PLAYBACK: Final = Stream(
    f"KV_{PLAYBACK_BUCKET}",
    (f"$KV.{PLAYBACK_BUCKET}.>",),
    # Longer than a reply lasts; who takes a call over reads it within seconds.
    max_age_s=600,
    max_per_subject=1,
    bucket=True,
)
"""How far a reply that is being said has come: key `<call_id>.<owner>`, overwritten twice a second while it is said."""

STREAMS: Final = (EVENTS, DEAD, SCHED, CALLS, OPEN_CALLS, PINS, ROUTES, PLAYBACK)

WEBHOOKS_FANOUT: Final = Durable(
    "webhooks-fanout",
    EVENTS.name,
    (subjects.ALL_EVENTS,),
    ack_wait_s=30,
    max_deliver=25,
    max_ack_pending=256,
    # The first ones are for a call's start that another process is still reading; all together are 17 minutes.
    retry_delays_s=(0.25, 0.5, 1, 2, 5, 10, 30, 60),
)

WEBHOOKS_WAKE: Final = Durable(
    "webhooks-wake",
    SCHED.name,
    (subjects.due("webhooks"),),
    ack_wait_s=30,
    max_deliver=5,
    max_ack_pending=256,
    retry_delays_s=(1, 5, 30),
)

ASSISTANTS_PROJECTION: Final = Durable(
    "assistants-projection",
    EVENTS.name,
    (subjects.events_of(subjects.Entity.CALL),),
    ack_wait_s=60,
    max_deliver=20,
    max_ack_pending=64,
    retry_delays_s=(1, 5, 30, 60),
)

ASSISTANTS_OUTBOX: Final = Durable(
    "assistants-outbox",
    EVENTS.name,
    (subjects.replays("EVENTS", "assistants-outbox"),),
    ack_wait_s=30,
    max_deliver=20,
    max_ack_pending=64,
    retry_delays_s=(1, 5, 30, 60),
)
"""Events that the bus refused and an operator replays: their entity's events are published again, in order."""

CALL_WORKER_ANALYSIS: Final = Durable(
    "call-worker-analysis",
    EVENTS.name,
    (subjects.events_of(subjects.Entity.CALL, name="ended"),),
    ack_wait_s=30,
    max_deliver=8,
    # A tenant whose models are all away holds a place per call, for minutes; the others must not wait for it.
    max_ack_pending=1_000,
    retry_delays_s=(5, 15, 60),
)
"""Its work takes up to minutes; who does it says so every few seconds, and is replaced 30 s after it fell silent."""

DURABLES: Final = (WEBHOOKS_FANOUT, WEBHOOKS_WAKE, ASSISTANTS_PROJECTION, ASSISTANTS_OUTBOX, CALL_WORKER_ANALYSIS)


def durable_named(name: str) -> Durable | None:
    """The durable of that name, if it is ours."""
    return _BY_NAME.get(name)


_BY_NAME: Final = {durable.name: durable for durable in DURABLES}

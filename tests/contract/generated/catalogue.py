"""The tables of `shared/README.md` and `docs/delivery.md`: one row per message, from the catalogue and `streams.py`."""

from calliope.contracts.catalogue import COMMANDS, EVENTS
from calliope.contracts.subjects import events_of
from calliope.messaging.streams import DURABLES, STREAMS


def commands() -> str:
    """Commands by subject."""
    rows = [f"| `{each.subject}` | {each.owner} | `{each.payload.__name__}` | `{each.reply.__name__}` | {each.says} |"
            for each in COMMANDS]  # fmt: skip
    return "\n".join(["| subject | answered by | payload | reply | does |", "| --- | --- | --- | --- | --- |", *rows])


def events() -> str:
    """Events by subject."""
    rows = []
    for each in EVENTS:
        subject = events_of(each.entity, name=each.name)
        rows.append(f"| `{subject}` | `{each.type}` | {each.owner} | `{each.data.__name__}` | {each.says} |")
    return "\n".join(["| subject | type | sent by | data | says |", "| --- | --- | --- | --- | --- |", *rows])


def kept() -> str:
    """Streams and who reads them."""
    rows = []
    for stream in STREAMS:
        subjects = ", ".join(f"`{subject}`" for subject in stream.subjects)
        readers = ", ".join(f"`{durable.name}`" for durable in DURABLES if durable.stream == stream.name)
        rows.append(f"| `{stream.name}` | {subjects} | {_days(stream.max_age_s)} | {readers} |")
    return "\n".join(["| stream | subjects | kept | durables |", "| --- | --- | --- | --- |", *rows])


def retries() -> str:
    """How long each durable tries a message before it is a dead letter."""
    rows = []
    for durable in DURABLES:
        delays = [durable.retry_delay_s(delivery) for delivery in range(1, durable.max_deliver)]
        steps = ", ".join(f"{delay:g}" for delay in durable.retry_delays_s)
        rows.append(
            f"| `{durable.name}` | {durable.service} | {durable.max_deliver} | {steps}, … | {_minutes(sum(delays))} |"
        )
    head = "| durable | read by | deliveries | seconds between them | given up after |"
    return "\n".join([head, "| --- | --- | --- | --- | --- |", *rows])


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:g} s"


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:g} days" if seconds >= 86_400 else f"{seconds:g} s"

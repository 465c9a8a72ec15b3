"""Configuration of the local bus: the services without a name, and a user who may only read events."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from calliope.contracts import subjects
from calliope.messaging.streams import DURABLES, EVENTS
from calliope_local.environment import Ports

READER: Final = "reader"
"""Name and password: on a bus that trusts everybody on this machine a secret one would protect nothing."""
READER_INBOX: Final = "_INBOX.reader"
"""Where its answers come; other inboxes carry the answers to other people's questions."""


def nats_config(store: Path, ports: Ports) -> str:
    """What `nats-server -c` reads. `always`: an acknowledged publish survives a power cut, as in production."""
    return (
        "server_name: local\n"
        f'listen: "127.0.0.1:{ports.nats}"\n'
        f'http: "127.0.0.1:{ports.nats_monitor}"\n'
        "max_payload: 1MB\n"
        f'jetstream {{ store_dir: "{store}", max_file_store: 4GB, sync_interval: always }}\n'
        "authorization {\n"
        "  users = [\n"
        '    { user: "services", password: "services" }\n'
        f'    {{ user: "{READER}", password: "{READER}", permissions: {reader_permissions()} }}\n'
        "  ]\n"
        "}\n"
        'no_auth_user: "services"\n'
    )


def reader_permissions() -> str:
    """May read the events live, and make, read and delete consumers of their stream, those of the services apart."""
    stream = EVENTS.name
    api, consumers = "$JS.API", "$JS.API.CONSUMER"
    publish = (
        f"{api}.INFO",
        f"{api}.STREAM.NAMES",
        f"{api}.STREAM.INFO.{stream}",
        f"{api}.STREAM.MSG.GET.{stream}",
        f"{consumers}.CREATE.{stream}",
        f"{consumers}.CREATE.{stream}.>",
        f"{consumers}.DURABLE.CREATE.{stream}.*",
        f"{consumers}.NAMES.{stream}",
        f"{consumers}.LIST.{stream}",
        f"{consumers}.INFO.{stream}.*",
        f"{consumers}.DELETE.{stream}.*",
        f"{consumers}.MSG.NEXT.{stream}.*",
        f"$JS.ACK.{stream}.>",
        f"$JS.FC.{stream}.>",
    )
    ours = [durable.name for durable in DURABLES if durable.stream == stream]
    denied = [
        subject
        for name in ours
        for subject in (
            f"{consumers}.CREATE.{stream}.{name}",
            f"{consumers}.CREATE.{stream}.{name}.>",
            f"{consumers}.DURABLE.CREATE.{stream}.{name}",
            f"{consumers}.DELETE.{stream}.{name}",
            f"{consumers}.MSG.NEXT.{stream}.{name}",
            f"$JS.ACK.{stream}.{name}.>",
        )
    ]
    return (
        f"{{ publish: {{ allow: [{_quoted(publish)}], deny: [{_quoted(denied)}] }},"
        f" subscribe: {{ allow: [{_quoted((subjects.ALL_EVENTS, f'{READER_INBOX}.>'))}] }} }}"
    )


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)

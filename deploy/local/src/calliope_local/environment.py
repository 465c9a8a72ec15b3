"""The environment that each local process gets: the same variables as in production, other values."""

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from calliope_local.keys import LocalKeys
from calliope_local.outside import Outside

_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH")


EMULATED: Final = Outside()
"""Every vendor is the sandbox."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where everything listens, on 127.0.0.1."""

    nats: int
    nats_monitor: int
    mongo: int
    sandbox: int
    gateway: int
    assistants: int
    webhooks: int
    worker: int
    gateway_health: int
    worker_health: int
    proxy: int

    def of(self, name: str) -> int:
        """By name."""
        return int(getattr(self, name))

    def health(self, kind: str) -> int:
        """Where a process of this kind answers `/readyz` and `/metrics`."""
        return self.of(f"{kind}_health" if f"{kind}_health" in PORT_NAMES else kind)

    def url(self, name: str, scheme: str = "http") -> str:
        """`http://127.0.0.1:8080` of a name."""
        return f"{scheme}://127.0.0.1:{self.of(name)}"


PORT_NAMES: Final = tuple(port.name for port in fields(Ports))


def environments(
    ports: Ports, keys: LocalKeys, *, recordings: Path, outside: Outside = EMULATED, log_format: str = "console"
) -> dict[str, dict[str, str]]:
    """Variables by process name; `recordings` is where calls with `journal_inputs` leave their files."""
    base = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"PYTHONUNBUFFERED": "1"}
    shared = base | {
        "CALLIOPE_ENVIRONMENT": "local",
        "CALLIOPE_NATS__URL": ports.url("nats", "nats"),
        "CALLIOPE_LOG__FORMAT": log_format,
    }
    store = {"CALLIOPE_MONGO__URL": ports.url("mongo", "mongodb"), "CALLIOPE_MONGO__DATABASE": "calliope"}
    sealing = {
        "CALLIOPE_SEALING__CALLS_PUBLIC_KEY": keys.calls_public,
        "CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY": keys.webhooks_public,
    }
    loopback = {"CALLIOPE_EGRESS__ALLOW": '["127.0.0.0/8"]', "CALLIOPE_EGRESS__ALLOW_HTTP": "true"}
    return {
        "nats": base,
        "mongo": base,
        "provision": shared,
        "sandbox": base | {"CALLIOPE_SANDBOX_PORT": str(ports.sandbox)} | _numbers(ports, keys, outside),
        "assistants": shared
        | store
        | loopback
        | sealing
        | _health(ports.assistants)
        | {"CALLIOPE_BOOTSTRAP_API_KEY": keys.api_key},
        "webhooks": shared
        | store
        | loopback
        | _health(ports.webhooks)
        | {"CALLIOPE_SEALING__PRIVATE_KEYS": f'["{keys.webhooks_private}"]'},
        "worker": shared
        | loopback
        | _http(ports.worker)
        | _health(ports.worker_health)
        | outside.worker(_providers(ports) | _carriers(ports, keys))
        | _public(ports, outside)
        | {
            "CALLIOPE_SEALING__PRIVATE_KEYS": f'["{keys.calls_private}"]',
            "CALLIOPE_RECORDINGS__FOLDER": str(recordings),
        },
        "gateway": shared
        | sealing
        | _http(ports.gateway)
        | _health(ports.gateway_health)
        | {"CALLIOPE_LAME_DUCK_S": "0"},  # nobody looks at its readiness to send requests elsewhere
        "proxy": base
        | {
            "CALLIOPE_PROXY_PORT": str(ports.proxy),
            "CALLIOPE_PROXY_GATEWAY": ports.url("gateway"),
            "CALLIOPE_PROXY_WORKER": ports.url("worker"),
        },
    }


def _public(ports: Ports, outside: Outside) -> dict[str, str]:
    """Where carriers reach us: this machine, or what a tunnel leads to it."""
    if outside.public_url is None or outside.media_url is None:
        return {"CALLIOPE_PUBLIC_URL": ports.url("gateway")}
    return {"CALLIOPE_PUBLIC_URL": outside.public_url, "CALLIOPE_MEDIA__PUBLIC_URL": outside.media_url}


def _http(port: int) -> dict[str, str]:
    return {"CALLIOPE_HTTP__HOST": "127.0.0.1", "CALLIOPE_HTTP__PORT": str(port)}


def _health(port: int) -> dict[str, str]:
    return {"CALLIOPE_HEALTH__HOST": "127.0.0.1", "CALLIOPE_HEALTH__PORT": str(port)}


def _providers(ports: Ports) -> dict[str, str]:
    """Every vendor is the sandbox; keys of the installation are what it accepts from anybody."""
    sandbox, socket = ports.url("sandbox"), ports.url("sandbox", "ws")
    return {
        "CALLIOPE_PROVIDERS__DEEPGRAM__URL": f"{socket}/deepgram",
        "CALLIOPE_PROVIDERS__DEEPGRAM__API_KEY": "sandbox-deepgram",
        "CALLIOPE_PROVIDERS__ELEVENLABS__URL": f"{socket}/elevenlabs",
        "CALLIOPE_PROVIDERS__ELEVENLABS__API_KEY": "sandbox-elevenlabs",
        "CALLIOPE_PROVIDERS__AURA__URL": f"{socket}/deepgram",
        "CALLIOPE_PROVIDERS__INWORLD__URL": f"{socket}/inworld",
        "CALLIOPE_PROVIDERS__INWORLD__API_KEY": "sandbox-inworld",
        "CALLIOPE_PROVIDERS__RESEMBLE__URL": f"{socket}/resemble",
        "CALLIOPE_PROVIDERS__RESEMBLE__API_URL": f"{sandbox}/resemble/api/v2",
        "CALLIOPE_PROVIDERS__RESEMBLE__API_KEY": "sandbox-resemble",
        "CALLIOPE_PROVIDERS__OPENAI__URL": f"{sandbox}/openai/v1",
        "CALLIOPE_PROVIDERS__ANTHROPIC__URL": f"{sandbox}/anthropic",
        "CALLIOPE_PROVIDERS__GEMINI__URL": f"{sandbox}/gemini/v1beta",
        "CALLIOPE_PROVIDERS__GROQ__URL": f"{sandbox}/groq/openai/v1",
        "CALLIOPE_PROVIDERS__XAI__URL": f"{sandbox}/xai/v1",
    }


def _carriers(ports: Ports, keys: LocalKeys) -> dict[str, str]:
    """Both carriers are the sandbox; the installation's accounts there answer for assistants that bring none."""
    sandbox = ports.url("sandbox")
    return {
        "CALLIOPE_CARRIERS__TWILIO__URL": f"{sandbox}/twilio",
        "CALLIOPE_CARRIERS__TWILIO__ACCOUNT_SID": keys.twilio_account_sid,
        "CALLIOPE_CARRIERS__TWILIO__AUTH_TOKEN": keys.twilio_auth_token,
        "CALLIOPE_CARRIERS__TELNYX__URL": f"{sandbox}/telnyx/v2",
        "CALLIOPE_CARRIERS__TELNYX__API_KEY": keys.telnyx_api_key,
        "CALLIOPE_CARRIERS__TELNYX__CONNECTION_ID": keys.telnyx_connection_id,
        "CALLIOPE_CARRIERS__TELNYX__PUBLIC_KEY": keys.telnyx_public_key,
    }


def _numbers(ports: Ports, keys: LocalKeys, outside: Outside) -> dict[str, str]:
    """The sandbox's side of `_carriers`: every number that nobody registered there belongs to those accounts."""
    hooks = (outside.public_url or ports.url("gateway")) + "/telephony"
    twilio = {
        "account_sid": keys.twilio_account_sid,
        "auth_token": keys.twilio_auth_token,
        "voice_url": f"{hooks}/twilio/voice",
    }
    telnyx = {
        "connection_id": keys.telnyx_connection_id,
        "api_key": keys.telnyx_api_key,
        "signing_key": keys.telnyx_signing_key,
        "webhook_url": f"{hooks}/telnyx/voice",
    }
    accounts = {"TWILIO": twilio, "TELNYX": telnyx}
    return {
        f"CALLIOPE_SANDBOX_{name}_ACCOUNT": json.dumps(account)
        for name, account in accounts.items()
        if not f"CALLIOPE_CARRIERS__{name}__".startswith(outside.real)  # such numbers ring at the carrier itself
    }

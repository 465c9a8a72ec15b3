"""Settings of every service: what production refuses, and in which words."""

import json
import re
from typing import Any, Final

import pytest

from calliope.configuration.checks import RULES, is_inside, problems
from calliope.configuration.loading import SettingsRefused, load, unread
from calliope.configuration.usage import needed, page
from calliope.configuration.variables import variables
from calliope.secrets import generate_key, public_key_of
from calliope.settings import ServiceSettings
from calliope_assistants.settings import AssistantsSettings
from calliope_call_worker.settings import WorkerSettings
from calliope_gateway.settings import GatewaySettings
from calliope_webhooks.settings import WebhooksSettings
from contract.generated.env_example import NEEDED

PUBLIC: Final = public_key_of(generate_key())
PRIVATE: Final = json.dumps([generate_key()])
BUS: Final = {
    "CALLIOPE_ENVIRONMENT": "production",
    "CALLIOPE_NATS__USER": "service",
    "CALLIOPE_NATS__PASSWORD": "canary-word",
}
PUBLIC_KEYS: Final = {"CALLIOPE_SEALING__CALLS_PUBLIC_KEY": PUBLIC, "CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY": PUBLIC}
PRIVATE_KEYS: Final = {"CALLIOPE_SEALING__PRIVATE_KEYS": PRIVATE}
ADDRESSES: Final = {
    "CALLIOPE_PUBLIC_URL": "https://calls.example.com",
    "CALLIOPE_MEDIA__PUBLIC_URL": "wss://worker-0.calls.example.com/media",
}
FIT: Final[dict[type[ServiceSettings], dict[str, str]]] = {
    GatewaySettings: BUS | PUBLIC_KEYS,
    AssistantsSettings: BUS | PUBLIC_KEYS,
    WorkerSettings: BUS | PRIVATE_KEYS | ADDRESSES,
    WebhooksSettings: BUS | PRIVATE_KEYS,
    ServiceSettings: BUS,
}
"""By settings (the last ones are the provisioner's): what production needs."""
EVERYBODY: Final = tuple(FIT)
SEALS: Final = (GatewaySettings, AssistantsSettings)
ABSENT: Final = None

REFUSED: Final[list[tuple[tuple[type[ServiceSettings], ...], str, str | None, str]]] = [
    (EVERYBODY, "CALLIOPE_NATS__USER", ABSENT, "is not set: whoever reaches a bus without users"),
    (EVERYBODY, "CALLIOPE_NATS__PASSWORD", ABSENT, "the user service needs its password"),
    (SEALS, "CALLIOPE_SEALING__CALLS_PUBLIC_KEY", ABSENT, "is not set.*calliope-admin secrets new"),
    (SEALS, "CALLIOPE_SEALING__WEBHOOKS_PUBLIC_KEY", "abc", "is not a key"),
    ((AssistantsSettings,), "CALLIOPE_BOOTSTRAP_API_KEY", "cal_live_x", "local stack.*calliope-admin keys create"),
    ((WorkerSettings, WebhooksSettings), "CALLIOPE_SEALING__PRIVATE_KEYS", ABSENT, "is not set.*secrets new"),
    ((WorkerSettings, WebhooksSettings), "CALLIOPE_SEALING__PRIVATE_KEYS", '["abc"]', "something that is not a key"),
    ((WorkerSettings, WebhooksSettings), "CALLIOPE_SEALING__PRIVATE_KEYS", "abc", "must be a JSON list"),
    ((WorkerSettings,), "CALLIOPE_PUBLIC_URL", ABSENT, "must begin with https"),
    ((WorkerSettings,), "CALLIOPE_PUBLIC_URL", "http://calls.example.com", "must begin with https"),
    ((WorkerSettings,), "CALLIOPE_PUBLIC_URL", "https://127.0.0.1", "names 127.0.0.1"),
    ((WorkerSettings,), "CALLIOPE_PUBLIC_URL", "https://localhost:8443/", "names localhost"),
    ((WorkerSettings,), "CALLIOPE_PUBLIC_URL", "https://[fd00::1]", "names fd00::1"),
    ((WorkerSettings,), "CALLIOPE_PUBLIC_URL", "https://[", "is not an address"),
    ((WorkerSettings,), "CALLIOPE_MEDIA__PUBLIC_URL", ABSENT, "is not set: give the public address, such as wss://"),
    ((WorkerSettings,), "CALLIOPE_MEDIA__PUBLIC_URL", "ws://worker.example.com/media", "must begin with wss"),
    ((WorkerSettings,), "CALLIOPE_MEDIA__PUBLIC_URL", "wss://10.0.0.7/media", "names 10.0.0.7"),
    (
        (AssistantsSettings, WorkerSettings, WebhooksSettings),
        "CALLIOPE_EGRESS__ALLOW",
        '["127.0.0.0/8"]',
        "private networks",
    ),
    ((AssistantsSettings, WorkerSettings, WebhooksSettings), "CALLIOPE_EGRESS__ALLOW_HTTP", "true", "unencrypted"),
]
ROWS: Final = [(model, *row) for models, *row in REFUSED for model in models]


def given(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """These variables of ours, and no others."""
    import os

    for name in [name for name in os.environ if name.startswith("CALLIOPE_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("model", EVERYBODY, ids=lambda each: each.__name__)
def test_what_production_needs_is_enough(model: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, FIT[model])
    assert problems(load(model)) == []


@pytest.mark.parametrize(("model", "name", "value", "words"), ROWS)
def test_production_refuses(
    model: type[ServiceSettings], name: str, value: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {key: each for key, each in FIT[model].items() if key != name} | ({name: value} if value else {})
    given(monkeypatch, changed)
    with pytest.raises(SettingsRefused) as refused:
        load(model)
    (problem,) = refused.value.problems
    assert problem.variable == name
    assert re.search(words, problem.message)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: ".".join(rule.path))
def test_every_rule_has_a_row(rule: Any) -> None:
    name = "CALLIOPE_" + "__".join(rule.path).upper()
    assert name in {row[1] for row in ROWS}


@pytest.mark.parametrize("model", [WorkerSettings, WebhooksSettings, ServiceSettings])
def test_a_laptop_needs_nothing(model: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {})
    load(model)


def test_a_laptop_may_do_what_production_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    loose = {"CALLIOPE_EGRESS__ALLOW": '["127.0.0.0/8"]', "CALLIOPE_EGRESS__ALLOW_HTTP": "true"}
    given(monkeypatch, loose | {"CALLIOPE_PUBLIC_URL": "http://127.0.0.1:8080/"})
    assert load(WorkerSettings).public_url == "http://127.0.0.1:8080"


def test_users_in_the_address_of_the_bus_are_users(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"CALLIOPE_ENVIRONMENT": "production", "CALLIOPE_NATS__URL": "nats://provisioner:word@bus:4222"})
    load(ServiceSettings)


@pytest.mark.parametrize("model", list(FIT)[:4], ids=lambda each: each.__name__)
def test_the_example_is_accepted_once_it_is_filled_in(
    model: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = {variable.name for variable in variables(model)}
    example = {f"CALLIOPE_{name}": value for name, value in NEEDED.items() if f"CALLIOPE_{name}" in read}
    given(monkeypatch, example)
    with pytest.raises(SettingsRefused) as refused:
        load(model)
    blank = {problem.variable for problem in refused.value.problems}
    assert all(not example[name] for name in blank)
    filled = {name: FIT[model][name] for name in FIT[model] if not example.get(name)}
    given(monkeypatch, example | filled)
    load(model)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CALLIOPE_NATS__REPLICAS", "0", "must be more than 0"),
        ("CALLIOPE_NATS__REPLICAS", "two", "must be a whole number"),
        ("CALLIOPE_HTTP__PORT", "70000", "must be 65535 or less; its default is 8080"),
        ("CALLIOPE_TRACE__SAMPLE_RATIO", "2", "must be 1 or less; its default is 1.0"),
        ("CALLIOPE_ENVIRONMENT", "prod", "must be 'local' or 'production'; its default is local"),
        ("CALLIOPE_NATS", "nats://there", "is a group, not a setting: set CALLIOPE_NATS__…, one variable each"),
        ("CALLIOPE_LIMITS__BURSTS", "7", "is not read by this service: did you mean CALLIOPE_LIMITS__BURST?"),
    ],
)
def test_a_wrong_value_is_told_in_words(name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {name: value})
    with pytest.raises(SettingsRefused) as refused:
        load(GatewaySettings)
    assert [str(each) for each in refused.value.problems] == [f"{name} {words}"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("10.0.0.0/8", 'must be a JSON list, such as ["…"]'),
        ('["10.0.0.0/8", "nonsense"]', "(item 2) must be a network, such as 10.0.0.0/8"),
    ],
)
def test_a_list_is_told_apart_from_its_items(value: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"CALLIOPE_EGRESS__ALLOW": value})
    with pytest.raises(SettingsRefused) as refused:
        load(WorkerSettings)
    (problem,) = refused.value.problems
    assert problem.variable == "CALLIOPE_EGRESS__ALLOW"
    assert problem.message.startswith(words)


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("box.local", True), ("127.0.0.1", True), ("::1", True),
        ("10.1.2.3", True), ("169.254.1.1", True), ("192.168.0.4", True), ("fe80::1", True),
        ("calls.example.com", False), ("8.8.8.8", False), ("2001:4860:4860::8888", False),
    ],
)  # fmt: skip
def test_inside_is_told_from_the_spelling(host: str, inside: bool) -> None:
    assert is_inside(host) is inside


@pytest.mark.parametrize("model", EVERYBODY, ids=lambda each: each.__name__)
def test_help_has_every_variable_once_and_the_needed_ones_first(model: type[ServiceSettings]) -> None:
    names = re.findall(r"^  (CALLIOPE_\w+)", page(model), re.MULTILINE)
    assert sorted(names) == sorted(variable.name for variable in variables(model))
    always, production = needed(model)
    assert set(names[: len(always | production)]) == always | production


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (AssistantsSettings, ["CALLIOPE_HTTP__HOST", "CALLIOPE_HTTP__PORT", "CALLIOPE_HTTP__TLS"]),
        (WebhooksSettings, ["CALLIOPE_HTTP__HOST", "CALLIOPE_HTTP__PORT", "CALLIOPE_HTTP__TLS"]),
        (GatewaySettings, []),
        (WorkerSettings, []),
    ],
)
def test_a_variable_that_means_nothing_to_this_service_is_told(
    service: type[ServiceSettings], expected: list[str]
) -> None:
    environment = {
        "CALLIOPE_HTTP__PORT": "8081",
        "CALLIOPE_HTTP__HOST": "0.0.0.0",
        "CALLIOPE_HTTP__TLS": "1",
        "CALLIOPE_NATS__URL": "nats://x",
    }
    assert [each.variable for each in unread(service, environment)] == expected


def test_who_gives_a_service_a_port_is_led_to_the_one_of_health() -> None:
    (port,) = unread(AssistantsSettings, {"CALLIOPE_HTTP__PORT": "8081"})
    assert str(port) == (
        "CALLIOPE_HTTP__PORT is not read by this service: health and metrics are answered at CALLIOPE_HEALTH__PORT"
    )
    (unknown,) = unread(AssistantsSettings, {"CALLIOPE_HTTP__TLS": "1"})
    assert str(unknown) == "CALLIOPE_HTTP__TLS is not read by this service: take it out"
    assert unread(AssistantsSettings, {"CALLIOPE_HTTP__PORT": ""}) == []

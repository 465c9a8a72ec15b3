"""The house's rules about code, read from the syntax trees: imports only point left, tasks have an owner."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from contract.rules import deadlines, direction, purity
from support.modules import SERVICES, Module, parsed, product_modules


class Rule(NamedTuple):
    """`offences` finds them; `advice` says what to do; `wrong` is a module and its text that must be found."""

    offences: Callable[[Module], Iterator[str]]
    advice: str
    wrong: tuple[str, str]


RULES = (
    Rule(
        direction.between_services,
        "ask the other service with a command, or move what both need to shared/",
        ("calliope_gateway.http.calls", "def late():\n    from calliope_assistants.model import masked"),
    ),
    Rule(
        direction.service_in_shared,
        "shared knows no use case: turn it round, or move the code into its service",
        ("calliope.runtime.process", "import calliope_webhooks.retry"),
    ),
    Rule(
        direction.sandbox_in_production,
        "only tests and deploy/local may know the sandbox; what both need is a contract or a provider",
        ("calliope_call_worker.providers.registry", "from calliope_sandbox import tone_speech"),
    ),
    Rule(
        direction.world_in_contracts,
        "contracts import pydantic, jsonschema and contracts only: others must be able to read them alone",
        ("calliope.contracts.calls", "from calliope.errors import CalliopeError"),
    ),
    Rule(
        direction.adapters_outside_app,
        "write what you need as a Protocol in ports.py, and let app.py pass the adapter in",
        ("calliope_assistants.service", "from calliope_assistants.adapters.mongo_rows import MongoAssistants"),
    ),
    Rule(
        direction.app_outside_main,
        "app.py is imported by __main__.py alone; take what you need as an argument",
        ("calliope_webhooks.service", "from calliope_webhooks import app"),
    ),
    Rule(
        direction.store_outside_adapter,
        "the driver stays in adapters/mongo*.py; return rows of ports.py",
        ("calliope_webhooks.service", "from pymongo.errors import DuplicateKeyError"),
    ),
    Rule(
        direction.store_errors_outside_adapter,
        "errors of the driver are told apart in adapters/mongo*.py; others know those of calliope.errors",
        ("calliope_gateway.commands", "from calliope.storage import mongo_errors"),
    ),
    Rule(
        direction.schemas_checked_in_a_loop,
        "ask the process of analysis/checking.py: a check in the loop holds up everybody's calls",
        ("calliope_call_worker.tools.arguments", "from jsonschema.validators import validator_for"),
    ),
    Rule(
        direction.bus_outside_edge,
        "the bus is known to adapters/, handlers.py, app.py and calliope.messaging; use one of those",
        ("calliope_call_worker.call", "import nats.errors"),
    ),
    Rule(
        direction.http_outside_edge,
        "speak HTTP in an edge (see HTTP_EDGES in tests/contract/rules/direction.py) behind a port",
        ("calliope_webhooks.dispatcher", "from aiohttp import ClientSession"),
    ),
    Rule(
        direction.vendor_outside_provider,
        "a vendor is known to its file in providers/ alone",
        ("calliope_call_worker.call", "from openai import AsyncOpenAI"),
    ),
    Rule(
        purity.world_in_domain,
        "domain files take `now` as an argument and return values; move waiting and clocks to the caller",
        ("calliope_webhooks.retry", "from datetime import UTC, datetime\nNOW = datetime.now(UTC)"),
    ),
    Rule(
        purity.task_without_owner,
        "start it in an asyncio.TaskGroup; a real exception goes into OWNERLESS in rules/purity.py with its reason",
        ("calliope_call_worker.call", "import asyncio\nasyncio.get_running_loop().create_task(x())"),
    ),
    Rule(
        purity.job_outside_supervisor,
        "start background jobs with calliope.runtime.supervise.Supervisor",
        ("calliope_webhooks.app", "async with asyncio.TaskGroup() as tasks:\n    tasks.create_task(relay.run())"),
    ),
    Rule(
        deadlines.store_call_without_deadline,
        "wait for the driver inside `async with store.asked(…)` or `written()`: they have the deadline",
        (
            "calliope_webhooks.adapters.mongo",
            "import motor\nasync def f(self):\n    async with self._asked('x'):\n        pass\n"
            "    return [row async for row in self._rows.find({})]",
        ),
    ),
    Rule(
        purity.publish_without_stream,
        "without stream= there is no acknowledgement: use calliope.messaging.publish.EventPublisher",
        ("calliope_assistants.outbox", "async def relay(self):\n    await self._bus.publish(b'', 'x')"),
    ),
    Rule(
        purity.subject_by_hand,
        "build subjects with calliope.contracts.subjects; nobody else joins strings",
        ("calliope_gateway.http.feed", "def feed(org):\n    return f'calliope.evt.{org}.>'"),
    ),
)
NAMES = [rule.offences.__name__ for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_the_product_keeps(rule: Rule) -> None:
    found = [offence for module in product_modules() for offence in rule.offences(module)]
    assert not found, "\n".join([f"{rule.advice}:", *found])


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_breaking_is_noticed(rule: Rule) -> None:
    name, source = rule.wrong
    assert list(rule.offences(parsed(name, source)))


@pytest.mark.parametrize(
    "source",
    [
        "import asyncio\nasyncio.create_task(x())",
        "import asyncio\nasyncio.gather(x(), y())",
        "from asyncio import ensure_future\nensure_future(x())",
        "loop.create_task(x())",
    ],
)
def test_every_way_to_start_a_task_without_owner_is_noticed(source: str) -> None:
    assert list(purity.task_without_owner(parsed("calliope_gateway.app", source)))


@pytest.mark.parametrize(
    "source",
    [
        "await self._rows.find_one({})",
        "await self._rows.find({}).sort('a').to_list(5)",
        "return [row['_id'] async for row in self._rows.aggregate([])]",
        "async for row in self._database['calls'].find({}):\n        pass",
        "with self._asked('x'):\n        await self._database.command('ping')",
        "async with self._lock:\n        await self._rows.insert_one({})",
    ],
)
def test_every_way_to_wait_for_a_store_without_a_deadline_is_noticed(source: str) -> None:
    text = f"import motor\nasync def f(self):\n    {source}"
    assert list(deadlines.store_call_without_deadline(parsed("calliope_webhooks.adapters.mongo", text)))


@pytest.mark.parametrize(
    "module",
    [
        parsed("calliope_gateway.commands", "async with asyncio.TaskGroup() as tasks:\n    tasks.create_task(x())"),
        parsed(
            "calliope_assistants.adapters.mongo_rows",
            "import motor\nasync def f(self):\n    async with self._store.asked('x'):\n"
            "        return [row async for row in self._rows.find({})]",
        ),
        parsed("calliope_assistants.app", "from calliope_assistants.adapters.mongo_rows import MongoAssistants"),
        parsed("calliope_webhooks.adapters.mongo", "import pymongo"),
        parsed("calliope_gateway.adapters.x", "async def f(bus):\n    await bus.publish(b'', 'x', stream='EVENTS')"),
        parsed("calliope_webhooks.retry", "'''Text about calliope.evt.> alone.'''\nimport hashlib"),
    ],
    ids=lambda module: module.name,
)
def test_what_is_right_is_left_alone(module: Module) -> None:
    assert [offence for rule in RULES for offence in rule.offences(module)] == []


def test_the_rules_are_read_over_the_whole_product() -> None:
    packages = {module.package for module in product_modules()}
    assert packages >= {
        "calliope",
        "calliope_local",
        "calliope_admin",
        *(f"calliope_{service}" for service in SERVICES),
    }


@pytest.mark.parametrize("name", purity.OWNERLESS)
def test_no_exception_outlives_its_reason(name: str) -> None:
    module = next(module for module in product_modules() if module.name == name)
    assert list(purity.ownerless_tasks(module)), "it starts no such task any more: take it off the list"


@pytest.mark.parametrize("pattern", [*purity.PURE, *direction.HTTP_EDGES])
def test_every_pattern_names_something(pattern: str) -> None:
    assert any(module.matches(pattern) for module in product_modules()), "the file has moved: so must its rule"

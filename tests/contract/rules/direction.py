"""Who may import whom: between distributions, inside a service, and from the outside world."""

import sys
from collections.abc import Callable, Iterator
from typing import Final

from support.modules import SERVICES, Imported, Module

_PACKAGES: Final = tuple(f"calliope_{service}" for service in SERVICES)
_ADMIN: Final = "calliope_admin"
_OURS: Final = ("calliope", "calliope_local", _ADMIN, *_PACKAGES)


def _imported(module: Module, is_wrong: Callable[[Imported], bool]) -> Iterator[str]:
    return (module.at(each.line, f"imports {each.name}") for each in module.imports() if is_wrong(each))


def between_services(module: Module) -> Iterator[str]:
    """A service that imports another, or the operator's command one of them."""
    others = [package for package in (*_PACKAGES, _ADMIN) if package != module.package]
    return _imported(module, lambda each: module.package in (*_PACKAGES, _ADMIN) and each.is_in(*others))


def service_in_shared(module: Module) -> Iterator[str]:
    """Shared code that knows a service."""
    return _imported(module, lambda each: module.package == "calliope" and each.is_in(*_OURS[1:]))


def sandbox_in_production(module: Module) -> Iterator[str]:
    """Production code that knows the sandbox, or the tests."""
    is_production = module.package not in {"calliope_sandbox", "calliope_local"}
    return _imported(module, lambda each: is_production and each.is_in("calliope_sandbox", "tests", "support"))


def world_in_contracts(module: Module) -> Iterator[str]:
    """A contract that needs more than pydantic, jsonschema and other contracts."""

    def is_wrong(each: Imported) -> bool:
        plain = each.name.partition(".")[0] in sys.stdlib_module_names
        return not plain and not each.is_in("pydantic", "jsonschema", "calliope.contracts")

    return _imported(module, lambda each: module.name.startswith("calliope.contracts") and is_wrong(each))


def adapters_outside_app(module: Module) -> Iterator[str]:
    """A use case or an edge that knows an adapter."""
    adapters = f"{module.package}.adapters"
    knows = module.inside == "app" or module.inside.startswith("adapters")
    return _imported(module, lambda each: not knows and each.is_in(adapters))


def app_outside_main(module: Module) -> Iterator[str]:
    """Something that builds on the file which builds everything."""
    return _imported(module, lambda each: module.inside != "__main__" and each.is_in(*(f"{own}.app" for own in _OURS)))


MONGO_ERRORS: Final = "calliope.storage.mongo_errors"


def store_outside_adapter(module: Module) -> Iterator[str]:
    """The MongoDB driver outside of `adapters/mongo*.py`, and of what shared knows of it."""
    may = module.matches("*.adapters.mongo", "*.adapters.mongo_*", MONGO_ERRORS)
    return _imported(module, lambda each: not may and each.is_in("motor", "pymongo", "bson"))


def store_errors_outside_adapter(module: Module) -> Iterator[str]:
    """What needs the extra `mongo` of shared outside of `adapters/mongo*.py`: other services install no driver."""
    may = module.matches("*.adapters.mongo", "*.adapters.mongo_*")
    return _imported(module, lambda each: not may and each.is_in(MONGO_ERRORS))


def schemas_checked_in_a_loop(module: Module) -> Iterator[str]:
    """A validator of JSON Schemas where calls or commands are served: how long a check takes is up to a tenant."""
    served = module.package in _PACKAGES and module.package != "calliope_sandbox"
    may = module.matches("calliope_call_worker.analysis.schema_check")
    return _imported(module, lambda each: served and not may and each.is_in("jsonschema", "fastjsonschema"))


def bus_outside_edge(module: Module) -> Iterator[str]:
    """The bus client outside of adapters, handlers, app and the shared messaging package."""
    may = module.matches("*.adapters.*", "*.handlers", "*.app", "calliope.messaging.*")
    return _imported(module, lambda each: not may and each.is_in("nats", "faststream", "fast_depends"))


HTTP_EDGES: Final = (
    "calliope.bodies", "calliope.egress", "calliope.http_listener", "calliope.observability.health",
    "calliope_gateway.app", "calliope_gateway.http.*",
    "calliope_call_worker.app", "calliope_call_worker.media", "calliope_call_worker.providers.*",
    "calliope_call_worker.tools.http",
    "calliope_webhooks.app", "calliope_webhooks.targets.*",
    "calliope_sandbox.*", "calliope_local.*", "calliope_admin.doctor.connections",
    "calliope_admin.doctor.reach",
)  # fmt: skip
"""Where HTTP is spoken."""


def http_outside_edge(module: Module) -> Iterator[str]:
    """An HTTP client or server outside of the edges."""
    may = module.matches(*HTTP_EDGES)
    return _imported(module, lambda each: not may and each.is_in("aiohttp", "requests", "httpx", "websockets"))


def vendor_outside_provider(module: Module) -> Iterator[str]:
    """A vendor's SDK outside of `providers/`."""
    vendors = ("openai", "anthropic", "google", "deepgram", "elevenlabs", "twilio", "telnyx", "groq")
    may = module.package == "calliope_call_worker" and module.inside.startswith("providers.")
    return _imported(module, lambda each: not may and each.is_in(*vendors))

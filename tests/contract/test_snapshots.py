"""What is made from code and kept in the repository is as the code says; its diff is the review of a contract."""

from pathlib import Path

import pytest

from calliope.configuration.variables import PREFIX, VENDORS, variables
from contract import snapshot
from contract.generated import env_example, settings
from support.modules import ROOT

DOCUMENTS = snapshot.documents()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_repository_says_what_the_code_says(path: Path) -> None:
    kept = path.read_text(encoding="utf-8") if path.exists() else None
    assert kept == DOCUMENTS[path], "run `make snapshots` and review the diff"


def test_no_snapshot_is_left_of_what_is_gone() -> None:
    assert snapshot.left_over() == [], "run `make snapshots` and review the diff"


def test_a_generated_part_replaces_only_itself() -> None:
    page = "a\n<!-- made: x -->\nold\n<!-- end -->\nb\n<!-- made: y -->\n<!-- end -->\n"
    assert snapshot.with_part(page, "x", "new") == page.replace("old", "new")
    with pytest.raises(LookupError, match="made: z"):
        snapshot.with_part(page, "z", "new")


@pytest.mark.parametrize("service", settings.SERVICES)
def test_every_setting_says_what_it_means(service: str) -> None:
    terse = [each.name for each in variables(settings.SERVICES[service]) if len(each.meaning.split()) < 4]
    assert terse == [], "say what it does, its unit, and when one would change it, to somebody who never saw the code"


def test_so_does_every_setting_of_the_sandbox() -> None:
    assert [each.name for each in settings.sandbox_variables() if len(each.meaning.split()) < 4] == []


def test_a_production_finds_every_vendors_address_in_the_example() -> None:
    addresses = {each.name for each in variables(settings.SERVICES["call-worker"]) if _is_vendor_url(each.name)}
    assert "CALLIOPE_PROVIDERS__DEEPGRAM__URL" in addresses
    assert [name for name in addresses if f"{name}=" not in env_example.text()] == []


def test_what_the_example_sets_exists() -> None:
    known = {each.name for model in settings.SERVICES.values() for each in variables(model)}
    assert {f"{PREFIX}{name}" for name in env_example.NEEDED} <= known


def _is_vendor_url(name: str) -> bool:
    return name.startswith(VENDORS) and name.endswith("URL")


def test_limits_of_numbers_stand_in_the_schemas_under_their_own_names() -> None:
    text = "".join(page for path, page in DOCUMENTS.items() if path.suffix == ".json")
    assert [name for name in ("ge", "gt", "le", "lt") if f'"{name}": ' in text] == []

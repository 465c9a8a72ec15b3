"""Every example is a document that would be stored as it stands."""

import json
from pathlib import Path

import jsonschema
import pytest

from calliope.contracts.document.spec import AssistantSpec
from calliope_local.scenario import SANDBOX, ScenarioError, load
from calliope_sandbox import callers

FOLDER = Path(__file__).parents[3] / "examples"
FILES = sorted(file for file in FOLDER.glob("*.json") if not file.name.endswith(".call.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_is_a_valid_assistant(file: Path) -> None:
    AssistantSpec.model_validate(json.loads(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.call.json")), ids=lambda file: file.stem)
def test_a_call_names_the_schema_that_it_follows(file: Path) -> None:
    call = json.loads(file.read_text(encoding="utf-8"))
    schema = json.loads((FOLDER / call["$schema"]).read_text(encoding="utf-8"))
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(call)) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_call_beside_an_example_can_be_followed(file: Path) -> None:
    scenario = load(file, SANDBOX)
    assert len(callers.parse(scenario.caller)) > 1


@pytest.mark.parametrize(("call", "unknown"), [({"calls": []}, "calls"), ({"expect": {"herd": []}}, "herd")])
def test_what_a_call_may_not_say_is_refused_by_name(tmp_path: Path, call: dict[str, object], unknown: str) -> None:
    (tmp_path / "a.json").write_text("{}", encoding="utf-8")
    (tmp_path / "a.call.json").write_text(json.dumps(call), encoding="utf-8")
    with pytest.raises(ScenarioError, match=unknown):
        load(tmp_path / "a.json", SANDBOX)


def test_there_are_examples() -> None:
    assert len(FILES) >= 4

"""docs/testing.md names every step, condition and answer of a call file, and its example is one."""

import json
import re
from pathlib import Path

from calliope_local.call_file import KINDS, CallFile, Expect
from calliope_local.call_parts import Rule

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_is_a_call_file() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    CallFile.model_validate(json.loads(example))


def test_every_step_of_the_page_is_one_and_every_kind_of_step_is_there() -> None:
    shown = [json.loads(step) for step in re.findall(r"^\| `(\{.*\})` \|", PAGE, re.MULTILINE)]
    CallFile.model_validate({"caller": shown})
    assert {kind for step in shown for kind in step if kind in KINDS} == set(KINDS)


def test_the_page_names_what_can_be_expected_and_what_rules_say() -> None:
    seldom = {"any", "finish", "variants"}
    rules = {field.alias or name for name, field in Rule.model_fields.items()} - seldom
    assert [name for name in rules | set(Expect.model_fields) if f"`{name}`" not in PAGE] == []

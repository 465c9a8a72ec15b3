"""Every field of the assistant document is proved to act by a test that exists, or is openly on the list of debts."""

import ast

import pytest

from contract.generated.fields import fields
from contract.generated.proofs import NOT_YET, PROOFS
from support.modules import ROOT

PATHS = [path for path, _, _ in fields()]
TESTS = sorted({test for tests in PROOFS.values() for test in tests})


@pytest.mark.parametrize("path", PATHS)
def test_a_field_is_proved_or_openly_not_yet(path: str) -> None:
    assert (path in PROOFS) != (path in NOT_YET), "name its test in generated/proofs.py, or its debt; not both"


def test_nothing_is_said_of_fields_that_do_not_exist() -> None:
    assert (PROOFS.keys() | NOT_YET) - set(PATHS) == set()


@pytest.mark.parametrize("test", TESTS)
def test_the_test_that_is_named_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_call_with_every_option_shows_each_field_that_points_to_it() -> None:
    """Its parameters are the fields themselves."""
    tree = ast.parse((ROOT / "tests/e2e/test_fields.py").read_text(encoding="utf-8"))
    shown = next(
        node.value for node in tree.body if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "SHOWN"
    )
    assert isinstance(shown, ast.Dict)
    keys = {key.value for key in shown.keys if isinstance(key, ast.Constant)}
    assert keys == {
        path for path, tests in PROOFS.items() if any("test_a_field_acts_on_a_call" in test for test in tests)
    }

"""The command line of the operator's command."""

import pytest

from calliope.contracts.errors import ErrorCode, FieldProblem
from calliope.errors import CommandError
from calliope_admin.command_line import parser, run
from calliope_admin.errors import in_words


@pytest.mark.parametrize("arguments", [["--json", "numbers", "list"], ["numbers", "list", "--json"]])
def test_common_options_are_understood_on_either_side(arguments: list[str]) -> None:
    assert parser().parse_args(arguments).json is True


@pytest.mark.parametrize("arguments", [[], ["numbers"], ["nonsense"], ["numbers", "list", "--nonsense"]])
def test_what_cannot_be_understood_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: calliope-admin")


def test_a_refused_command_is_one_line_with_its_fields() -> None:
    fields = (FieldProblem(path="scopes", message="is empty"), FieldProblem(path="name", message="is long", hint="cut"))
    error = CommandError(ErrorCode.INVALID, "the key was refused", fields=fields)
    assert in_words(error) == "the key was refused: scopes: is empty; name: is long (cut)"

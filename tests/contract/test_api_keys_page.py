"""`docs/api-keys.md` says what there is: every scope, commands that are understood, files that are written."""

import re
import shlex

import pytest

from calliope.contracts.identity import Scope
from calliope_admin.command_line import parser
from calliope_admin.installation_secrets import new_installation
from support.modules import ROOT

PAGE = (ROOT / "docs" / "api-keys.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"(?:^    |`)\.venv/bin/calliope-admin ([^`\n#]+)", PAGE, flags=re.MULTILINE)


def test_every_scope_has_its_meaning() -> None:
    rows = [
        line.split("|")[1:3]
        for line in PAGE.partition("## Scopes")[2].partition("\n## ")[0].splitlines()
        if "|" in line
    ]
    explained = [scope for names, meaning in rows if meaning.strip() for scope in re.findall(r"`([a-z_:]+)`", names)]
    assert explained == [scope.value for scope in Scope]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command: str) -> None:
    assert parser().parse_args(shlex.split(command)).command


def test_there_are_commands_to_understand() -> None:
    assert len(COMMANDS) > 5


def test_every_file_of_secrets_is_named_with_its_variables() -> None:
    for file in new_installation():
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{file.name}`")]
        assert all(f"`{name}`" in row for name in file.variables)

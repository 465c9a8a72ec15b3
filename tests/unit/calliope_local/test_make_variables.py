"""Each target of the Makefile knows the variables that it reads, and refuses others."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Without running anything."""
    return subprocess.run(  # noqa: S603
        ["make", "--dry-run", *arguments],  # noqa: S607
        cwd=ROOT,
        env=os.environ | {"ENV": "/etc/profile", "FILE": "a.json"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("try", "FILE=mine/x.json"), "FILE is not read by try; did you mean ASSISTANT?"),
        (("demo", "FILE=mine/x.json"), "FILE is not read by demo; did you mean ASSISTANT?"),
        (("call", "TXT=hello"), "TXT is not read by call; did you mean TEXT?"),
        (("assistant", "FILE=a.json", "NUM=+15550002222"), "NUM is not read by assistant; did you mean NUMBER?"),
        (("assistant", "ASSISTANT=a.json"), "ASSISTANT is not read by assistant; did you mean FILE?"),
        (("up", "env=.env"), "env is not read by up; did you mean ENV?"),
        (("down", "ENV=.env"), "ENV is not read by down; it reads none"),
    ],
)
def test_a_variable_that_a_target_does_not_read_is_refused(arguments: tuple[str, ...], said: str) -> None:
    done = make(*arguments)

    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("try", "ASSISTANT=mine/*.json", "JUNIT=a.xml", "AT_ONCE=2"),
        ("demo", "ASSISTANT=a.json", "VOICE=1"),
        ("up", "ENV=.env", "PUBLIC_URL=https://a.example", "LLM=auto", "LLM_MODEL=m", "LLM_API_KEY=k"),
        ("assistant", "FILE=a.json", "NUMBER=+15550002222", "CARRIER=telnyx"),
        ("call", "NUMBER=+15550002222", "TEXT=hello", "SCRIPT=a.call.json", "VOICE=1"),
        ("bench", "ARGS=--seconds 1"),
        ("down", "PYTHON=python3"),
    ],
)
def test_its_own_variables_and_the_python_are_taken(arguments: tuple[str, ...]) -> None:
    done = make(*arguments)

    assert (done.returncode, done.stderr) == (0, "")

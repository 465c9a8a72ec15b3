"""docs/local-stack.md and the Makefile say what the code does."""

import os
import subprocess
from pathlib import Path

from calliope_local.local_models import WELL_KNOWN
from calliope_local.ports import USUAL, VARIABLES
from calliope_local.vendors import VENDORS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "local-stack.md").read_text()


def test_every_name_of_a_key_stands_on_the_page() -> None:
    for vendor in VENDORS:
        for names in vendor.usual.values():
            assert all(f"`{name}`" in PAGE for name in names), names
        if vendor.shares is None:
            assert f"`{vendor.prefix}{vendor.needed[0]}`" in PAGE


def test_every_usual_port_and_its_variable_stands_on_the_page() -> None:
    for name, port in USUAL.items():
        assert str(port) in PAGE
        assert f"`{VARIABLES[name]}`" in PAGE
    for url in WELL_KNOWN.values():
        assert url.rpartition(":")[2].removesuffix("/v1") in PAGE


def made(*arguments: str, **environment: str) -> str:
    """What `make up` would run."""
    done = subprocess.run(  # noqa: S603
        ["make", "--no-print-directory", "--dry-run", "up", *arguments],  # noqa: S607
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return " ".join(done.stdout.replace("\\\n", " ").split())


def test_make_hands_on_what_it_is_given() -> None:
    line = made("ENV=my own.env", "PUBLIC_URL=https://a.example", "LLM=auto", "LLM_MODEL=m", "LLM_API_KEY=k")

    assert line.endswith(
        "up --env-file 'my own.env' --public-url 'https://a.example' --llm 'auto' --llm-model 'm' --llm-api-key 'k'"
    )


def test_a_shells_own_variables_are_not_taken_for_it() -> None:
    assert made(ENV="/etc/profile", LLM="auto").endswith("calliope_local up")

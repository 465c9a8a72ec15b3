"""Every distribution works alone: installed by itself, with what it declares, each of its modules can be imported."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from support.distributions import ALONE, Distribution
from support.modules import ROOT

PATIENCE_S: Final = 300.0
"""A first run downloads; later ones take what uv keeps, within a second."""
UV: Final = Path(sys.executable).with_name("uv")
IMPORT_ALL: Final = """\
import importlib, pathlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
root = pathlib.Path(package.__file__).parent
for path in root.rglob("*"):
    if path.is_file() and path.suffix != ".pyc":
        print(path.relative_to(root))
"""


def ran(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own commands
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def imported_alone(requirement: str, package: str, into: Path) -> subprocess.CompletedProcess[str]:
    """Install one distribution into an environment of its own and import everything in it; prints its files."""
    python = into / "venv" / "bin" / "python"
    made = ran(UV, "venv", "--quiet", "--python", sys.executable, into / "venv")
    assert made.returncode == 0, made.stderr
    lock = ROOT / "requirements.lock"
    installed = ran(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraint",
        lock,
        "--build-constraint",
        lock,
        requirement,
    )
    assert installed.returncode == 0, installed.stderr
    return ran(python, "-I", "-c", IMPORT_ALL, package)


@pytest.mark.parametrize("distribution", ALONE, ids=lambda each: each.folder)
def test_a_distribution_needs_nothing_that_it_does_not_declare(distribution: Distribution, tmp_path: Path) -> None:
    done = imported_alone(distribution.requirement, distribution.package, tmp_path)
    assert done.returncode == 0, f"declare what is missing in {distribution.folder}/pyproject.toml:\n{done.stderr}"
    source = distribution.path / "src" / distribution.package
    files = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert set(done.stdout.split()) == files


def test_an_undeclared_dependency_shows(tmp_path: Path) -> None:
    folder = tmp_path / "careless"
    (folder / "careless").mkdir(parents=True)
    (folder / "careless" / "__init__.py").write_text("")
    (folder / "careless" / "deep.py").write_text("import aiohttp\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "careless"\nversion = "1"\n'
    )
    done = imported_alone(str(folder), "careless", tmp_path)
    assert done.returncode == 1
    assert "No module named 'aiohttp'" in done.stderr

"""`make demo-soak` with one demonstration: it succeeds on a loaded machine, too."""

from pathlib import Path

import pytest

from calliope_local.demo_soak import soak

COUNT = 1


@pytest.mark.promise("P1")
def test_demonstrations_succeed_beside_a_busy_core(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak(COUNT, tmp_path) == 0, capsys.readouterr().out

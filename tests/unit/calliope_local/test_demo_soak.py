"""Many demonstrations: each failure is counted, and told with its reason."""

import sys
from pathlib import Path

import pytest

from calliope_local.demo_soak import play, soak, why


def printing(text: str, status: int) -> list[str]:
    return [sys.executable, "-c", f"print({text!r}); raise SystemExit({status})"]


def test_a_soak_in_which_all_succeed_leaves_no_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak(2, tmp_path, printing("OK: one call", 0)) == 0

    assert "2 of 2 demonstrations succeeded" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_failures_are_counted_with_their_reasons_and_their_output_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert soak(2, tmp_path, printing("FAILED: there is no event call.ended", 1)) == 1

    told = capsys.readouterr().out
    assert "0 of 2 demonstrations succeeded" in told
    assert told.count("there is no event call.ended") == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["001.log", "002.log"]


def test_reasons_are_what_the_demonstration_says_each_once() -> None:
    text = (
        "   4  calliope.call.ended.v1   MISSING: arrived 1 time, not verified: no secret registered\n"
        "FAILED: 1 of 4 events were not verified\nFAILED: 1 of 4 events were not verified\n"
    )
    assert why(text, 1) == ("arrived 1 time, not verified: no secret registered", "1 of 4 events were not verified")


def test_without_them_the_last_lines_are_told() -> None:
    assert why("one\ntwo\nnats was not ready\n", 1) == (
        "ended with status 1; its last lines:",
        "one",
        "two",
        "nats was not ready",
    )


def test_a_demonstration_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calliope_local.demo_soak.DEMO_S", 0.2)
    monkeypatch.setattr("calliope_local.demo_soak.STOP_S", 0.2)  # a shell's background job does not hear an interrupt

    outcome = play([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "1.log")

    assert outcome.reasons[0].startswith("did not end within 0.2 s")
    assert outcome.seconds < 60

"""`make try` before a call is placed: which files it plays, what it says of those it cannot read, its report."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from calliope_local import call_tests, junit
from calliope_local.call_tests import Result, assistants, main, write_report


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("anna.json", "anna.call.json", "berta.json", "call.schema.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


def test_a_pattern_names_assistants_and_not_the_calls_beside_them(mine: Path) -> None:
    wanted = [mine / "anna.json", mine / "berta.json"]
    assert list(assistants([f"{mine}/*.json"])) == wanted
    assert list(assistants([f"{mine}/*.json {mine}/anna.json"])) == wanted
    assert list(assistants([f"{mine}/gone.json"])) == [mine / "gone.json"]
    assert list(assistants([f"{mine}/gone*.json"])) == []


def test_a_name_with_a_space_is_one_file(mine: Path) -> None:
    file = mine / "front desk.json"
    file.write_text("{}", encoding="utf-8")
    assert list(assistants([str(file)])) == [file]


def test_a_pattern_that_names_nothing_is_said(capsys: pytest.CaptureFixture[str], mine: Path) -> None:
    assert main([f"{mine}/x*.json"]) == 1
    assert f"No assistant matches {mine}/x*.json" in capsys.readouterr().out


def test_files_that_cannot_be_read_are_told_without_starting_anything(
    capsys: pytest.CaptureFixture[str], mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_tests, "LocalStack", None)
    (mine / "anna.call.json").write_text('{"caller": [{"sya": "Hi"}], "expect": {"herd": []}}', encoding="utf-8")
    (mine / "berta.json").write_text('{"name": "Berta",\n  name}', encoding="utf-8")
    report = mine / "out" / "report.xml"

    assert main([f"{mine}/*.json", "--junit", str(report)]) == 1

    told = capsys.readouterr().out
    assert f"{mine}/anna.call.json: caller[0]: is no step (did you mean say?)" in told
    assert f"{mine}/anna.call.json: expect: unknown herd, did you mean heard?" in told
    assert f"{mine}/berta.json is not JSON" in told
    assert "line 2 column 3" in told
    assert "0 of 2 calls were as expected" in told
    suite = ET.parse(report).getroot()  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("2", "2")


@pytest.mark.parametrize("wrong", ["0", "33", "two"])
def test_how_many_at_once_is_bounded(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--at-once", wrong])
    assert "must be a whole number from 1 to 32" in capsys.readouterr().err


def test_the_report_says_what_ci_systems_read(tmp_path: Path) -> None:
    results = [
        Result(tmp_path / "a.json", 1.5, talk=("  0.10 s  assistant  ¡Hola! <b>",)),
        Result(tmp_path / "b.json", 2.25, failures=("it ended with busy, not with idle", 'to hear "\x00"')),
    ]

    write_report(results, tmp_path / "try.xml")

    (suite,) = ET.parse(tmp_path / "try.xml").getroot()  # noqa: S314 - our own
    assert {name: suite.get(name) for name in ("tests", "failures", "time")} == {
        "tests": "2",
        "failures": "1",
        "time": "3.750",
    }
    ok, failed = suite
    assert (ok.get("name"), ok.get("classname"), ok.get("time")) == ("a", str(tmp_path), "1.500")
    assert ok.findtext("system-out") == "  0.10 s  assistant  ¡Hola! <b>"
    assert ok.find("failure") is None
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("message") == "it ended with busy, not with idle"
    assert failure.text == 'it ended with busy, not with idle\nto hear "�"'


def test_a_report_without_cases_is_valid() -> None:
    assert ET.fromstring(junit.document([])).get("tests") == "0"  # noqa: S314 - our own


def test_assistants_of_one_name_are_told_apart_by_their_files(mine: Path) -> None:
    for name in ("anna", "berta"):
        (mine / f"{name}.json").write_text(json.dumps({"name": "Anna "}), encoding="utf-8")
    files = [mine / "anna.json", mine / "berta.json"]

    (_, first), (_, second) = call_tests._named_apart(files, "http://127.0.0.1:1")

    assert first.assistant["name"] == "Anna "
    assert second.assistant["name"].endswith("berta.json)")
    assert len(second.assistant["name"]) <= 100

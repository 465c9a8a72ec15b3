"""A recorded call is decided again."""

import json
from pathlib import Path

import pytest

from calliope_call_worker.pipeline import events as ev
from calliope_call_worker.pipeline.codec import decision_from_json, input_from_json, to_json
from calliope_call_worker.pipeline.replay import record, replay, settings_record
from calliope_call_worker.pipeline.turn_settings import TurnSettings
from calliope_call_worker.pipeline.turns import TurnMachine
from calliope_call_worker.replay_command import replay_command


def _recording() -> list[str]:
    settings = TurnSettings(prepare_after_s=None, interrupt_phrases=(), ignore_phrases=())
    machine = TurnMachine(settings)
    lines = [json.dumps(settings_record(settings))]
    for now, event in (
        (0.0, ev.MediaStarted()),
        (0.1, ev.ReplyAudible("r1")),
        (1.0, ev.Interim("no wait", 0, 1_000, word_starts_ms=(700, 900), audio_ms=1_000)),
        (1.5, ev.Final("No, wait.", 0, 1_400, speech_final=True)),
        (3.0, ev.ReplyDone("r1")),
    ):
        lines.append(json.dumps(record(event, now, machine.decide(event, now))))
    return lines


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "call.jsonl"
    path.write_text("\n".join(_recording()) + "\n", encoding="utf-8")
    return path


def test_the_same_settings_decide_the_same() -> None:
    result = replay(_recording())
    assert result.inputs == 5
    assert result.difference is None


def test_another_setting_shows_the_first_input_decided_otherwise() -> None:
    difference = replay(_recording(), {"interruption_threshold": 2}).difference
    assert difference is not None
    assert (difference.line, difference.recorded, difference.decided) == (4, (), (ev.Interrupt("r1", "words"),))


def test_the_command_says_that_nothing_changed(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay_command([str(recording)]) == 0
    assert capsys.readouterr().out == "5 inputs, decided the same\n"


def test_the_command_shows_what_changed(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay_command([str(recording), "--set", "interruption_threshold=2"]) == 1
    assert '{"type": "interrupt", "reply_id": "r1", "cause": "words"}' in capsys.readouterr().out


@pytest.mark.parametrize("setting", ["no_such=1", "interruption_threshold", 'interruption_threshold="x"'])
def test_the_command_refuses_a_setting_that_does_not_exist(recording: Path, setting: str) -> None:
    assert replay_command([str(recording), "--set", setting]) == 2


@pytest.mark.parametrize(
    "line", ["[]", "not json", '{"now": 1}', '{"now": 1, "input": {"type": "x"}, "decisions": []}']
)
def test_what_is_no_recording_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 1|Expecting"):
        replay([line])


@pytest.mark.parametrize(
    "event",
    [
        ev.MediaStarted(welcome=False, elapsed_s=1.5),
        ev.Interim("hi", 0, 10, word_starts_ms=(1.5, 2.5), audio_ms=9.0, eager=True),
        ev.UtteranceEnd(),
        ev.TurnResumed(),
        ev.ToolsRunning("r1", False),
        ev.Tick(),
    ],
)
def test_inputs_survive_json(event: ev.Input) -> None:
    assert input_from_json(json.loads(json.dumps(to_json(event)))) == event


def test_decisions_survive_json() -> None:
    commit = ev.Commit("r2", 1, "Hello.", "dtmf", prepared=True, replaces="r1")
    assert decision_from_json(json.loads(json.dumps(to_json(commit)))) == commit


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="tick"):
        input_from_json({"type": "tick", "more": 1})

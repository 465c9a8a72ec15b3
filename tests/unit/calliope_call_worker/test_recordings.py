"""A call with `journal_inputs` leaves a file that decides it again."""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from calliope.contracts.calls import TurnCommitted, TurnKind, TurnStarted
from calliope.errors import PermanentError
from calliope_call_worker.adapters import recordings as adapter
from calliope_call_worker.adapters.recordings import FileRecordings
from calliope_call_worker.providers.stt.base import Transcript, TurnResumed, UtteranceEnded, Word
from calliope_call_worker.replay_command import replay_command
from calliope_call_worker.settings import RecordingsSettings
from support.waiting import until
from support.whole_call import a_call

LINE: dict[str, Any] = {"now": 1.5, "input": {"type": "tick"}, "decisions": []}


def some_recordings(folder: Path | None, **settings: Any) -> FileRecordings:
    return FileRecordings(RecordingsSettings(folder=folder, **settings))


def interim(text: str, end_ms: float, *, eager: bool = False) -> Transcript:
    return Transcript(text, False, False, 0, end_ms, (Word(text, 0, end_ms),), eager)


def final(text: str, start_ms: float, end_ms: float) -> Transcript:
    return Transcript(text, True, True, start_ms, end_ms, (Word(text, start_ms, end_ms),))


async def test_a_recorded_call_is_decided_the_same_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings = some_recordings(tmp_path)
    async with a_call(
        recorder=recordings.open("call_1"),
        plays_at_once=False,
        llm_settings={"welcome_message": "Good day."},
        interruption_settings={"min_speaking_time": 0},
    ) as call:
        await until(lambda: len(call.media.unplayed) == 2)  # a mark a word
        call.media.play()
        await until(lambda: call.facts(TurnCommitted))
        await call.hears(interim("are you", 300, eager=True), TurnResumed(), interim("are you open", 600))
        await call.hears(final("Are you open?", 0, 900), UtteranceEnded(900))
        await until(lambda: call.facts(TurnStarted) and len(call.media.unplayed) == 3)
        await call.hears(interim("and tomorrow", 1_500))
        call.media.play()
        await until(lambda: [turn for turn in call.facts(TurnCommitted) if turn.kind is TurnKind.REPLY])
    await recordings.flush()
    file = str(tmp_path / "call_1.jsonl")
    assert replay_command([file]) == 0
    assert capsys.readouterr().out.endswith("inputs, decided the same\n")
    assert replay_command([file, "--set", "max_preparations=0"]) == 1
    assert '"type": "prepare"' in capsys.readouterr().out


async def test_a_call_that_comes_back_goes_on_in_its_file(tmp_path: Path) -> None:
    recordings = some_recordings(tmp_path)
    for _ in range(2):
        async with a_call(recorder=recordings.open("call_1")) as call:
            await call.hears(final("Hello?", 0, 900))
            await until(partial(call.facts, TurnCommitted))
        await recordings.flush()
    lines = (tmp_path / "call_1.jsonl").read_text().splitlines()
    assert sum(line.startswith('{"settings"') for line in lines) == 2
    assert replay_command([str(tmp_path / "call_1.jsonl")]) == 0


async def test_what_waits_is_written_while_the_worker_lives(tmp_path: Path) -> None:
    recordings = some_recordings(tmp_path / "new", write_every_s=0.01)
    await recordings.prepare()
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(recordings.run(), name="recordings.write")
        one, other = recordings.open("call_1"), recordings.open("call_2")
        assert one is not None
        assert other is not None
        one.record(LINE)
        other.record(LINE)
        one.record(LINE)
        await until(lambda: other.path.exists() and one.path.exists() and one.path.read_text().count("\n") == 2)
        writing.cancel()
    assert one.path.stat().st_mode & 0o777 == 0o600


async def test_a_recording_has_a_longest_length_and_no_hole(tmp_path: Path) -> None:
    recordings = some_recordings(tmp_path, max_call_bytes=120)
    recording = recordings.open("call_1")
    assert recording is not None
    for number in range(10):
        recording.record({**LINE, "now": number} if number < 9 else {})
    await recordings.flush()
    lines = recording.path.read_text().splitlines()
    assert [line[:8] for line in lines] == ['{"now":0', '{"now":1']


async def test_a_disk_that_does_not_keep_up_ends_the_recording_not_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "MAX_WAITING_BYTES", 100)
    recordings = some_recordings(tmp_path)
    recording = recordings.open("call_1")
    assert recording is not None
    for _ in range(10):
        recording.record(LINE)
    await recordings.flush()
    recording.record(LINE)
    await recordings.flush()
    assert recording.path.read_text().count("\n") == 1


async def test_a_file_that_cannot_be_written_ends_its_recording_alone(tmp_path: Path) -> None:
    recordings = some_recordings(tmp_path)
    (tmp_path / "call_1.jsonl").mkdir()
    broken, sound = recordings.open("call_1"), recordings.open("call_2")
    assert broken is not None
    assert sound is not None
    for _ in range(2):
        broken.record(LINE)
        sound.record(LINE)
        await recordings.flush()
    assert broken.take() == b""
    assert sound.path.read_text().count("\n") == 2


async def test_without_a_folder_the_worker_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    recordings = some_recordings(None)
    assert [recordings.open("call_1"), recordings.open("call_2")] == [None, None]
    assert capsys.readouterr().out.count("recording.impossible") == 1


@pytest.mark.parametrize("blocked", ["a file is in the way", "it may not be written to"])
async def test_a_folder_that_cannot_keep_files_is_said_at_start_with_its_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    folder = tmp_path / "recordings"
    if blocked == "a file is in the way":
        folder.write_text("")
    else:
        monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs tests as root may write everywhere
    with pytest.raises(PermanentError, match=r"cannot be kept in .*recordings \(.*set CALLIOPE_RECORDINGS__FOLDER"):
        await FileRecordings(RecordingsSettings(folder=folder)).prepare()

"""The folder of a stack: what is wrong with it is said in words that name it."""

import errno
import json
import os
from pathlib import Path

import pytest

from calliope_local.folder import FolderError, FolderLock, owner_of, usable
from calliope_local.keys import LocalKeys, write_private
from calliope_local.ports import choose_ports


def start(folder: Path) -> None:
    """What touches the folder before anything is started."""
    with usable(folder):
        owner_of(folder)
        choose_ports(folder, {}, free=lambda _: True)
        LocalKeys.load_or_make(folder / "keys.json")
        with FolderLock(folder):
            pass


def test_a_folder_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "new") is None
    start(tmp_path / "new")
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["keys.json", "lock", "ports.json"]


@pytest.mark.parametrize("wrong", ["file", "dangling", "ports", "keys", "lock"])
def test_what_is_in_the_way_is_named(tmp_path: Path, wrong: str) -> None:
    folder = tmp_path / "data"
    if wrong == "file":
        folder.write_text("")
    elif wrong == "dangling":
        folder.symlink_to(tmp_path / "away" / "x")
    else:
        (folder / {"ports": "ports.json", "keys": "keys.json", "lock": "lock"}[wrong]).mkdir(parents=True)
    with pytest.raises(FolderError, match=rf"data\S* cannot be used: .*keeps its data in the folder {folder}"):
        start(folder)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_named_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    write_private(tmp_path / "ports.json", {"nats": 4})

    def full(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(FolderError, match=os.strerror(code).lower()), usable(tmp_path):
        write_private(tmp_path / "ports.json", {"nats": 5})
    assert [file.name for file in tmp_path.iterdir()] == ["ports.json"]
    assert json.loads((tmp_path / "ports.json").read_text()) == {"nats": 4}


def test_what_is_wrong_elsewhere_is_not_blamed_on_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), usable(tmp_path / "data"):
        (tmp_path / "other").read_text()


@pytest.mark.parametrize("text", ["", "garbage", "[1]", '{"api_key": 7}', "[" * 99_999])
def test_keys_that_are_damaged_are_not_replaced_in_silence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(FolderError, match=r"does not hold the keys that were written there\. Put them back; or remove"):
        LocalKeys.load_or_make(file)
    assert file.read_text() == text

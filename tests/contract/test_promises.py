"""Promises and tests are tied both ways."""

import pytest

import promises


@pytest.mark.parametrize("promise", promises.PROMISES)
def test_every_promise_is_shown(promise: str) -> None:
    assert promises.tied().get(promise) or promise in promises.COMMANDS, "mark a test with this promise, or withdraw it"


def test_every_marker_names_a_promise() -> None:
    unknown = {name: files for name, files in promises.tied().items() if name not in promises.PROMISES}
    assert unknown == {}, "declare the promise in tests/promises.py, or correct the marker"


def test_a_command_is_no_stand_in_for_an_unknown_promise() -> None:
    assert promises.COMMANDS.keys() <= promises.PROMISES.keys()

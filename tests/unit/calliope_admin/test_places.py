"""Where the operator's command looks for the bus."""

from pathlib import Path

import pytest

from calliope_admin.bus import place_of
from calliope_admin.errors import AdminError

LOCAL = '{"nats": "nats://127.0.0.1:4299", "api_key": "cal_live_x"}'


@pytest.fixture
def local(tmp_path: Path) -> Path:
    file = tmp_path / "local.json"
    file.write_text(LOCAL)
    return file


def test_the_argument_goes_first(local: Path) -> None:
    place = place_of("nats://given:1", {"CALLIOPE_NATS__URL": "nats://set:2"}, local)
    assert (place.nats.url, place.found, place.organization) == ("nats://given:1", "from --nats", None)


def test_then_the_environment_with_its_user(local: Path) -> None:
    variables = {
        "CALLIOPE_NATS__URL": "nats://set:2",
        "CALLIOPE_NATS__USER": "admin",
        "CALLIOPE_NATS__PASSWORD": "secret-word",
    }
    place = place_of(None, variables, local)
    assert (place.nats.url, place.nats.user) == ("nats://set:2", "admin")
    assert place.nats.password is not None
    assert place.nats.password.get_secret_value() == "secret-word"
    assert "secret-word" not in repr(place)


def test_then_the_local_stack_of_this_folder_and_its_organization(local: Path) -> None:
    place = place_of(None, {}, local)
    assert (place.nats.url, place.organization) == ("nats://127.0.0.1:4299", "org_local")


def test_none_of_them_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AdminError, match=r"--nats .* CALLIOPE_NATS__URL, .* `make up`") as caught:
        place_of(None, {}, tmp_path / "local.json")
    assert caught.value.status == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nats": ""}', "null", "\x00"])
def test_a_broken_file_of_the_local_stack_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "local.json"
    file.write_text(text)
    with pytest.raises(AdminError, match=r"local\.json"):
        place_of(None, {}, file)

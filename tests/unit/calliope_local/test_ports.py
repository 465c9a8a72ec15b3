"""Which ports `make up` takes."""

import json
from pathlib import Path

import pytest

from calliope_local.environment import PORT_NAMES
from calliope_local.ports import PortError, choose_ports

USUAL = {"nats": 4222, "gateway": 8080, "sandbox": 8090, "proxy": 8095}


def everything_is_free(_port: int) -> bool:
    return True


def test_the_first_start_takes_the_ports_that_the_documents_name(tmp_path: Path) -> None:
    chosen, said = choose_ports(tmp_path, {}, free=everything_is_free)

    assert {name: chosen[name] for name in USUAL} == USUAL
    assert set(chosen) == set(PORT_NAMES)
    assert len(set(chosen.values())) == len(chosen)
    assert said == []


def test_the_next_start_takes_the_same_ones(tmp_path: Path) -> None:
    first, _ = choose_ports(tmp_path, {}, free=everything_is_free)

    second, said = choose_ports(tmp_path, {}, free=everything_is_free)

    assert second == first
    assert said == []


def test_one_that_had_to_move_stays_there_and_says_why_at_each_start(tmp_path: Path) -> None:
    first, at_first = choose_ports(tmp_path, {}, free=lambda port: port != 8080)

    second, again = choose_ports(tmp_path, {}, free=lambda port: port != 8080)

    assert first["gateway"] != 8080
    assert second == first
    moved = f"Port 8080 is taken by another program; gateway takes {first['gateway']}, until 8080 is free at a start."
    assert at_first == again == [moved]


@pytest.mark.parametrize("name", USUAL)
def test_one_that_had_to_move_goes_back_when_its_usual_port_is_free(tmp_path: Path, name: str) -> None:
    first, _ = choose_ports(tmp_path, {}, free=lambda port: port != USUAL[name])

    second, said = choose_ports(tmp_path, {}, free=everything_is_free)

    assert second == first | {name: USUAL[name]}
    assert said == []


def test_one_that_is_taken_meanwhile_is_replaced_aloud_and_the_others_stay(tmp_path: Path) -> None:
    first, _ = choose_ports(tmp_path, {}, free=everything_is_free)

    second, said = choose_ports(tmp_path, {}, free=lambda port: port != first["mongo"])

    assert second["mongo"] != first["mongo"]
    assert second | {"mongo": first["mongo"]} == first
    assert len(said) == 1
    assert f"Port {first['mongo']} is taken" in said[0]
    assert f"mongo takes {second['mongo']}" in said[0]
    assert json.loads((tmp_path / "ports.json").read_text()) == second


def test_a_port_that_is_asked_for_wins_and_is_nobody_elses(tmp_path: Path) -> None:
    chosen, said = choose_ports(tmp_path, {"CALLIOPE_GATEWAY_PORT": "8090"}, free=everything_is_free)

    assert chosen["gateway"] == 8090
    assert chosen["sandbox"] != 8090
    assert said == [f"Port 8090 is taken by gateway; sandbox takes {chosen['sandbox']}, until 8090 is free at a start."]


def test_zero_asks_for_any_free_port_and_keeps_it_too(tmp_path: Path) -> None:
    first, said = choose_ports(tmp_path, {"CALLIOPE_NATS_PORT": "0"}, free=everything_is_free)
    second, _ = choose_ports(tmp_path, {"CALLIOPE_NATS_PORT": "0"}, free=everything_is_free)

    assert first["nats"] != 4222
    assert second == first
    assert said == []


@pytest.mark.parametrize("text", ["eighty", "-1", "70000"])
def test_what_is_no_port_is_refused_with_the_name_of_its_variable(tmp_path: Path, text: str) -> None:
    with pytest.raises(PortError, match=f"CALLIOPE_GATEWAY_PORT={text} is no port: use a number up to 65535"):
        choose_ports(tmp_path, {"CALLIOPE_GATEWAY_PORT": text})


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"nats": "4223", "gateway": true, "other": 5}'])
def test_a_file_that_cannot_be_understood_is_written_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / "ports.json").write_text(text)

    chosen, _ = choose_ports(tmp_path, {}, free=everything_is_free)

    assert chosen["nats"] == 4222
    assert json.loads((tmp_path / "ports.json").read_text()) == chosen

"""Finding a server of language models on this machine, and refusing in words what is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from calliope_local.local_models import ModelServerError, look_around, model_server
from calliope_local.probes import free_ports
from calliope_local.up_options import UpOptions, prepare
from support.chat_server import chat_server

OLLAMA = {"object": "list", "data": [{"id": "nomic-embed-text:latest"}, {"id": "llama3.2:latest"}, {"id": "qwen3:8b"}]}


@contextmanager
def serving(body: object, status: int = 200) -> Iterator[str]:
    """The address of a server that lists `body`."""
    with chat_server(body, status=status) as server:
        yield server.url


def test_the_first_model_that_can_talk_is_asked_where_a_document_names_another() -> None:
    with serving(OLLAMA) as url:
        server = model_server(url)

    assert server is not None
    assert server.model == "llama3.2:latest"
    assert set(server.models) == {"llama3.2:latest", "llama3.2", "qwen3:8b"}


def test_a_model_may_be_chosen_and_one_that_is_not_there_is_refused_with_those_that_are() -> None:
    with serving(OLLAMA) as url:
        chosen = model_server(url, "qwen3:8b")
        with pytest.raises(ModelServerError, match=r"LLM_MODEL=gpt-4o: .* does not have it; it has llama3.2:latest"):
            model_server(url, "gpt-4o")

    assert chosen is not None
    assert chosen.model == "qwen3:8b"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"data": []}, 200, "has no model yet"),
        ({"error": "no"}, 404, "answered with 404; does the address end with /v1"),
        ({"error": "no"}, 401, "answered with 401; give its key: LLM_API_KEY"),
        (b"<html>", 200, "no server of language models answers"),
        (["other"], 200, "no server of language models answers"),
        ({"data": "text"}, 200, "no server of language models answers"),
    ],
)
def test_a_server_that_cannot_be_used_is_refused_in_words(body: object, status: int, words: str) -> None:
    with serving(body, status) as url, pytest.raises(ModelServerError, match=words):
        model_server(url)


@pytest.mark.parametrize("address", ["localhost:11434", "ollama", "ftp://localhost/v1"])
def test_what_is_no_address_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ModelServerError, match="such as http://localhost:11434/v1, auto or off"):
        model_server(address)


def test_nobody_there_is_said() -> None:
    with pytest.raises(ModelServerError, match="no server of language models answers"):
        model_server(f"http://127.0.0.1:{free_ports(1)[0]}/v1")


def test_looking_around_finds_the_first_that_has_a_model_and_nothing_else() -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/v1"
    with serving(b"something else", 500) as other, serving({"data": []}) as empty, serving(OLLAMA) as ollama:
        found = look_around(places={"A": nobody, "B": other, "C": empty, "Ollama": ollama})
        none = look_around(places={"A": nobody, "B": other, "C": empty})

    assert found is not None
    assert (found.name, found.url) == ("Ollama", ollama)
    assert none is None


def test_found_ones_are_told_and_not_used_until_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(OLLAMA) as url:
        monkeypatch.setattr("calliope_local.up_options.look_around", lambda: model_server(url))
        outside, said = prepare(UpOptions())
        quiet = prepare(UpOptions(llm="off"))[1]

    assert outside.variables == {}
    assert len(said) == 1
    assert "make up LLM=auto" in said[0]
    assert quiet == []


def test_options_may_stand_in_the_file_and_the_command_wins(tmp_path: Path) -> None:
    with serving(OLLAMA) as url:
        file = tmp_path / ".env"
        file.write_text(f"LLM={url}\nLLM_MODEL=qwen3:8b\nPUBLIC_URL=https://file.example.com\n")
        outside, said = prepare(UpOptions(env_file=file, public_url="https://command.example.com"))

    assert outside.public_url == "https://command.example.com"
    assert outside.variables["CALLIOPE_PROVIDERS__OPENAI__MODEL"] == "qwen3:8b"
    assert "qwen3:8b" in said[0]

"""`make up ENV=.env PUBLIC_URL=… LLM=…`: which vendors are real, what the worker is told, and what is said about it."""

import json
from pathlib import Path

import pytest

from calliope_call_worker.settings import WorkerSettings
from calliope_local.env_file import EnvFile, EnvFileError, known_variables, read_env_file
from calliope_local.environment import PORT_NAMES, Ports, environments
from calliope_local.keys import LocalKeys
from calliope_local.local_models import ModelServer
from calliope_local.outside import Here, Outside, PublicUrlError, decide
from calliope_local.vendors import VENDORS

PORTS = Ports(**{name: number for number, name in enumerate(PORT_NAMES, 20_000)})
OLLAMA = ModelServer("Ollama", "http://127.0.0.1:11434/v1", ("llama3.2:latest", "llama3.2"), "llama3.2:latest")


def outside_of(folder: Path, text: str, **more: object) -> Outside:
    file = folder / ".env"
    file.write_text(text)
    return decide(read_env_file(file), **more)  # type: ignore[arg-type]


def here(outside: Outside) -> dict[str, Here]:
    return {choice.vendor.name: choice.here for choice in outside.choices}


def worker_settings(outside: Outside, folder: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    """What a call-worker of this stack reads."""
    made = environments(PORTS, LocalKeys(), recordings=folder, outside=outside)["worker"]
    for name, value in made.items():
        if name.startswith("CALLIOPE_"):
            monkeypatch.setenv(name, value)
    return WorkerSettings()


def test_without_a_file_everything_is_emulated() -> None:
    assert set(here(decide(EnvFile())).values()) == {Here.EMULATED}


@pytest.mark.parametrize("name", ["CALLIOPE_PROVIDERS__OPENAI__API_KEY", "OPENAI_API_KEY"])
def test_a_vendor_whose_key_is_in_the_file_is_real_under_both_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    outside = outside_of(tmp_path, f"{name}=sk-real\n")

    assert {vendor for vendor, where in here(outside).items() if where is Here.REAL} == {"OpenAI"}
    settings = worker_settings(outside, tmp_path, monkeypatch)
    assert settings.providers.openai.url == "https://api.openai.com/v1"
    assert settings.providers.openai.api_key is not None
    assert settings.providers.openai.api_key.get_secret_value() == "sk-real"
    assert settings.providers.groq.url.startswith("http://127.0.0.1:")
    assert settings.carriers.twilio.url.startswith("http://127.0.0.1:")


def test_one_key_of_deepgram_makes_its_recogniser_and_its_voices_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = worker_settings(outside_of(tmp_path, "DEEPGRAM_API_KEY=dg\n"), tmp_path, monkeypatch)

    assert settings.providers.deepgram.url == "wss://api.deepgram.com"
    assert settings.providers.deepgram_voice.url == "wss://api.deepgram.com"
    assert settings.providers.deepgram_voice.api_key == settings.providers.deepgram.api_key


def test_a_carrier_is_real_with_its_whole_account_and_half_of_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "TWILIO_ACCOUNT_SID=AC1\nTWILIO_AUTH_TOKEN=t\nTELNYX_API_KEY=KEY1\n"
    outside = outside_of(tmp_path, text)

    assert here(outside)["Twilio"] is Here.REAL
    assert here(outside)["Telnyx"] is Here.EMULATED
    why = next(choice.why for choice in outside.choices if choice.vendor.name == "Telnyx")
    assert "TELNYX_CONNECTION_ID, TELNYX_PUBLIC_KEY missing" in why
    settings = worker_settings(outside, tmp_path, monkeypatch)
    assert (settings.carriers.twilio.url, settings.carriers.twilio.account_sid) == ("https://api.twilio.com", "AC1")
    assert settings.carriers.telnyx.api_key is not None
    assert settings.carriers.telnyx.api_key.get_secret_value() != "KEY1", "half an account never reaches the sandbox"


def test_an_address_alone_is_for_assistants_that_bring_their_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = outside_of(tmp_path, "CALLIOPE_PROVIDERS__DEEPGRAM__URL=wss://api.eu.deepgram.com\n")

    assert here(outside)["Deepgram"] is Here.REAL
    settings = worker_settings(outside, tmp_path, monkeypatch)
    assert settings.providers.deepgram.url == "wss://api.eu.deepgram.com"
    assert settings.providers.deepgram.api_key is None


def test_every_vendor_can_be_real_and_no_key_is_ever_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = sorted({names[0] for vendor in VENDORS for names in vendor.usual.values()})
    outside = outside_of(tmp_path, "".join(f"{name}=secret-{name.lower()}\n" for name in names))

    assert set(here(outside).values()) == {Here.REAL}
    settings = worker_settings(outside, tmp_path, monkeypatch)
    assert "127.0.0.1" not in json.dumps(settings.providers.model_dump(mode="json"))
    assert "127.0.0.1" not in json.dumps(settings.carriers.model_dump(mode="json"))
    assert "secret-" not in outside.table() + "".join(outside.remarks)


def test_values_are_read_as_python_dotenv_reads_them(tmp_path: Path) -> None:
    text = "# a comment\nexport GROQ_API_KEY='one two' # more\nREGION=eu\nXAI_API_KEY=key-${REGION}\nGEMINI_API_KEY=\n"
    (tmp_path / ".env").write_text(text)

    file = read_env_file(tmp_path / ".env")

    assert file.get("GROQ_API_KEY") == ("GROQ_API_KEY", "one two")
    assert file.get("XAI_API_KEY") == ("XAI_API_KEY", "key-eu")
    assert file.get("GEMINI_API_KEY") is None
    why = next(choice.why for choice in decide(file).choices if choice.vendor.name == "Gemini")
    assert "is empty" in why


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("OPENAI_APIKEY=k", "nobody reads OPENAI_APIKEY; did you mean OPENAI_API_KEY?"),
        ("DEEPGRAM_KEY=k", "nobody reads DEEPGRAM_KEY; did you mean DEEPGRAM_API_KEY?"),
        ("CALLIOPE_PROVIDERS__OPENAI__APIKEY=k", "did you mean CALLIOPE_PROVIDERS__OPENAI__API_KEY?"),
        ("CALLIOPE_SOMETHING_ELSE_ENTIRELY=k", "nobody reads CALLIOPE_SOMETHING_ELSE_ENTIRELY."),
        ("CALLIOPE_NATS__URL=nats://nats", "`make up` sets CALLIOPE_NATS__URL itself"),
    ],
)
def test_a_name_that_has_no_effect_is_said(tmp_path: Path, line: str, said: str) -> None:
    assert any(said in remark for remark in outside_of(tmp_path, line).remarks)


def test_other_programs_variables_are_nobodys_business(tmp_path: Path) -> None:
    assert outside_of(tmp_path, "DATABASE_URL=x\nAWS_REGION=eu\n").remarks == ()


def test_a_file_that_cannot_be_read_is_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match=r"\.env is not there: copy \.env\.local\.example to it"):
        read_env_file(tmp_path / ".env")
    (tmp_path / ".env").write_text("A=1\n='no name'\n")
    with pytest.raises(EnvFileError, match=r"\.env, line 2: this is no NAME=value"):
        read_env_file(tmp_path / ".env")


def test_variables_of_the_vendors_are_the_workers() -> None:
    known = set(known_variables())
    for vendor in VENDORS:
        assert {f"{vendor.prefix}{setting}" for setting in vendor.usual} | {vendor.url} <= known


def test_a_model_on_this_machine_answers_for_every_vendor_of_models_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = outside_of(tmp_path, "GROQ_API_KEY=gsk\n", models=OLLAMA)

    assert here(outside)["Groq"] is Here.REAL
    assert {here(outside)[name] for name in ("OpenAI", "Anthropic", "Gemini", "xAI")} == {Here.LOCAL}
    settings = worker_settings(outside, tmp_path, monkeypatch)
    for vendor in (settings.providers.openai, settings.providers.anthropic):
        assert (vendor.url, vendor.chat_completions) == (OLLAMA.url, True)
        assert vendor.model_for("gpt-4o") == "llama3.2:latest"
        assert vendor.model_for("llama3.2") == "llama3.2"
    assert settings.providers.groq.url == "https://api.groq.com/openai/v1"
    assert settings.providers.thinking.first_token_deadline_s >= 10, "it may have to be loaded first"


def test_a_public_address_is_where_carriers_bring_hooks_and_audio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = outside_of(tmp_path, "", public_url="https://calls.example.com/")

    settings = worker_settings(outside, tmp_path, monkeypatch)
    assert settings.public_url == "https://calls.example.com"
    assert settings.media.public_url == "wss://calls.example.com/media"
    assert any("no carrier is real" in remark for remark in outside.remarks)


def test_a_real_carrier_without_a_public_address_is_said(tmp_path: Path) -> None:
    outside = outside_of(tmp_path, "TWILIO_ACCOUNT_SID=AC1\nTWILIO_AUTH_TOKEN=t\n")

    assert any("cannot reach this machine without PUBLIC_URL" in remark for remark in outside.remarks)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("calls.example.com", "nothing after the host"),
        ("http://calls.example.com", "over TLS only"),
        ("https://calls.example.com/path", "nothing after the host"),
        ("https://user@calls.example.com", "nothing after the host"),
        ("https://calls.example.com:port", "is no address"),
        ("wss://calls.example.com", "over TLS only"),
    ],
)
def test_an_address_that_no_carrier_could_use_is_refused_in_words(tmp_path: Path, address: str, words: str) -> None:
    with pytest.raises(PublicUrlError, match=words):
        outside_of(tmp_path, "", public_url=address)


TWILIO = "TWILIO_ACCOUNT_SID=AC1\nTWILIO_AUTH_TOKEN=t\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TWILIO, "is not understood"),
        (TWILIO + "DEEPGRAM_API_KEY=k\n", None),
        (TWILIO + "CALLIOPE_PROVIDERS__DEEPGRAM__API_KEY=k\nCALLIOPE_PROVIDERS__AURA__API_KEY=k\n", None),
        (TWILIO, "hears tones"),
        (TWILIO + "ELEVENLABS_API_KEY=k\n", "is not understood"),
        ("ELEVENLABS_API_KEY=k\n", "speak in tones"),
        ("OPENAI_API_KEY=k\n", None),
    ],
)
def test_who_would_not_understand_whom_is_said(tmp_path: Path, text: str, said: str | None) -> None:
    remarks = [remark for remark in outside_of(tmp_path, text).remarks if "tones" in remark or "understood" in remark]

    assert any(said in remark for remark in remarks) if said else remarks == []

"""`calliope-admin secrets new`: what each service reads is what it needs, and nothing that is set is replaced."""

import json
import shlex
import stat
from pathlib import Path

import pytest

from calliope.configuration.checks import problems
from calliope.contracts.assistants import SealedSecret
from calliope.errors import PermanentError
from calliope.secrets import Opener, Sealer
from calliope.settings import ServiceSettings
from calliope_admin.command_line import run
from calliope_admin.installation_secrets import new_installation
from calliope_assistants.settings import AssistantsSettings
from calliope_call_worker.settings import WorkerSettings
from calliope_gateway.settings import GatewaySettings
from calliope_webhooks.settings import WebhooksSettings

FILES = {file.name: file for file in new_installation()}


def variables(text: str) -> dict[str, str]:
    """As a shell and systemd read such a file."""
    words = [word for line in text.splitlines() if not line.startswith("#") for word in shlex.split(line)]
    return dict(word.split("=", 1) for word in words)


def given(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in {**variables(FILES["common.env"].text()), **variables(FILES[name].text())}.items():
        monkeypatch.setenv(variable, value)


def opened(secret: SealedSecret, settings: WorkerSettings | WebhooksSettings) -> str:
    opener = Opener(key.get_secret_value() for key in settings.sealing.private_keys)
    return opener.open(secret, context="here")


@pytest.mark.promise("P8")
def test_what_the_gateway_seals_its_reader_opens_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        given(patch, "gateway.env")
        sealing = GatewaySettings().sealing
    with monkeypatch.context() as patch:
        given(patch, "assistants.env")
        assert AssistantsSettings().sealing == sealing
    with monkeypatch.context() as patch:
        given(patch, "call_worker.env")
        worker = WorkerSettings()
    with monkeypatch.context() as patch:
        given(patch, "webhooks.env")
        webhooks = WebhooksSettings()
    for public, reader, other in (
        (sealing.calls_public_key, worker, webhooks),
        (sealing.webhooks_public_key, webhooks, worker),
    ):
        secret = Sealer(public).seal("s3cret", context="here")
        assert opened(secret, reader) == "s3cret"
        with pytest.raises(PermanentError):
            opened(secret, other)


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("gateway.env", GatewaySettings),
        ("assistants.env", AssistantsSettings),
        ("call_worker.env", WorkerSettings),
        ("webhooks.env", WebhooksSettings),
    ],
)
def test_a_production_finds_nothing_wrong_with_them(
    monkeypatch: pytest.MonkeyPatch, name: str, service: type[ServiceSettings]
) -> None:
    given(monkeypatch, name)
    monkeypatch.setenv("CALLIOPE_ENVIRONMENT", "production")
    wrong = [problem.variable for problem in problems(service())]
    assert not [
        variable for variable in wrong if variable in {**FILES["common.env"].variables, **FILES[name].variables}
    ]


def test_services_and_bus_have_one_password_and_the_reader_another() -> None:
    common, bus = FILES["common.env"].variables, FILES["nats.env"].variables
    assert common["CALLIOPE_NATS__PASSWORD"] == bus["CALLIOPE_NATS__PASSWORD"] != bus["CALLIOPE_NATS_READER_PASSWORD"]
    assert all(password[0].isalpha() for password in bus.values())


def test_the_variables_are_those_that_the_bus_of_one_machine_reads() -> None:
    config = (Path(__file__).parents[3] / "deploy" / "nats" / "nats.conf").read_text()
    assert all(f"${name}" in config for name in FILES["nats.env"].variables)
    assert f'user: "{FILES["common.env"].variables["CALLIOPE_NATS__USER"]}"' in config


def test_every_installation_has_its_own() -> None:
    made = [str(new_installation()) for _ in range(2)]
    assert made[0] != made[1]


def test_it_is_printed_for_people_and_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["secrets", "new"]) == 0
    people = capsys.readouterr().out
    assert all(f"# {name}: {file.read_by}\n" in people for name, file in FILES.items())
    assert run(["secrets", "new", "--json"]) == 0
    scripts = json.loads(capsys.readouterr().out)["files"]
    assert {name: list(values) for name, values in scripts.items()} == {
        name: list(file.variables) for name, file in FILES.items()
    }


def test_a_folder_keeps_them_for_its_owner_only_beside_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = tmp_path / "common.env"
    common.write_text("CALLIOPE_ENVIRONMENT=production")
    common.chmod(0o600)
    assert run(["secrets", "new", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(FILES)
    for name, file in FILES.items():
        kept = variables((tmp_path / name).read_text())
        assert kept.keys() >= file.variables.keys()
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert not [value for variable, value in kept.items() if variable.endswith("KEYS") and value in said]
    assert variables(common.read_text())["CALLIOPE_ENVIRONMENT"] == "production"


def test_what_is_set_is_not_replaced_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another private key would lock away all that is sealed."""
    assert run(["secrets", "new", "--folder", str(tmp_path)]) == 0
    for name in ("common.env", "nats.env", "gateway.env", "assistants.env", "webhooks.env"):
        (tmp_path / name).unlink()
    before = (tmp_path / "call_worker.env").read_text()
    assert run(["secrets", "new", "--folder", str(tmp_path)]) == 1
    assert "call_worker.env sets CALLIOPE_SEALING__PRIVATE_KEYS already" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["call_worker.env"]
    assert (tmp_path / "call_worker.env").read_text() == before


def test_a_file_that_others_can_read_takes_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "webhooks.env").touch(0o644)
    assert run(["secrets", "new", "--folder", str(tmp_path)]) == 1
    assert f"chmod 600 {tmp_path / 'webhooks.env'}" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["webhooks.env"]


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["secrets", "new", "--folder", str(tmp_path / "file" / "below")]) == 1
    assert capsys.readouterr().err.count("\n") == 1

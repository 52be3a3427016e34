"""What the fault suite runs with: the mechanisms of production with times in seconds, and the job that it does."""

from collections.abc import Callable
from pathlib import Path

from jobs.model import Kind
from jobs.scope import ContentSelection, ResetRequest, UserSelection
from tests.faults import records

ROOT = Path(__file__).resolve().parents[2]
"""For PYTHONPATH, where workers include modules of the tests."""

LEASE_SECONDS = 2.0
RECOVERY_SECONDS = LEASE_SECONDS + 5.0
"""How soon another worker must have done what a killed one held."""
WINDOW = 8

SHORT_SETTINGS = {
    "LEASE_SECONDS": LEASE_SECONDS,
    "HEARTBEAT_SECONDS": 0.5,
    "LEADER_LEASE_SECONDS": 2,
    "HOUSEKEEPING_SECONDS": 0.2,
    "DISPATCH_TIMEOUT_SECONDS": 1,
    "STATEMENT_TIMEOUT_SECONDS": 1.5,
    "CHUNK_HARD_LIMIT_SECONDS": 3,
    "CHUNK_DEADLINE_SECONDS": 4,
    "BROKER_VISIBILITY_SECONDS": 5,
    "BROKER_SOCKET_SECONDS": 1,
    "BROKER_CONNECT_SECONDS": 1,
    "SHUTDOWN_SECONDS": 5,
    "CHUNK_SIZE_START": 10,
    "WINDOW": WINDOW,
}

LONG_LIMITS = {
    "STATEMENT_TIMEOUT_SECONDS": 20,
    "CHUNK_HARD_LIMIT_SECONDS": 30,
    "CHUNK_DEADLINE_SECONDS": 40,
    "BROKER_VISIBILITY_SECONDS": 50,
}
"""For a worker whose chunks nothing but its lease ends."""

Recovery = Callable[[str, float], None]
"""Notes how many seconds a scenario took to recover; shown at the end of the run."""

REQUEST = ResetRequest(
    kind=Kind.TRAINING,
    users=UserSelection(all_users=True),
    content=ContentSelection(all_content=True),
    location=records.LOCATION,
)
SUBMIT = (
    *("submit", "training", "--all-users", "--location", f"{records.LOCATION}", "--all-content"),
    *("--reason", "a new year", "--chunk-size", "10", "--yes"),
)
"""The same as words of the command line."""

"""The life of jobs under random faults: whatever dies, is lost, doubled or late, what must hold holds after each step.

The machine owns a broker that loses and doubles messages, workers that die before and after their commit, and a
clock that makes leases lapse. In the end everything is healed, and every job must end, with every user treated once.
"""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete

from jobs import dispatch
from jobs.database import Database
from jobs.errors import Conflict
from jobs.execution import ChunkRunner
from jobs.housekeeping import Housekeeper
from jobs.model import Job, JobState, Outcome
from jobs.records import tables
from jobs.schema import metadata
from jobs.scope import JobOptions
from jobs.services import Administration
from jobs.settings import Settings
from jobs.steering import Steering
from jobs.store import chunk_rows
from jobs.store.chunk_rows import Claim, Owner
from jobs.store.tables import chunks, leases, workers
from tests.small import Broker, archived, chunks_of, dump, fill_crowd, job_of, of_users, set_back, submit

"""Are the tests worth anything? Break the core in one place at a time: the named tests must fail, every time.

`python -m tests.mutations` copies the sources to a temporary directory for each mutation, replaces one text there
and runs the tests on the copy. First the same tests must pass on an unchanged copy.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
SOURCES = ("cli.py", "commands", "jobs", "pyproject.toml", "tests", "worker")
PASSED, FAILED = 0, 1
"""What pytest's exit codes mean; any other says that the tests did not run."""
SECONDS = 60
AT_ONCE = 2


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One text in one file, what is put in its place, and tests that must notice."""

    name: str
    path: str
    text: str
    instead: str
    tests: tuple[str, ...]


_CONTRACT = "tests/contract/test_"

MUTATIONS = (
    Mutation(
        name="whoever holds an old fence may commit",
        path="jobs/store/chunk_rows.py",
        text=" & (chunks.c.fence == claim.fence)",
        instead="",
        tests=(f"{_CONTRACT}chunks_in_the_store.py::test_who_lost_the_fence_writes_nothing[sqlite]",),
    ),
    Mutation(
        name="a chunk is claimed again and again",
        path="jobs/store/chunk_rows.py",
        text="""            chunks.c.state == ChunkState.DISPATCHED.value,
            chunks.c.job_id.in_(in_time),
""",
        instead="            chunks.c.job_id.in_(in_time),\n",
        tests=(f"{_CONTRACT}chunks_in_the_store.py::test_of_eight_who_claim_at_once_one_gets_the_chunk[sqlite]",),
    ),
    Mutation(
        name="housekeeping is off",
        path="jobs/housekeeping.py",
        text='everything else was done.\n\n        """\n',
        instead='everything else was done.\n\n        """\n        return\n',
        tests=(
            (
                f"{_CONTRACT}housekeeping.py::"
                "test_a_job_ends_right_although_every_message_was_lost_and_its_worker_died[sqlite]"
            ),
        ),
    ),
    Mutation(
        name="the checkpoint has a transaction of its own",
        path="jobs/execution.py",
        text="""
                if not chunk_rows.finish_if_fence_holds(connection, claim, users, changed, failed, collisions):
                    raise Closed(f"chunk {claim.chunk_id} was not done when its job's window closed")
        if done:
""",
        instead="""
        if done:
            with self._database.write() as connection:
                chunk_rows.finish_if_fence_holds(connection, claim, users, changed, failed)
""",
        tests=(
            (
                f"{_CONTRACT}execution.py::"
                "test_wherever_a_worker_is_killed_its_chunk_is_done_once_and_counted[sqlite-after the commit]"
            ),
        ),
    ),
    Mutation(
        name="a chunk commits although its job is to stop",
        path="jobs/store/chunk_rows.py",
        text=".where(_held(claim), may_run).values(fence=claim.fence)",
        instead=".where(_held(claim)).values(fence=claim.fence)",
        tests=(
            f"{_CONTRACT}chunks_in_the_store.py::test_a_claim_does_not_hold_once_its_job_is_to_stop[sqlite-pausing]",
        ),
    ),
    Mutation(
        name="a stop is reported while a chunk may still commit",
        path="jobs/store/chunk_rows.py",
        text="    return connection.execute(select(chunks.c.id).where(claimed).limit(1)).first() is None\n",
        instead="    return True\n",
        tests=(
            (
                f"{_CONTRACT}steering.py::test_a_chunk_whose_transaction_holds_its_row_keeps_the_job_from_its_stop_"
                "until_it_commits[pause-pausing-paused]"
            ),
        ),
    ),
    Mutation(
        name="nothing is archived",
        path="jobs/records/engine.py",
        text="""
            archived = connection.execute(statements.archive, its_parameters | {"scope_job": job_id}).rowcount
            _require_equal(statements, "archived", archived, rows)
""",
        instead="\n            pass\n",
        tests=(
            f"{_CONTRACT}execution.py::test_a_job_counts_what_it_did_and_archives_exactly_what_it_took[sqlite-1000]",
        ),
    ),
    Mutation(
        name="parents are derived from a snapshot that another job outdates",
        path="jobs/records/engine.py",
        text="        for touch in self._touches:\n            connection.execute(touch, parameters)\n",
        instead="",
        tests=(
            (
                f"{_CONTRACT}overlap.py::"
                "test_two_jobs_that_see_each_other_s_chapter_as_still_live_do_not_leave_its_course_in_progress"
            ),
        ),
    ),
)


def main() -> int:
    """Check every mutation; give the exit code."""
    tests = tuple(dict.fromkeys(test for mutation in MUTATIONS for test in mutation.tests))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        unchanged = pool.submit(_run, None, tests)
        broken = [pool.submit(_run, mutation, mutation.tests) for mutation in MUTATIONS]
        faults = [_judge("unchanged", *unchanged.result(), PASSED)]
        faults += [_judge(m.name, *found.result(), FAILED) for m, found in zip(MUTATIONS, broken, strict=True)]
    return int(any(faults))


def _run(mutation: Mutation | None, tests: tuple[str, ...]) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run tests on a copy with the mutation; give how they ended and after how many seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        copy = Path(name)
        for source in SOURCES:
            if (HERE / source).is_dir():
                shutil.copytree(HERE / source, copy / source, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(HERE / source, copy)
        if mutation is not None:
            _mutate(copy / mutation.path, mutation)
        environment = os.environ | {"PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        ours = "import jobs, pathlib, sys; sys.exit(not pathlib.Path(jobs.__file__).is_relative_to(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", ours, str(copy.resolve())], env=environment, cwd=copy, check=True)
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--timeout={SECONDS}", *tests],
            env=environment,
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
    return ended, time.monotonic() - began


def _mutate(path: Path, mutation: Mutation) -> None:
    text = path.read_text()
    if text.count(mutation.text) != 1:
        raise SystemExit(f"{mutation.path} does not hold the text of {mutation.name!r} exactly once; mend the mutation")
    path.write_text(text.replace(mutation.text, mutation.instead))


def _judge(name: str, ended: subprocess.CompletedProcess[str], seconds: float, wanted: int) -> bool:
    """Say how the tests ended; tell whether that is a fault."""
    words = {PASSED: "the tests pass", FAILED: "noticed"}
    told = words.get(ended.returncode, "the tests did not run")
    sys.stdout.write(f"{'ok' if ended.returncode == wanted else 'FAULT':6}{name}: {told} ({seconds:.1f} s)\n")
    if ended.returncode != wanted:
        sys.stdout.write(ended.stdout + ended.stderr)
    return ended.returncode != wanted


if __name__ == "__main__":
    sys.exit(main())

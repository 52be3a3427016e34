"""The benchmark runs, at a size that says nothing about speed: all contenders leave the same records."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_all_contenders_leave_the_same_records(tmp_path: Path) -> None:
    words = ["--users", "60", "--sample", "5", "--rounds", "1", "--output", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((tmp_path / "results.json").read_text())["results"]["contest"]["figures"]
    assert set(found["seconds_per_user"]) == {"job", "script", "chunk loop", "task a user, SQL", "task a user, ORM"}
    assert all(seconds > 0 for of_rounds in found["seconds_per_user"].values() for seconds in of_rounds)

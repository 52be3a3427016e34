"""[203] of everything for some users, in the plainest set-based SQL, archive included.

What a careful programmer writes by hand, without the program's engine: for a chunk of users in `loop.py`, for one
in `tasks.py`.
"""

import json
from collections import defaultdict

import psycopg

ARCHIVE = "archive_"
_TOUCHED = {
    "attempts": "TRUE",
    "chapter_progress": "(status <> 'incomplete' OR position_seconds <> 0 OR started_at IS NOT NULL "
    "OR completed_at IS NOT NULL)",
    "course_progress": "(status <> 'incomplete' OR started_at IS NOT NULL OR completed_at IS NOT NULL)",
}
_CHANGES = {
    "attempts": "DELETE FROM attempts",
    "chapter_progress": "UPDATE chapter_progress SET status = 'incomplete', position_seconds = 0, started_at = NULL, "
    "completed_at = NULL",
    "course_progress": "UPDATE course_progress SET status = 'incomplete', started_at = NULL, completed_at = NULL",
}


def reset(connection: psycopg.Connection, users: list[int]) -> str:
    """Reset users within the caller's transaction; give the rows of each as JSON."""
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for place, (table, touched) in enumerate(_TOUCHED.items()):
        rows = f"user_id = ANY(%s) AND {touched}"
        counted = connection.execute(f"SELECT user_id, count(*) FROM {table} WHERE {rows} GROUP BY user_id", (users,))
        for user, number in counted.fetchall():
            counts[user][place] = number
        connection.execute(f"INSERT INTO {ARCHIVE}{table} SELECT 1, r.* FROM {table} r WHERE {rows}", (users,))
        connection.execute(f"{_CHANGES[table]} WHERE {rows}", (users,))
    return json.dumps([[user, *of_user] for user, of_user in sorted(counts.items())], separators=(",", ":"))

"""Write those parts of the documentation that the code knows: `make docs` puts them into the files.

The tests require that the files hold just that.
"""

import re
from pathlib import Path

from jobs.model import EDGES
from jobs.settings import Settings

ROOT = Path(__file__).parent.parent
STATES, SETTINGS = ROOT / "docs" / "states.md", ROOT / "docs" / "settings.md"


def states() -> str:
    """Give the life of a job: every allowed change of state with its sentence."""
    lines = [f"| `{edge.before}` | `{edge.after}` | {edge.sentence} |" for edge in EDGES]
    ended = ", ".join(f"`{state}`" for state in type(EDGES[0].before) if state.ended)
    head = "# The states of a job\n\nEvery change that is allowed; the program reads the same table.\n"
    table = "\n".join(["| from | to | when |", "|---|---|---|", *lines])
    return f"{head}\n{table}\n\nNothing comes after {ended}.\n"


def undocumented_settings() -> list[str]:
    """Give the settings that the page lacks, and those it shows with another default or that do not exist."""
    shown = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", SETTINGS.read_text(), flags=re.MULTILINE))
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    wrong = sorted(shown.keys() ^ fields.keys())
    for name in shown.keys() & fields.keys():
        default = fields[name].default
        if isinstance(default, int | float) and shown[name].strip() != f"{default:g}".replace("e+05", "00000"):
            wrong.append(f"{name}: {shown[name].strip()} is not {default}")
    return wrong


if __name__ == "__main__":
    STATES.write_text(states())

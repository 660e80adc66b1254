"""Who may call what: tests/permissions.csv, which is written by hand, and its page in docs/.

    python tests/support/permissions.py > docs/permissions.md

makes the page again.
"""

import csv
import sys
from pathlib import Path

TABLE = Path(__file__).parent.parent / "permissions.csv"
INTRODUCTION = """# Who may call what

Made by `tests/support/permissions.py` of `tests/permissions.csv`, which
`tests/sharing/test_permissions.py` compares with the service. Not to be edited.

`yes` is an answer about this conversation or, where the path names none, about one's own; the
numbers are the statuses of refusals. A *group member* is in a group of the owner's with which the
conversation is shared for editing. *Revoked* had a grant that has ended; *stranger*, *admin* and
*auditor* never had one. The keys are the owner's. [Sharing](api.md#sharing) says what the roles
are.
"""


def read_rows() -> list[dict[str, str]]:
    """Return the rows of the table, by the names of their columns."""
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def to_page(rows: list[dict[str, str]]) -> str:
    """Return the page."""
    who = list(rows[0])[2:]
    lines = [f"| call | {' | '.join(who)} |", f"|---|{'---|' * len(who)}"]
    for row in rows:
        cells = [row[each].replace("ok", "yes") for each in who]
        lines.append(f"| `{row['method']} {row['path']}` | {' | '.join(cells)} |")
    return "\n".join((INTRODUCTION, *lines, ""))


if __name__ == "__main__":
    sys.stdout.write(to_page(read_rows()))

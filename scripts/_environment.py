"""Lets a script run with any Python: it goes on in the checkout's own environment."""

import os
import subprocess
import sys
from pathlib import Path


def enter(script: str) -> None:
    """Make `.venv` if needed and run the script again inside it, unless it is there already."""
    root = Path(script).resolve().parent.parent
    python = root / ".venv" / "bin" / "python"
    if Path(sys.prefix) == root / ".venv":
        return
    made = subprocess.run([root / "scripts" / "bootstrap", "serve"], check=False)  # noqa: S603  # our own
    if made.returncode:
        sys.exit(made.returncode)
    os.execv(python, [str(python), *sys.argv])  # noqa: S606  # no shell on purpose

"""A plugin of pytest that measures which lines and branches of the package the tests run.

SlipCover puts probes into the package's code. The tracer of coverage.py is called for every line of
every library too, and doubles the time of the tests on Python 3.11. Processes that tests start are
not measured.
"""

import json
import os
import warnings
from pathlib import Path

import pytest
from slipcover import (  # type: ignore[import-untyped]  # it carries no annotations
    FileMatcher,
    ImportManager,
    Slipcover,
)

# The directory for a file of each worker of pytest-xdist; without it nothing is measured.
DIRECTORY = "TESTS_COVERAGE"
PACKAGE = Path(__file__).parents[2] / "src" / "chatvault"
EXCLUDED = ["@overload"]
# Probes are never removed. SlipCover removes them by walking all modules in the middle of a test,
# which fails where a dictionary of theirs grows meanwhile, and costs more than the probes do.
NEVER = 2**31 - 1


def _begin() -> Slipcover:
    """Put probes into the modules of the package that are imported from now on."""
    source = [str(PACKAGE)]
    probes = Slipcover(branch=True, source=source, exclude_also=EXCLUDED, d_miss_threshold=NEVER)
    ImportManager(probes, FileMatcher(sources=source)).__enter__()
    return probes


# A plugin that `-p` names is imported before any conftest, which imports the package.
PROBES = _begin() if {DIRECTORY, "PYTEST_XDIST_WORKER"} <= os.environ.keys() else None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write the lines that this process has run."""
    if PROBES is None:
        return
    with warnings.catch_warnings(action="ignore"):
        found = PROBES.get_coverage()
    (Path(os.environ[DIRECTORY]) / f"{os.getpid()}.json").write_text(json.dumps(found))

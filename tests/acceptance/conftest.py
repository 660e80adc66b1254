"""Running services for the tests that only use them; the others start their own.

The tests of a group run in one worker, and so they share these.
"""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.fake_model import FakeModel
from support.running import Service, processes_of, with_model
from support.tooling import Notes, free_port
from support.workers import group_of

# A run in the background of a script begins with Ctrl-C ignored, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


FOLDER = Path(__file__).parent
# By the group of tests that shares it.
RUNNING = pytest.StashKey[dict[str, Service]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RUNNING] = {}


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End a service after the last test of its group.

    The run goes on for minutes, and an idle service with its MongoDB takes 2 % of a processor.
    """
    group = group_of(item)
    running = item.config.stash[RUNNING]
    if group in running and not (nextitem and _is_of(nextitem, group)):
        running.pop(group).stop()


def _is_of(item: pytest.Item, group: str) -> bool:
    """Return whether a test of this folder is in the group; others do not use its services."""
    return item.path.is_relative_to(FOLDER) and group_of(item) == group


@pytest.fixture(scope="session")
def service(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service") / "data") as running:
        pytestconfig.stash[RUNNING]["service"] = running
        yield running


@pytest.fixture(scope="session")
def workers_notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    """The calls that the tools of `workers` received."""
    notes = tmp_path_factory.mktemp("workers") / "notes"
    notes.touch()
    return Notes(notes)


@pytest.fixture(scope="session")
def workers_metrics() -> str:
    """The address at which `workers` shows its metrics."""
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="session")
def workers(
    tmp_path_factory: pytest.TempPathFactory,
    only_model: FakeModel,
    workers_notes: Notes,
    workers_metrics: str,
    pytestconfig: pytest.Config,
) -> Iterator[Service]:
    """A service of two processes, with a model and a server of tools; for the group `workers`."""
    data_dir = tmp_path_factory.mktemp("workers") / "data"
    options: dict[str, Any] = {"notes": workers_notes.path, "metrics": workers_metrics}
    with with_model(data_dir, only_model, "--workers", "2", **options) as running:
        pytestconfig.stash[RUNNING]["workers"] = running
        yield running
    assert processes_of(data_dir) == []

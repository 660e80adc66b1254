"""Running services for the tests that only use them; the others start their own.

The tests of a group of pytest-xdist run in one worker of it, and so they share these.
"""

import signal
from collections.abc import Iterator

import pytest

from support.fake_model import FakeModel
from support.running import Service, processes_of, with_model
from support.tooling import Notes

# A run in the background of a script begins with Ctrl-C ignored, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def workers_notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    """The calls that the tools of `workers` received."""
    notes = tmp_path_factory.mktemp("workers") / "notes"
    notes.touch()
    return Notes(notes)


@pytest.fixture(scope="session")
def workers(
    tmp_path_factory: pytest.TempPathFactory, only_model: FakeModel, workers_notes: Notes
) -> Iterator[Service]:
    """A service of two processes, with a model and a server of tools; for the group `workers`."""
    data_dir = tmp_path_factory.mktemp("workers") / "data"
    with with_model(data_dir, only_model, "--workers", "2", notes=workers_notes.path) as running:
        yield running
    assert processes_of(data_dir) == []

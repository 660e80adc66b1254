"""One running service for the tests that only use it; the others start their own."""

import signal
from collections.abc import Iterator

import pytest

from support.running import Service

# A run in the background of a script begins with Ctrl-C ignored, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service") / "data") as running:
        yield running

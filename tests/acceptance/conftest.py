"""One running service for the tests that only use it; the others start their own."""

from collections.abc import Iterator

import pytest

from running import Service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service") / "data") as running:
        yield running

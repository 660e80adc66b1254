from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chatvault.settings import Settings
from conftest import HttpClient
from support.factories import settings_for
from support.signing_on import Person, RealProvider, identity_provider


@pytest.fixture(scope="session")
async def provider() -> AsyncIterator[RealProvider]:
    async with identity_provider() as provider:
        yield provider


@pytest.fixture
def more() -> dict[str, Any]:
    """Further parts of the setting."""
    return {}


@pytest.fixture
def settings(data_dir: Path, provider: RealProvider, more: dict[str, Any]) -> Settings:
    return settings_for(data_dir, oidc=provider.config(**more))


@pytest.fixture
async def person(http: HttpClient) -> AsyncIterator[Person]:
    person = Person(http)
    yield person
    await person.close()

"""Fixtures: an application that is configured for a fake model."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from chatvault.external import Provider
from chatvault.settings import Settings
from support.factories import settings_for
from support.fake_model import FakeModel

KEY = "sk-the-providers-secret-key"


@pytest.fixture
def settings(data_dir: Path, fake_model: FakeModel) -> Settings:
    provider = Provider(base_url=fake_model.url, api_key=SecretStr(KEY), model="gpt-twin")
    return settings_for(data_dir, providers={"twin": provider}, replies_per_minute=1000)

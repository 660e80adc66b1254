"""Fixtures: an application that is configured for a model's twin and a server of tools."""

import pytest

from chatvault.settings import Settings


@pytest.fixture
def settings(tool_settings: Settings) -> Settings:
    return tool_settings

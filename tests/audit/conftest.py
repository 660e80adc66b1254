"""Fixtures: an audit log, and Alice at two processes."""

from typing import Any

import pytest

from chatvault.accounts.models import User
from conftest import HttpClient
from support.fake_model import FakeModel
from support.histories import World
from support.log_fixtures import keys, log, sign_in
from support.stored import tiny_bounds
from support.tooling import Grant, settled_tools

__all__ = ["keys", "log", "sign_in", "world"]


@pytest.fixture
async def world(
    alice: HttpClient,
    elsewhere: HttpClient,
    database: Any,
    fake_model: FakeModel,
    tools: Grant,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    """Alice at two processes, with tools that she may use, and tiny bounds."""
    tiny_bounds(monkeypatch)
    other: Any = elsewhere.server
    await settled_tools(other.app)
    await tools("lab__echo", "terminal_command")
    user = await User.find_one({"username": "alice"})
    assert user is not None
    return World((alice, elsewhere), database, user.id, fake_model)

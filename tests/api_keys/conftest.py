"""Fixtures: programs that use API keys."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from chatvault.actor import Scope
from conftest import HttpClient
from support.keys import key_of, program
from support.sharing import leave

UseKey = Callable[..., Any]


@pytest.fixture
async def use_key(http: HttpClient) -> AsyncIterator[UseKey]:
    """Makes a key of a user, who is signed in, and gives a program that uses it."""
    programs: list[HttpClient] = []

    async def use_key(
        username: str = "alice", scopes: Iterable[Scope] = tuple(Scope), **more: Any
    ) -> HttpClient:
        made = program(http, await key_of(username, scopes, **more))
        programs.append(made)
        return made

    yield use_key
    for made in programs:
        await leave(made)

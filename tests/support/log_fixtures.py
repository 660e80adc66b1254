"""Fixtures: an audit log without a service, and users whose sign-ins are in the log."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import CookieJar
from aiohttp.test_utils import TestClient

from chatvault.accounts import service as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.actor import Actor, Door, Role
from chatvault.audit.keys import KeyRing, load_key_ring
from chatvault.audit.models import AuditEntry
from chatvault.documents import bind_documents
from chatvault.mongodb.database import connect
from chatvault.mongodb.leases import Lease
from chatvault.sealing import sealer
from chatvault.sealing.blocks import Block
from chatvault.settings import Settings
from conftest import HttpClient, SignIn
from support.factories import PASSWORD, account
from support.sealing import Log
from support.sharing import leave


@pytest.fixture
def keys(settings: Settings) -> KeyRing:
    return load_key_ring(settings)


@pytest.fixture
async def log(
    settings: Settings, mongodb_url: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Log]:
    """An empty audit log that nothing seals."""
    monkeypatch.setattr(sealer, "AWAIT_MILLISECONDS", 10)
    client = connect(mongodb_url, settings)
    for document in (AuditEntry, Block, Lease):
        await client["tests-seal"][document.Settings.name].delete_many({})
    await bind_documents(client, "tests-seal", keys)
    yield Log(client["tests-seal"], keys)
    await client.close()


@pytest.fixture
async def sign_in(http: HttpClient, settings: Settings) -> AsyncIterator[SignIn]:
    """Make a user and sign in as people do: the log has the entries."""
    browsers: list[HttpClient] = []
    hasher = PasswordHasher(settings.bcrypt_rounds)

    async def sign_in(username: str = "alice", *, role: Role = Role.USER) -> HttpClient:
        operator, new = Actor(door=Door.CLI), account(username)
        await accounts.create(operator, hasher, **new, password=PASSWORD, role=role)
        server: Any = http.server
        browser: HttpClient = TestClient(server, cookie_jar=CookieJar(unsafe=True))
        browsers.append(browser)
        credentials = {"username": username, "password": PASSWORD}
        answer = await browser.post("/auth/login", json=credentials)
        assert answer.status == 200, await answer.text()
        return browser

    yield sign_in
    hasher.close()
    for browser in browsers:
        await leave(browser)

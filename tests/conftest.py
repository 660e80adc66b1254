"""Fixtures: one real mongod for the run, one application and one clean database a test."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from chatvault.accounts import service as accounts
from chatvault.accounts.passwords import PasswordHasher
from chatvault.actor import Actor, Door, Role
from chatvault.app import create_app
from chatvault.embedded import embedded_mongodb
from chatvault.health import CLIENT
from chatvault.settings import Settings
from chatvault.web import SETTINGS
from support.factories import PASSWORD, account
from support.twin import Twin

pytest_plugins = ["support.commanding"]

HttpClient = TestClient[web.Request, web.Application]
ClientFactory = Callable[..., Awaitable[HttpClient]]
SignIn = Callable[..., Awaitable[HttpClient]]

# As it is without configuration, each traceback takes seconds to draw.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("CHATVAULT_", "OPENAI_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_mongodb(tmp_path_factory.mktemp("mongodb")) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, bcrypt_rounds=4, mongodb_database="tests")


@pytest.fixture
async def app(settings: Settings, mongodb_url: str) -> web.Application:
    return create_app(settings, mongodb_url=mongodb_url)


@pytest.fixture
async def http(app: web.Application, aiohttp_client: ClientFactory) -> HttpClient:
    """A browser that nobody has signed in with, on a clean database."""
    # Before the application starts: its sealer would see an attack on the audit log.
    await _empty(app)
    return await aiohttp_client(app, cookie_jar=CookieJar(unsafe=True))


async def _empty(app: web.Application) -> None:
    database = app[CLIENT][app_settings(app).mongodb_database]
    for name in await database.list_collection_names():
        await database[name].delete_many({})


def app_settings(app: web.Application) -> Settings:
    return app[SETTINGS]


@pytest.fixture
def database(app: web.Application, http: HttpClient) -> Any:
    """The test's own look into MongoDB."""
    return app[CLIENT][app_settings(app).mongodb_database]


@pytest.fixture
async def sign_in(
    app: web.Application, http: HttpClient, settings: Settings
) -> AsyncIterator[SignIn]:
    """Makes a user and gives a browser that is signed in as them."""
    browsers: list[HttpClient] = []
    hasher = PasswordHasher(settings.bcrypt_rounds)

    async def sign_in(username: str = "alice", *, role: Role = Role.USER) -> HttpClient:
        await accounts.create(
            Actor(door=Door.CLI), hasher, **account(username), password=PASSWORD, role=role
        )
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
        await browser.session.close()


@pytest.fixture
async def alice(sign_in: SignIn) -> HttpClient:
    return await sign_in("alice")


@pytest.fixture
async def bob(sign_in: SignIn) -> HttpClient:
    return await sign_in("bob")


@pytest.fixture
async def elsewhere(
    alice: HttpClient, settings: Settings, mongodb_url: str
) -> AsyncIterator[HttpClient]:
    """The same user's browser at another process of the service, on the same database."""
    app = create_app(settings, mongodb_url=mongodb_url)
    browser: HttpClient = TestClient(TestServer(app), cookie_jar=CookieJar(unsafe=True))
    await browser.start_server()
    credentials = {"username": "alice", "password": PASSWORD}
    assert (await browser.post("/auth/login", json=credentials)).status == 200
    yield browser
    await browser.close()


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """MongoDB has answered for so long that a lease which has run out is a dead process's."""
    monkeypatch.setattr("chatvault.renewing.LEASE_SECONDS", 0)


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    """A model that says what the test wrote for it, over the real wire."""
    twin = Twin()
    server = TestServer(twin.application())
    await server.start_server()
    twin.url = str(server.make_url("/v1"))
    yield twin
    await server.close()

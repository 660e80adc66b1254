"""Fixtures: one real mongod for the run, one clean database a test, one application for many."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from aiohttp import CookieJar, web
from aiohttp.test_utils import TestClient, TestServer
from pymongo import MongoClient
from pymongo.database import Database

from chatvault.accounts.models import User
from chatvault.actor import Role
from chatvault.app import create_app
from chatvault.erasure.worker import Eraser
from chatvault.http.health import CLIENT
from chatvault.http.requests import SETTINGS
from chatvault.mongodb.embedded import embedded_mongodb
from chatvault.quotas.ledger import QuotaLedger
from chatvault.sealing.maintenance import Maintenance
from chatvault.settings import Settings
from support import shards
from support.databases import BindOnce, Cleaner
from support.factories import settings_for
from support.fake_model import FakeModel
from support.memory import disk, use_memory
from support.sharing import Shared, leave, may_share
from support.signing_in import insert_user, open_session

pytest_plugins = ["support.commanding", "support.tool_fixtures"]

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


# Tests are not timed: a busy machine would fail them.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked `long` too")


def pytest_configure(config: pytest.Config) -> None:
    use_memory()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        keep_group(item)
    if config.option.long:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


def keep_group(item: pytest.Item) -> None:
    """Let the test have the id that pytest-xdist 3.8 gave it, which ends with its group.

    pytest 9.2 keeps ids elsewhere, and pytest-xdist would ignore all groups:
    https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    given = vars(item).get("_nodeid")
    if given is not None and hasattr(item, "_id"):
        item._id = type(item._id).parse(given)


@pytest.fixture(autouse=True)
def clean_environment() -> Iterator[None]:
    # Not the fixture `monkeypatch`: a test that asks for that gets an application of its own.
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("CHATVAULT_", "OPENAI_", "ANTHROPIC_")):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def shard_keys() -> Iterator[None]:
    """Fail the test if the service asks a sharded collection without its shard key."""
    shards.WATCH.take()
    yield
    assert shards.WATCH.take() == []


@pytest.fixture(autouse=True)
def sealer() -> Iterator[None]:
    """No sealer beside the test, which would cost a sixth of its time.

    Folders and modules of tests that need it replace this fixture.
    """

    async def wait(self: Maintenance) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maintenance, "run", wait)
        yield


@pytest.fixture(autouse=True)
def eraser() -> Iterator[None]:
    """No eraser beside the test: tests of erasures do its steps themselves."""

    async def wait(self: Eraser) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Eraser, "run", wait)
        yield


@pytest.fixture(autouse=True)
def meter() -> Iterator[None]:
    """No counts of usage are written beside the test; tests of them write them themselves."""

    async def wait(self: QuotaLedger) -> None:
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuotaLedger, "run", wait)
        yield


@pytest.fixture(scope="session", autouse=True)
def bind_once() -> Iterator[None]:
    """Bind the documents to a database in full once in each process of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chatvault.documents.init_beanie", BindOnce())
        yield


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_mongodb(tmp_path_factory.mktemp("mongodb")) as url:
        yield url


@pytest.fixture(scope="session")
def mongodb(mongodb_url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    """The tests' own connection."""
    with MongoClient[dict[str, Any]](mongodb_url, tz_aware=True) as client:
        yield client


@pytest.fixture(scope="session")
def cleaner(mongodb: MongoClient[dict[str, Any]]) -> Cleaner:
    return Cleaner(mongodb)


@pytest.fixture
def constants() -> Iterator[pytest.MonkeyPatch]:
    """Patch what the application looks up anew each time; the test may share it all the same."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def own_application() -> None:
    """Let the test have an application that no other test has used."""


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared", numbered=False)


@pytest.fixture(scope="session")
async def shared(mongodb_url: str) -> AsyncIterator[Shared]:
    shared = Shared(mongodb_url)
    yield shared
    await shared.close()


@pytest.fixture
async def nothing_shared(shared: Shared) -> None:
    await shared.close()


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> None:
    """End the shared application before a test that uses the database without it."""
    if "mongodb_url" in request.fixturenames and not may_share(request):
        request.getfixturevalue("nothing_shared")


@pytest.fixture
def data_dir(request: pytest.FixtureRequest, shared_directory: Path) -> Path:
    """The application's data directory; with any other, the test gets an application of its own."""
    if may_share(request):
        return shared_directory
    own: Path = request.getfixturevalue("tmp_path")
    return own


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return settings_for(data_dir)


@pytest.fixture
async def app(
    request: pytest.FixtureRequest,
    settings: Settings,
    shared_directory: Path,
    mongodb_url: str,
    shared: Shared,
) -> AsyncIterator[web.Application]:
    if may_share(request) and settings.data_dir == shared_directory:
        yield await shared.take(settings)
        await shared.give_back()
    else:
        await shared.close()
        yield create_app(settings, mongodb_url=mongodb_url)


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """A directory like `tmp_path` whose files are flushed to a disk: durability is tried there."""
    with tempfile.TemporaryDirectory(dir=disk(), prefix="chatvault-tests-") as place:
        yield Path(place)


@pytest.fixture
def clean_database(cleaner: Cleaner, settings: Settings) -> Database[dict[str, Any]]:
    """The application's database, empty."""
    return cleaner.empty(settings.mongodb_database)


@pytest.fixture
async def http(
    app: web.Application,
    # Before the application starts: its sealer would see an attack on the audit log.
    clean_database: Database[dict[str, Any]],
    shared: Shared,
    aiohttp_client: ClientFactory,
) -> AsyncIterator[HttpClient]:
    """A browser that nobody has signed in with, on a clean database."""
    if shared.server is None or shared.server.app is not app:
        server = TestServer(app, socket_factory=shared.bind)
        yield await aiohttp_client(server, cookie_jar=CookieJar(unsafe=True))
        return
    browser: HttpClient = TestClient(await shared.start(), cookie_jar=CookieJar(unsafe=True))
    yield browser
    await leave(browser)


def app_settings(app: web.Application) -> Settings:
    return app[SETTINGS]


@pytest.fixture
def database(app: web.Application, http: HttpClient) -> Any:
    """The test's own look into MongoDB."""
    return app[CLIENT][app_settings(app).mongodb_database]


async def _give_session(browser: HttpClient, user: User, settings: Settings) -> None:
    cookies = {"session_id": await open_session(user, settings.session_lifetime)}
    browser.session.cookie_jar.update_cookies(cookies, browser.make_url("/"))


@pytest.fixture
async def sign_in(http: HttpClient, settings: Settings) -> AsyncIterator[SignIn]:
    """Makes a user and gives a browser that is signed in as them.

    User and session are put into the database; tests/sessions signs in as people do.
    """
    browsers: list[HttpClient] = []

    async def sign_in(username: str = "alice", *, role: Role = Role.USER) -> HttpClient:
        user = await insert_user(username, role)
        server: Any = http.server
        browser: HttpClient = TestClient(server, cookie_jar=CookieJar(unsafe=True))
        browsers.append(browser)
        await _give_session(browser, user, settings)
        return browser

    yield sign_in
    for browser in browsers:
        await leave(browser)


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
    user = await User.find_one({"username": "alice"})
    assert user is not None
    await _give_session(browser, user, settings)
    yield browser
    await browser.close()


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """MongoDB has answered for so long that a lease which has run out is a dead process's."""
    monkeypatch.setattr("chatvault.mongodb.renewing.LEASE_SECONDS", 0)


@pytest.fixture(scope="session")
async def only_model() -> AsyncIterator[FakeModel]:
    """The fake model of all tests, so that those that share an application share its address."""
    fake_model = FakeModel()
    server = TestServer(fake_model.application())
    await server.start_server()
    fake_model.url = str(server.make_url("/v1"))
    yield fake_model
    await server.close()


@pytest.fixture
async def fake_model(only_model: FakeModel) -> AsyncIterator[FakeModel]:
    """A model that says what the test wrote for it, over the real wire."""
    yield only_model
    await only_model.reset()

"""The application that tests share: what one test leaves is not seen by the next."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from chatvault.app import create_app
from chatvault.http.middlewares import REFUSALS
from chatvault.settings import Settings
from conftest import HttpClient
from support.factories import begin
from support.sharing import Shared, leave
from support.workers import group_of


@pytest.fixture
async def other(own_application: None, mongodb_url: str) -> AsyncIterator[Shared]:
    """An application that is shared by the steps of a test."""
    shared = Shared(mongodb_url)
    yield shared
    await shared.close()


class TestTwoTests:
    """Each finds what any test finds, whichever of them comes first."""

    @pytest.mark.parametrize("turn", [1, 2])
    async def test_are_isolated_from_each_other(
        self, http: HttpClient, alice: HttpClient, database: Any, turn: int
    ) -> None:
        server: Any = http.server
        assert not server.app[REFUSALS]._open
        assert await database.users.distinct("username") == ["alice"]
        assert await database.conversations.count_documents({}) == 0
        assert await database.audit_logs.count_documents({}) == 0
        await begin(alice)
        assert (await http.get("/conversations")).status == 401
        assert await database.conversations.count_documents({}) == 1


class TestGroup:
    """Also where pytest-xdist distributes the tests, as `-n 2 --dist loadgroup` does."""

    @pytest.mark.xdist_group("sharing")
    def test_is_known_to_what_distributes_the_tests(self, request: pytest.FixtureRequest) -> None:
        assert group_of(request.node) == "sharing"
        if getattr(request.config.option, "loadgroup", False):
            assert request.node.nodeid.endswith("@sharing")


class TestShared:
    async def test_is_kept_after_a_clean_test(self, other: Shared, settings: Settings) -> None:
        app = await other.take(settings)
        await other.start()
        await other.give_back()

        assert await other.take(settings) is app

    async def test_is_ended_after_a_test_that_left_a_connection_open(
        self, other: Shared, settings: Settings
    ) -> None:
        await other.take(settings)
        browser: HttpClient = TestClient(await other.start())
        assert (await browser.get("/health")).status == 200
        await other.give_back()

        assert other.server is None
        await leave(browser)
        # The next test gets another.
        await other.take(settings)
        assert (await other.start()).started

    async def test_is_ended_after_a_test_that_bound_the_documents_elsewhere(
        self, other: Shared, settings: Settings, mongodb_url: str
    ) -> None:
        app = await other.take(settings)
        await other.start()
        async with TestServer(create_app(settings, mongodb_url=mongodb_url)):
            await other.give_back()

        assert await other.take(settings) is not app

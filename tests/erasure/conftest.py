"""The eraser, driven by the tests."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from chatvault.background import ERASER
from chatvault.erasure.models import Erasure
from chatvault.erasure.worker import Eraser
from chatvault.fields import Raw


@pytest.fixture
def quick(constants: pytest.MonkeyPatch) -> None:
    """Nothing is waited for: the tests have no transactions of a minute."""
    constants.setattr("chatvault.erasure.worker.WAIT_SECONDS", 0)
    constants.setattr("chatvault.erasure.worker.LOOK_SECONDS", 0)


@pytest.fixture
def eraser_of(quick: None) -> Callable[[Any], Eraser]:
    """The eraser of a browser's process."""

    def find(browser: Any) -> Eraser:
        app: web.Application = browser.app
        return app[ERASER]

    return find


@pytest.fixture
def carry_out(eraser_of: Callable[[Any], Eraser]) -> Callable[[Any], Awaitable[Raw]]:
    """Do all that is due; return the erasure."""

    async def work(browser: Any) -> Raw:
        await eraser_of(browser).work()
        stored: Raw | None = await Erasure.get_pymongo_collection().find_one()
        assert stored is not None
        return stored

    return work

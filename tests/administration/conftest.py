"""Fixtures of administration."""

import pytest

from chatvault.accounts import hash_queue
from chatvault.actor import Role
from conftest import HttpClient, SignIn


@pytest.fixture
async def admin(sign_in: SignIn) -> HttpClient:
    return await sign_in("adam", role=Role.ADMIN)


@pytest.fixture(autouse=True)
def quick_refusals(constants: pytest.MonkeyPatch) -> None:
    """Refusals without the pause that they make for strangers."""
    constants.setattr(hash_queue, "PAUSE", 0.01)

"""Refusals without the pause that they make for strangers."""

import pytest

from chatvault.accounts import hash_queue


@pytest.fixture(autouse=True)
def quick_refusals(constants: pytest.MonkeyPatch) -> None:
    constants.setattr(hash_queue, "PAUSE", 0.01)

"""Refusals without the pause that they make for strangers."""

import pytest

from chatvault.accounts import turns


@pytest.fixture(autouse=True)
def quick_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PAUSE", 0.01)

"""The short form of `scripts/chaos`: nothing acknowledged is lost, doubled or unaudited."""

from pathlib import Path

import pytest

from chaos import rage

pytestmark = pytest.mark.xdist_group("crashes")


class TestChaos:
    @pytest.mark.parametrize("seconds", [4, pytest.param(90, marks=pytest.mark.long)])
    async def test_keeps_every_acknowledged_change_exactly_once(
        self, on_disk: Path, seconds: float
    ) -> None:
        tally = await rage(on_disk / "data", seconds, pause=2, kills=2, answers=100)
        assert tally.kills >= 2

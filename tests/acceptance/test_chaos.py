"""The short form of `scripts/chaos`: nothing acknowledged is lost, doubled or unaudited."""

from pathlib import Path

import pytest

from chaos import rage


class TestChaos:
    @pytest.mark.timeout(120)
    async def test_every_acknowledged_change_is_there_once(self, tmp_path: Path) -> None:
        tally = await rage(tmp_path / "data", seconds=8, pause=2)
        assert tally.kills >= 2
        assert tally.seen["200"] > 100

"""Counting the changes that wait in the commit queue."""

from typing import Any

import pytest

from chatvault.conversations.commits.change import Change
from chatvault.conversations.commits.queue import CommitQueue


class Waiting:
    """Counts the changes that wait for their commit at a time.

    Args:
        patch: replaces the method that takes changes.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._now = 0
        self.most = 0
        submit = CommitQueue.submit

        async def count(queue: CommitQueue, change: Change[Any]) -> Any:
            self._now += 1
            self.most = max(self.most, self._now)
            try:
                return await submit(queue, change)
            finally:
                self._now -= 1

        patch.setattr(CommitQueue, "submit", count)

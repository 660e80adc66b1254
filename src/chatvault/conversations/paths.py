"""The documents with older runs of the branch that is shown."""

from typing import ClassVar

from beanie import Document
from pymongo import IndexModel

from chatvault.content import Content
from chatvault.fields import Id
from chatvault.owned import Owned

# This many closed runs stay in the conversation's document; beyond twice as many, the older move
# to documents of this many runs each.
RUNS_KEPT = 32
RUNS_MOVED = 64


class PathRuns(Owned, Document):
    """Consecutive older runs of the branch that a conversation shows.

    Attributes:
        generation: that of the conversation's messages.
        start: how many runs of the branch are before these.
        first: the first place of the first run.
        last: the last place of the last run.
        living: how many messages of the runs are not deleted.
        runs: each one's first place, last place, and how many messages of it are not deleted.
        changed_in: the conversation's version in which they were written.
    """

    user_id: Id
    generation: Id
    start: int
    first: int
    last: int
    living: int
    runs: list[list[int]]
    changed_in: int

    holds: ClassVar = Content()

    class Settings:
        """Beanie's."""

        name = "paths"
        indexes: ClassVar = [
            IndexModel([("user_id", 1), ("generation", 1), ("first", 1)], name="by_first"),
            IndexModel([("user_id", 1), ("generation", 1), ("last", 1)], name="by_last"),
        ]
